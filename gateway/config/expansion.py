"""The ``$name`` language of main.cf values.

Owns the grammar; asks a callback for the value of a name, so it knows neither files nor parameters. Forms: ``$name``,
``${name}``, ``$(name)``, ``${name?text}``, ``${name:text}``, ``${name?{text}:{text}}``, the relational
``${{left} op {right} ? {text} : {text}}`` with ``== != < <= > >=`` (numbers when both sides are, else by octets) and
``<level …`` (compatibility levels), and ``$$``. Texts are expanded only when they are chosen. Source: postconf(5).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.config.levels import parse_level
from gateway.config.lines import BLANKS

MAX_DEPTH = 100
"""Nesting of expressions within expressions, as in Postfix."""

Lookup = Callable[[str], str | None]
"""Expanded value of a parameter, None when there is none. May raise :class:`ExpansionError`."""

_NAME = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_RELATION = re.compile(r"([<>=!]+)(level)?\s*", re.ASCII)
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_CLOSING = {"{": "}", "(": ")"}
_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class ExpansionError(ValueError):
    """The text is wrong, or a parameter refers to itself."""


def expand(text: str, lookup: Lookup, raw: Lookup | None = None, depth: int = 0) -> str:
    """Replace every ``$`` expression of a text.

    Args:
        text: raw value.
        lookup: value of a name, already expanded; it is the callback's work to detect loops.
        raw: value of a name, not expanded, for ``${name?text}``: Postfix asks whether something is written there, not
            what becomes of it. None: ``lookup`` says.
    Raises:
        ExpansionError: syntax; the message shows where.
    """
    return _expand(text, _Names(lookup, raw or lookup), depth)


class _Names(msgspec.Struct, frozen=True):
    """Where values come from: for use, and for the question whether there is one."""

    use: Lookup
    test: Lookup


def _expand(text: str, names: _Names, depth: int) -> str:
    at = text.find("$")
    if at < 0:
        return text
    if depth > MAX_DEPTH:
        raise ExpansionError(f"more than {MAX_DEPTH} expressions inside each other")
    parts: list[str] = []
    done = 0
    while at >= 0:
        parts.append(text[done:at])
        following = text[at + 1 : at + 2]
        if following == "$":
            parts.append("$")
            done = at + 2
        elif following in _CLOSING:
            end = _closing(text, at + 1)
            parts.append(_evaluate(text[at + 2 : end], names, depth))
            done = end + 1
        else:
            name = _NAME.match(text, at + 1)
            if name is None:
                raise ExpansionError(f'"$" without a name at "{_near(text, at)}" (write "$$" for a dollar sign)')
            parts.append(names.use(name[0]) or "")
            done = name.end()
        at = text.find("$", done)
    parts.append(text[done:])
    return "".join(parts)


def referenced(text: str) -> set[str]:
    """The names a raw text mentions, in chosen and unchosen branches alike; bad syntax mentions nothing."""
    return {match[1] for match in re.finditer(r"(?<!\$)(?:\$\$)*\$[({]?\s*([A-Za-z0-9_]+)", text, re.ASCII)}


def _near(text: str, at: int) -> str:
    return text[at : at + 24]


def _closing(text: str, at: int) -> int:
    """Index of the bracket that closes the one at ``at``; only brackets of the same kind count."""
    opener, closer = text[at], _CLOSING[text[at]]
    level = 0
    for index in range(at, len(text)):
        if text[index] == opener:
            level += 1
        elif text[index] == closer:
            level -= 1
            if level == 0:
                return index
    raise ExpansionError(f'"{opener}" is never closed at "{_near(text, max(at - 1, 0))}"')


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def _braced(text: str, at: int) -> tuple[str, int]:
    """The text inside the ``{}`` at ``at``, and the index after it and any blanks."""
    end = _closing(text, at)
    return text[at + 1 : end], _skip_blanks(text, end + 1)


def _evaluate(body: str, names: _Names, depth: int) -> str:
    """Value of the inside of ``${…}``."""
    at = _skip_blanks(body, 0)
    if body[at : at + 1] == "{":
        subject, at = _relation(body, at, names, depth)
        return subject if at == len(body) else _expand(_branch(body, at, is_true=bool(subject)), names, depth + 1)
    name = _NAME.match(body, at)
    if name is None:
        raise ExpansionError(f'a name is missing in "${{{body[:24]}}}"')
    at = _skip_blanks(body, name.end())
    if at == len(body):
        return names.use(name[0]) or ""
    return _expand(_branch(body, at, is_true=bool(names.test(name[0]))), names, depth + 1)


def _relation(body: str, at: int, names: _Names, depth: int) -> tuple[str, int]:
    """``{left} op {right}``: ``true`` or nothing, and the index after it."""
    left, at = _braced(body, at)
    sign = _RELATION.match(body, at)
    compare = _RELATIONS.get(sign[1]) if sign else None
    if sign is None or compare is None:
        raise ExpansionError(f'expected one of == != < <= > >= at "{_near(body, at)}"')
    if body[sign.end() : sign.end() + 1] != "{":
        raise ExpansionError(f'expected "{{" at "{_near(body, sign.end())}"')
    right, at = _braced(body, sign.end())
    sides = _expand(left, names, depth + 1), _expand(right, names, depth + 1)
    return ("true" if _compare(*sides, compare, is_level=sign[2] is not None) else ""), at


def _compare(left: str, right: str, compare: Callable[[Any, Any], bool], *, is_level: bool) -> bool:
    if is_level:
        try:
            return compare(parse_level(left), parse_level(right))
        except ValueError as error:
            raise ExpansionError(str(error)) from None
    if _NUMBER.fullmatch(left) and _NUMBER.fullmatch(right):
        # The lengths are bounded by the file; int() of a long run of digits is not linear.
        if len(left) > 19 or len(right) > 19:
            raise ExpansionError("a number of more than 19 digits cannot be compared")
        return compare(int(left), int(right))
    return compare(left.encode("utf-8", "surrogateescape"), right.encode("utf-8", "surrogateescape"))


def _branch(body: str, at: int, *, is_true: bool) -> str:
    """The chosen text of ``?then``, ``?{then}:else``, ``?{then}:{else}`` or ``:else``, not yet expanded."""
    then = otherwise = ""
    expected = '"?" or ":"'
    if body[at] == "?":
        start = _skip_blanks(body, at + 1)
        if body[start : start + 1] != "{":
            return body[at + 1 :] if is_true else ""
        then, at = _braced(body, start)
        expected = '":"'
        if at == len(body):
            return then if is_true else ""
    if body[at] != ":":
        raise ExpansionError(f'expected {expected} at "{_near(body, at)}"')
    start = _skip_blanks(body, at + 1)
    if body[start : start + 1] == "{":
        otherwise, at = _braced(body, start)
        if at != len(body):
            raise ExpansionError(f'nothing may follow at "{_near(body, at)}"')
    else:
        otherwise = body[at + 1 :]
    return then if is_true else otherwise
