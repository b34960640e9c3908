"""aliases(5): names, values, and what postalias(1) adds."""

from __future__ import annotations

import pytest

from gateway.maps.database.aliases import END_MARK, alias_records, external, nis_records
from gateway.rfc.address.tokens import scan


def parsed(text: str) -> tuple[dict[str, str], list[tuple[int, str]]]:
    told: list[tuple[int, str]] = []
    lines = text.encode("utf-8", "surrogateescape").split(b"\n")
    found = alias_records(lines, lambda at, what: told.append((at, what)), in_utf8=True)
    return {key.decode(): value.decode() for key, value, _ in found}, told


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("Root: me", "root", "me"),
        ('"Joe User" : a,b ,  c', "joe user", "a, b, c"),
        ('"x:y": z', "x:y", "z"),
        ("x: |cmd arg", "x", "|cmd arg"),
        ('x: "|cmd  arg", /dev/null, :include:/etc/list', "x", '"|cmd  arg", /dev/null, :include:/etc/list'),
        ("x: a@b.example (comment)", "x", "a@b.example (comment)"),
        ("x: Bob Smith <b@c>,\n  d", "x", "Bob Smith <b@c>, d"),
        ("x: a\\ b", "x", '"a b"'),
        ('x: ""', "x", '""'),
        ('"": x', "", "x"),
        ("É: é", "é", "é"),
        ("owner-list: a, ", "owner-list", "a, "),
        ("x: [192.0.2.1]", "x", "[192.0.2.1]"),
        ("x: a <b>", "x", "a <b>"),
    ],
)
def test_definitions(line: str, name: str, value: str) -> None:
    assert parsed(line) == ({name: value}, [])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x", "need name:value pair"),
        ("x:", "need name:value pair"),
        (": y", "need name:value pair"),
        ("a, b: c", "need name:value pair"),
        ("a@b: c", "name must be local"),
        ("a%b: c", "name must be local"),
        ("a\udcff: c", 'non-UTF-8 input "a?: c" -- ignoring this line'),
    ],
)
def test_what_is_no_definition_is_left_out(line: str, said: str) -> None:
    assert parsed(line + "\nok: x") == ({"ok": "x"}, [(1, said)])


def test_case_can_be_kept() -> None:
    assert next(iter(alias_records([b"A: b"], lambda *_: None, in_utf8=True, folds=False))) == (b"A", b"b", 1)


def test_signatures() -> None:
    assert END_MARK == (b"@", b"@")
    assert nis_records("mx.example", 7.9) == [(b"YP_LAST_MODIFIED", b"0000000007"), (b"YP_MASTER_NAME", b"mx.example")]
    assert int(nis_records("mx")[0][1]) > 1_600_000_000


def test_words_are_kept_apart() -> None:
    assert external(scan('a"b c"d<e>,f')) == 'a "b c" d <e>, f'
