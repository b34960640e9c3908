from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.parameter import Parameter, boolean, choice, integer, seconds, size, text, words
from gateway.config.values import BadValue, Value, convert, parse_boolean, parse_integer, parse_seconds, split_words


@pytest.mark.parametrize(
    ("written", "unit", "expected"),
    [("30", "s", 30), ("30", "m", 1800), ("5m", "s", 300), ("1h", "d", 3600), ("2d", "s", 172800), ("1w", "s", 604800), ("0", "d", 0), (" 7S ", "h", 7)],
)  # fmt: skip
def test_times(written: str, unit: str, expected: int) -> None:
    assert parse_seconds(written, unit) == expected


@pytest.mark.parametrize("written", ["", "x", "5x", "5 s", "1.5h", "-1", "5mm", "s", "٣"])
def test_bad_times(written: str) -> None:
    with pytest.raises(BadValue, match="not a time"):
        parse_seconds(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", ()),
        ("a, b\tc,,d", ("a", "b", "c", "d")),
        ("permit_mynetworks,reject", ("permit_mynetworks", "reject")),
        ("check_x inline:{ {a = b, c} } z", ("check_x", "inline:{ {a = b, c} }", "z")),
        ("{ a b }, c", ("{ a b }", "c")),
        ("a } {b }c", ("a", "}", "{b }c")),
        ("a\u00a0b", ("a\u00a0b",)),
    ],
)
def test_words(written: str, expected: tuple[str, ...]) -> None:
    assert split_words(written) == expected


@pytest.mark.parametrize("written", ["a {b", "{{a}"])
def test_braces_must_match(written: str) -> None:
    with pytest.raises(BadValue):
        split_words(written)


@given(st.lists(st.text(alphabet="abc=:/$", min_size=1)))
def test_words_come_back(items: list[str]) -> None:
    assert split_words(", ".join(items)) == tuple(items)


def test_booleans_and_integers() -> None:
    assert parse_boolean(" Yes ") is True
    assert parse_boolean("no") is False
    assert parse_integer("-12") == -12
    for wrong in ("true", "1", ""):
        with pytest.raises(BadValue):
            parse_boolean(wrong)
    for wrong in ("", "1.0", "0x10", "1_000", "9" * 30):
        with pytest.raises(BadValue):
            parse_integer(wrong)


@pytest.mark.parametrize(
    ("parameter", "written", "expected"),
    [
        (text("p"), " as is ", " as is "),
        (words("p"), "a b", ("a", "b")),
        (boolean("p", "no"), "yes", True),
        (integer("p", "1", low=1, high=9), "9", 9),
        (size("p", "1"), "10240000", 10240000),
        (seconds("p", "1h", unit="h"), "2", 7200.0),
        (choice("p", "no", "no yes"), "YES", "yes"),
        (choice("p", "", "haproxy", may_be_empty=True), "", ""),
    ],
)
def test_conversion(parameter: Parameter, written: str, expected: Value) -> None:
    value = convert(written, parameter)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("parameter", "written", "message"),
    [
        (integer("p", "1", low=1), "0", "less than the minimum 1"),
        (integer("p", "1", high=9), "10", "more than the maximum 9"),
        (seconds("p", "1s"), "0s", "less than the minimum 1s"),
        (choice("p", "a", "a b", may_be_empty=True), "c", r"expected one of: \(empty\), a, b"),
    ],
)
def test_limits_say_what_would_be_right(parameter: Parameter, written: str, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        convert(written, parameter)
