"""Owner, mode and readers of files."""

from __future__ import annotations

import os
import pathlib

import pytest

from gateway.maps.lint.files import files_of, lint_file, lint_readable, lint_secrets
from gateway.maps.lint.findings import Report

ME = frozenset({os.geteuid()})


def file_with(tmp_path: pathlib.Path, mode: int, text: str = "") -> str:
    path = tmp_path / "t"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def texts(report: Report) -> list[str]:
    return [finding.text for finding in report.findings]


@pytest.mark.parametrize(
    ("kind", "name", "files"),
    [
        ("hash", "a", ("/d/a", ("/d/a.db",))),
        ("sdbm", "/a", ("/a", ("/a.dir", "/a.pag"))),
        ("cidr", "/a", ("/a", ())),
        ("cidr", "{ {::1 x} }", ("", ())),
        ("pgsql", "/a.cf", ("/a.cf", ())),
        ("ldap", "prefix", ("", ())),
        ("static", "/a", ("", ())),
    ],
)
def test_files_of_a_table(kind: str, name: str, files: tuple[str, tuple[str, ...]]) -> None:
    assert files_of(kind, name, "/d") == files


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o644, []), (0o664, ["its group may write to it"]), (0o666, ["everybody may write to it"])],
)
def test_modes(tmp_path: pathlib.Path, mode: int, expected: list[str]) -> None:
    report = Report()
    assert lint_file(file_with(tmp_path, mode), report, ME) is not None
    assert texts(report) == expected


def test_owners(tmp_path: pathlib.Path) -> None:
    report = Report()
    lint_file(file_with(tmp_path, 0o644), report, frozenset({os.geteuid() + 1}))
    assert texts(report) == [f"its owner is user {os.geteuid()}, not root"]


def test_what_is_no_file_is_left_alone(tmp_path: pathlib.Path) -> None:
    report = Report()
    assert lint_file(str(tmp_path / "missing"), report, ME) is None
    assert lint_file("/dev/null", report, frozenset()) is not None
    assert texts(report) == []


def test_a_password_that_everybody_may_read(tmp_path: pathlib.Path) -> None:
    text = "hosts = h\n# c\nbind_pw = secret\npassword =\n"
    open_report, closed = Report(), Report()
    lint_secrets(file_with(tmp_path, 0o644, text), open_report)
    assert [(found.text, found.line) for found in open_report.findings] == [
        ("holds a password, and everybody may read it", 3)
    ]
    lint_secrets(file_with(tmp_path, 0o640, text), closed)
    lint_secrets(file_with(tmp_path, 0o644, "no setting\n"), closed)
    lint_secrets(str(tmp_path / "missing"), closed)
    assert closed.findings == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_nobody_can_read(tmp_path: pathlib.Path) -> None:
    report = Report()
    lint_readable(file_with(tmp_path, 0o000), "mail", report)
    assert texts(report) == ["mail may not read it"]


def test_a_file_that_can_be_read(tmp_path: pathlib.Path) -> None:
    report = Report()
    lint_readable(file_with(tmp_path, 0o600), "mail", report)
    lint_readable(str(tmp_path / "missing"), "mail", report)
    assert report.findings == []
