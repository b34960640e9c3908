"""``postconf``: show and change main.cf and master.cf. Source: postconf(1).

Shows what is written and what holds by default, not whether it is right: ``postgate check`` does that.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gateway.cli.console import EX_USAGE, Console, Fatal, config_directory, options
from gateway.cli.postconf_edit import edit_main, edit_master

USAGE = (
    "postconf [-dfhHjnopqvx] [-c config_dir] [-C class,...] [-o name=value] [parameter ...] | "
    "postconf [-e|-#|-X] [-c config_dir] parameter[=value] ... | "
    "postconf -M|-F|-P [-efhHjoqxX#] [-c config_dir] [service[/type[/name]][=value] ...] | "
    "postconf -b|-t [-c config_dir] [template_file] | postconf -a|-A|-l|-m|-T mode"
)
_FEATURES = "aAlmT"
_EDITS = "eX#"
_MASTER = "MFP"
_CLASHES = (
    "aAblmtTMFPp",
    "aAblmtTdneX#",
    "hH",
    *(edit + how for edit in _EDITS for how in "fhHxo"),
    *("j" + other for other in "aAblmtTeX#f"),
)
"""Of the letters in a group only one may be given."""


def main(argv: list[str]) -> int:
    """Run ``postconf`` with the arguments after the program name; returns the exit status.

    Raises:
        Fatal: bad usage. ConfigError: unreadable files, bad syntax.
    """
    found, operands = options(argv, "aAbc:C:deEfFhHjlmMno:pPqtT:vxX#", USAGE)
    if not found.keys() & set("X#abt") and any("=" in operand for operand in operands):
        found.setdefault("e", [""])
    _refuse_clashes(found)
    console = Console("postconf")
    lines = _run(found, operands, console)
    if lines is not None:
        _print(_array(lines) if "j" in found else lines)
    return 0


def _refuse_clashes(found: Mapping[str, list[str]]) -> None:
    for group in _CLASHES:
        given = [letter for letter in group if letter in found]
        if len(given) > 1:
            raise Fatal("specify one of " + " ".join(f"-{letter}" for letter in given), EX_USAGE)
    mode = next((letter for letter in _MASTER if letter in found), "")
    refused = {"M": "dnChH", "F": "dnCX#", "P": "dnC#"}.get(mode, "")
    if clash := [letter for letter in refused if letter in found]:
        raise Fatal(f"with option -{mode}, do not specify -{clash[0]}", EX_USAGE)


def _run(found: dict[str, list[str]], operands: Sequence[str], console: Console) -> Iterable[str] | None:
    """What to print, or None after an edit."""
    from gateway.cli import postconf_features, postconf_show

    feature = next((letter for letter in _FEATURES if letter in found), "")
    directory = config_directory(found.get("c", [""])[-1])
    if feature:
        return postconf_features.listed(feature, found[feature][-1], directory, console)
    if "b" in found or "t" in found:
        if len(operands) > 1:
            raise Fatal("-b and -t take one template file", EX_USAGE)
        config = postconf_show.configured(directory, found)
        return postconf_features.bounce_templates(config, operands, console, is_expanded="b" in found)
    mode = next((letter for letter in _MASTER if letter in found), "p")
    if edits := [letter for letter in _EDITS if letter in found]:
        edit = edit_main if mode == "p" else edit_master
        edit(directory, mode, edits[0], operands, console)
        return None
    view = postconf_show.View(*(letter not in found for letter in "hH"), *(letter in found for letter in "fxjq"))
    if mode == "p":
        return postconf_show.settings(directory, found, operands, view, console)
    return postconf_show.services(postconf_show.configured(directory, found), mode, operands, view, console)


def _array(objects: Iterable[str]) -> Iterator[str]:
    """A JSON array of these objects, one on a line."""
    yield "["
    last = ""
    for item in objects:
        if last:
            yield f"{last},"
        last = item
    yield from (last, "]") if last else ("]",)


def _print(lines: Iterable[str]) -> None:
    """Values may have octets that are no UTF-8: they go out as they came in."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
    for line in lines:
        print(line)
