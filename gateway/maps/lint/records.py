"""Source files of ``key value`` lines: bad lines, keys that stand twice, keys that nobody asks for.

Source: access(5), transport(5), canonical(5), virtual(5), postmap(1).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec

from gateway.maps.database.aliases import alias_records
from gateway.maps.database.records import Record, record_blocks, shown
from gateway.maps.folding import decoded
from gateway.maps.lint.findings import Finding, Report, Severity
from gateway.maps.lint.uses import Lookup

_NETWORK = re.compile(r"\[?[0-9a-f:.]+\]?/[0-9]+\]?")
# What a reason can be found in; a key without it needs no look.
_SUSPECT = re.compile(rb"[.]$|^[.@]|/|:|\[|@")


class Style(msgspec.Struct, frozen=True):
    """What keys depend on beside the parameter.

    Args:
        in_utf8: ``smtputf8_enable``.
        parent_access, parent_domains: in access tables, and in the list itself, ``example.com`` stands for its
            subdomains, and ``.example.com`` for nothing.
        null_keys: what stands for the null sender.
    """

    in_utf8: bool = True
    parent_access: bool = True
    parent_domains: bool = True
    null_keys: frozenset[str] = frozenset({"<>"})


def lint_records(path: str, lookups: Sequence[Lookup], style: Style, report: Report, *, is_opened: bool) -> None:
    """Read a source file.

    Args:
        path: the file; it may be missing.
        lookups: what the table is asked for, everywhere.
        is_opened: bad lines and double keys were told when the table was opened.
    """
    first: dict[bytes, int] = {}
    is_alias = Lookup.ALIAS in lookups
    has_reasons = all(lookup in _REASONS for lookup in lookups)
    suspect = _SUSPECT.search if has_reasons and Lookup.SENDER not in lookups else lambda _key: has_reasons

    def problem(line: int, text: str) -> None:
        if not is_opened:
            report.add(Finding(Severity.WARNING, text.removesuffix(" -- ignoring this line"), path, line))

    try:
        with open(path, "rb") as file:
            read = partial(alias_records, file) if is_alias else partial(_records, file)
            for key, _, line in read(problem, in_utf8=style.in_utf8):
                earlier = first.setdefault(key, line)
                if earlier != line:
                    problem(line, f'"{shown(key)}" stands in line {earlier} already; that one counts')
                elif suspect(key) and (reason := never_asked(decoded(key), lookups, style)):
                    report.warn(f'"{shown(key)}" is never asked for: {reason}', path, line)
    except OSError:
        return


def _records(file: object, problem: Callable[[int, str], None], *, in_utf8: bool) -> Iterable[Record]:
    for block in record_blocks(file, problem, in_utf8=in_utf8):  # type: ignore[arg-type]  # a binary file
        yield from block


def never_asked(key: str, lookups: Sequence[Lookup], style: Style) -> str:
    """Why no lookup of any of the kinds can find the key; empty when one may."""
    reasons = [_REASONS[lookup](key, style) if lookup in _REASONS else "" for lookup in lookups]
    return reasons[0] if reasons and all(reasons) else ""


def _client(key: str, style: Style) -> str:
    if "@" in key:
        return "clients have names and addresses, no @"
    if _NETWORK.fullmatch(key):
        return "a network with a prefix length is found in a cidr: table only"
    return _domain_form(key, is_parent=style.parent_access) or _ip_form(key)


def _ip_form(key: str) -> str:
    bare = key.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return ""
    right = address.compressed
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        right = str(address.ipv4_mapped)
    return "" if right == key else f"write {right}"


def _domain_form(key: str, *, is_parent: bool) -> str:
    if key.endswith("."):
        return f"write {key.rstrip('.')} without the dot"
    if key.startswith(".") and is_parent:
        return f"write {key[1:]}, which stands for its subdomains too (parent_domain_matches_subdomains)"
    return ""


def _address_access(key: str, style: Style) -> str:
    if key.startswith("@"):
        return f"write {key[1:]} without @"
    return _domain_form(key, is_parent=style.parent_access)


def _transport(key: str, _style: Style) -> str:
    if key.startswith("@"):
        return f"write {key[1:]} without @"
    return _domain_form(key, is_parent=False)


def _sender(key: str, style: Style) -> str:
    if "@" not in key and key not in style.null_keys:
        return f"senders are looked up as user@domain and @domain: write @{key}" if "." in key else "no @domain in it"
    return _domain_form(key, is_parent=False)


def _address(key: str, _style: Style) -> str:
    return _domain_form(key, is_parent=False) if "@" in key else ""


def _domain(key: str, *, is_parent: bool) -> str:
    if "@" in key:
        return "only domains are looked up here"
    return _domain_form(key, is_parent=is_parent)


_REASONS: dict[Lookup, Callable[[str, Style], str]] = {
    Lookup.CLIENT: _client,
    Lookup.ADDRESS_ACCESS: _address_access,
    Lookup.HELO: lambda key, style: _domain_form(key, is_parent=style.parent_access) if key.startswith(".") else "",
    Lookup.TRANSPORT: _transport,
    Lookup.SENDER: _sender,
    Lookup.ADDRESS: _address,
    Lookup.PARENT_DOMAIN: lambda key, style: _domain(key, is_parent=style.parent_domains),
    Lookup.DOMAIN: lambda key, _style: _domain(key, is_parent=False),
}
