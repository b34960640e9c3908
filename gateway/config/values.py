"""From text to typed values, with limits. Source: postconf(5); time units as ``conv_time`` of Postfix takes them."""

from __future__ import annotations

import re

from gateway.config.lines import BLANKS, split_outside_braces
from gateway.config.parameter import Kind, Parameter

Value = str | int | float | bool | tuple[str, ...]

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

_TIME = re.compile(r"\s*([0-9]{1,18})([smhdwSMHDW]?)\s*", re.ASCII)
_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,19})\s*", re.ASCII)
_SEPARATORS = "," + BLANKS
_WORD = re.compile(r"[^, \t\n\r\f\v]+")


class BadValue(ValueError):
    """The text is no value of the kind; the message says what would be right."""


def parse_seconds(text: str, unit: str = "s") -> int:
    """A time such as ``30``, ``5m``, ``1d``, in seconds; ``unit`` is that of a bare number.

    Raises:
        BadValue: not a whole number with at most one unit letter.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise BadValue("not a time: expected a whole number and at most one of the units s, m, h, d, w")
    return int(match[1]) * UNIT_SECONDS[match[2].lower() or unit]


def parse_boolean(text: str) -> bool:
    """``yes`` or ``no``, in any case.

    Raises:
        BadValue: anything else.
    """
    match text.strip().lower():
        case "yes":
            return True
        case "no":
            return False
        case _:
            raise BadValue("expected yes or no")


def parse_integer(text: str) -> int:
    """A whole decimal number.

    Raises:
        BadValue: anything else.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise BadValue("not a whole number")
    return int(match[1])


def split_words(text: str) -> tuple[str, ...]:
    """Split at commas and white space; a ``{group}`` stays whole, with its braces and what is inside.

    Raises:
        BadValue: a ``{`` without its ``}``.
    """
    if "{" not in text:
        return tuple(_WORD.findall(text))
    found, unclosed = split_outside_braces(text, _SEPARATORS)
    if unclosed >= 0:
        raise BadValue('a "{" has no "}"')
    return tuple(found)


def _within(value: int, parameter: Parameter, shown_unit: str = "") -> int:
    low, high = parameter.minimum, parameter.maximum
    if low is not None and value < low:
        raise BadValue(f"less than the minimum {low}{shown_unit}")
    if high is not None and value > high:
        raise BadValue(f"more than the maximum {high}{shown_unit}")
    return value


def _choose(text: str, parameter: Parameter) -> str:
    wanted = text.strip().lower()
    for word in parameter.choices:
        if word.lower() == wanted:
            return word
    listed = ", ".join(word or "(empty)" for word in parameter.choices)
    raise BadValue(f"expected one of: {listed}")


def convert(text: str, parameter: Parameter) -> Value:
    """The typed value of an expanded text.

    Raises:
        BadValue: wrong type or out of limits; says what would be right.
    """
    if not text and parameter.minimum:
        raise BadValue("must not be empty")
    match parameter.kind:
        case Kind.INTEGER | Kind.SIZE:
            return _within(parse_integer(text), parameter)
        case Kind.BOOLEAN:
            return parse_boolean(text)
        case Kind.SECONDS:
            return float(_within(parse_seconds(text, parameter.unit), parameter, "s"))
        case Kind.WORDS:
            return split_words(text)
        case Kind.CHOICE:
            return _choose(text, parameter)
        case _:
            return text
