"""Bad lines, double keys, and keys that nobody asks for."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import pytest

from gateway.maps.lint.findings import Report
from gateway.maps.lint.records import Style, lint_records, never_asked
from gateway.maps.lint.uses import Lookup


def told(
    tmp_path: pathlib.Path, text: str, *lookups: Lookup, is_opened: bool = False, style: Style | None = None
) -> list[str]:
    path, report = tmp_path / "t", Report()
    path.write_text(text)
    lint_records(str(path), lookups, style or Style(), report, is_opened=is_opened)
    return [str(finding).removeprefix(f"{path}, line ") for finding in report.findings]


def test_lines_and_double_keys(tmp_path: pathlib.Path) -> None:
    text = "# c\nA.example ok\nnovalue\n  \nb ok\na.EXAMPLE no\n"
    found = told(tmp_path, text, Lookup.OTHER)
    assert found == [
        "3: expected format: key whitespace value",
        '6: "a.example" stands in line 2 already; that one counts',
    ]
    assert told(tmp_path, text, Lookup.OTHER, is_opened=True) == []


def test_aliases_have_their_own_lines(tmp_path: pathlib.Path) -> None:
    assert told(tmp_path, 'root: bob\n"x y": z\nROOT: c\nnone\n', Lookup.ALIAS) == [
        '3: "root" stands in line 1 already; that one counts',
        "4: need name:value pair",
    ]


def test_a_missing_source_is_no_fault() -> None:
    report = Report()
    lint_records("/no/such/file", [Lookup.OTHER], Style(), report, is_opened=False)
    assert report.findings == []


NEVER: list[tuple[Lookup, str, str]] = [
    (Lookup.CLIENT, "10.0.0.0/8", "cidr: table only"),
    (Lookup.CLIENT, "a@b", "no @"),
    (Lookup.CLIENT, "1.2.3.", "write 1.2.3 without the dot"),
    (Lookup.CLIENT, ".example.com", "write example.com,"),
    (Lookup.CLIENT, "2001:0db8::1", "write 2001:db8::1"),
    (Lookup.CLIENT, "[::1]", "write ::1"),
    (Lookup.HELO, ".example.com", "write example.com,"),
    (Lookup.ADDRESS_ACCESS, "@example.com", "write example.com without @"),
    (Lookup.ADDRESS_ACCESS, "user@example.com.", "without the dot"),
    (Lookup.TRANSPORT, "@example.com", "write example.com without @"),
    (Lookup.SENDER, "example.com", "write @example.com"),
    (Lookup.SENDER, "bob", "no @domain"),
    (Lookup.ADDRESS, "bob@example.com.", "without the dot"),
    (Lookup.PARENT_DOMAIN, ".example.com", "write example.com,"),
    (Lookup.PARENT_DOMAIN, "bob@example.com", "only domains"),
    (Lookup.DOMAIN, "@example.com", "only domains"),
]
MAY_BE: list[tuple[Lookup, str]] = [
    *((Lookup.CLIENT, key) for key in ("mail.example.com", "10.0.0", "2001:db8", "2001:db8::1", "unknown")),
    *((Lookup.ADDRESS_ACCESS, key) for key in ("user@", "<>", "example.com", "user@example.com")),
    *((Lookup.TRANSPORT, key) for key in ("*", ".example.com", "bob@example.com")),
    *((Lookup.SENDER, key) for key in ("<>", "@example.com", "bob@example.com")),
    *((Lookup.ADDRESS, key) for key in ("@example.com", "bob", "example.com")),
    *((Lookup.DOMAIN, key) for key in ("example.com", "localhost")),
    *((Lookup.OTHER, key) for key in ("10.0.0.0/8", "@x", "x.")),
    (Lookup.ALIAS, "x."),
]


@pytest.mark.parametrize(("lookup", "key", "reason"), NEVER)
def test_keys_that_nobody_asks_for(tmp_path: pathlib.Path, lookup: Lookup, key: str, reason: str) -> None:
    assert reason in never_asked(key, [lookup], Style())
    (line,) = told(tmp_path, f"{key} x\n", lookup)
    assert line.startswith(f'1: "{key}" is never asked for: ')


@pytest.mark.parametrize(("lookup", "key"), MAY_BE)
def test_keys_that_somebody_may_ask_for(lookup: Lookup, key: str) -> None:
    assert never_asked(key, [lookup], Style()) == ""


def test_one_use_that_may_ask_is_enough() -> None:
    def reason(*lookups: Lookup) -> str:
        return never_asked("@example.com", lookups, Style())

    assert reason(Lookup.DOMAIN, Lookup.ADDRESS_ACCESS)
    assert not reason(Lookup.DOMAIN, Lookup.ADDRESS)
    assert not reason()


def test_a_leading_dot_counts_where_parents_do_not_stand_for_subdomains() -> None:
    style = Style(parent_access=False, parent_domains=False)
    lookups: Sequence[Lookup] = (Lookup.CLIENT, Lookup.HELO, Lookup.ADDRESS_ACCESS, Lookup.PARENT_DOMAIN)
    assert [never_asked(".example.com", [lookup], style) for lookup in lookups] == ["", "", "", ""]


def test_the_null_sender_has_the_key_that_main_cf_gives_it() -> None:
    assert never_asked("null", [Lookup.SENDER], Style(null_keys=frozenset({"null"}))) == ""
