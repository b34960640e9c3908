"""Source files: logical lines, records, what is left out and what is said of it."""

from __future__ import annotations

import io

import pytest

from gateway.maps.database import records as module
from gateway.maps.database.records import Record, logical_lines, record_blocks, records, shown


def parsed(text: bytes, *, in_utf8: bool = True, folds: bool = True) -> tuple[list[Record], list[tuple[int, str]]]:
    """By lines and by blocks, which must say the same."""
    told: list[tuple[int, str]] = []
    again: list[tuple[int, str]] = []
    lines = text.split(b"\n")
    one = list(records(lines, lambda at, what: told.append((at, what)), in_utf8=in_utf8, folds=folds))
    blocks = record_blocks(io.BytesIO(text), lambda at, what: again.append((at, what)), in_utf8=in_utf8, folds=folds)
    other = [record for block in blocks for record in block]
    assert (one, told) == (other, again)
    return one, told


def test_lines() -> None:
    text = b"a 1\n# c\n b\n\n \t\nd\n\vmore\n#\n\r\ne"
    assert list(logical_lines(text.split(b"\n"))) == [(b"a 1 b", 1), (b"d\vmore", 6), (b"e", 10)]
    assert list(logical_lines([b"a\n", b" b\n"], 7)) == [(b"a b", 7)]
    assert list(logical_lines([])) == []


def test_records() -> None:
    found, told = parsed(b'Key One value \nx\ty\r\n"a B"@c  d\\ \ne\\ f g\nh i\n  j\n')
    assert found == [
        (b"key", b"One value", 1),
        (b"x", b"y", 2),
        (b'"a b"@c', b"d\\", 3),
        (b"e\\ f", b"g", 4),
        (b"h", b"i  j", 5),
    ]
    assert told == []


def test_case_can_be_kept() -> None:
    assert parsed(b"A B\n", folds=False)[0] == [(b"A", b"B", 1)]
    assert parsed(b'"A" B\n', folds=False)[0] == [(b'"A"', b"B", 1)]


EXPECTED = "expected format: key whitespace value -- ignoring this line"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"key", EXPECTED),
        (b"key \t", EXPECTED),
        (b"\\", EXPECTED),
        (b'"a" \t', EXPECTED),
        (b'"a b', """unbalanced '"' in '"a b' -- ignoring this line"""),
        (b'a"b c', """unbalanced '"' in 'a"b c' -- ignoring this line"""),
        (b'"a\\', """unbalanced '"' in '"a\\' -- ignoring this line"""),
        (b"a b\0", "NUL character -- ignoring this line"),
        (b"a\xff b\x01", 'non-UTF-8 input "a? b?" -- ignoring this line'),
    ],
)
def test_what_is_no_record_is_left_out(line: bytes, said: str) -> None:
    found, told = parsed(b"first 1\n" + line + b"\nlast 2\n")
    assert [key for key, _, _ in found] == [b"first", b"last"]
    assert told == [(2, said)]


def test_odd_records_stay() -> None:
    found, told = parsed(b"a: b\n")
    assert found == [(b"a:", b"b", 1)]
    assert told == [(1, 'record is in "key: value" format; is this an alias file?')]
    assert parsed(b"a\xff \xff\n", in_utf8=False)[0] == [(b"a\xff", b"\xff", 1)]


def test_an_indented_first_line_continues_nothing() -> None:
    found, told = parsed(b"  a b\n " + b"x" * 40 + b"\nc d\n")
    assert found == [(b"c", b"d", 3)]
    assert told == [(0, 'logical line must not start with whitespace: "  a b xxxxxxxxxxxxxxxxxxxxxxxx..."')]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 1000])
def test_blocks_of_any_size_make_the_same_records(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"# c\na 1\nb 2\n  more\n\n#x\n y\nc 3\n\xc3\x89 4\nbad\n" + b"d" * 50 + b" 5\ne 6"
    told: list[tuple[int, str]] = []
    expected = list(records(text.split(b"\n"), lambda at, what: told.append((at, what)), in_utf8=True))
    monkeypatch.setattr(module, "BLOCK", size)
    again: list[tuple[int, str]] = []
    blocks = record_blocks(io.BytesIO(text), lambda at, what: again.append((at, what)), in_utf8=True)
    assert [record for block in blocks for record in block] == expected
    assert again == told


def test_what_cannot_be_printed_is_masked() -> None:
    assert shown(b"a\x1b\xc3\xa9") == "a?é"
