"""Findings and their collection."""

from __future__ import annotations

from gateway.maps.lint.findings import FILE_LIMIT, Finding, Report, Severity
from gateway.model.errors import ConfigError


def shown(report: Report) -> list[str]:
    return [f"{finding.severity.value} {finding}" for finding in report.findings]


def test_a_finding_says_where() -> None:
    assert str(Finding(Severity.WARNING, "odd")) == "odd"
    assert str(Finding(Severity.WARNING, "odd", "f", 3)) == "f, line 3: odd"
    assert str(Finding(Severity.WARNING, "odd", "f", parameter="p")) == "f: p: odd"


def test_each_is_told_once() -> None:
    report = Report()
    report.warn("odd", "f", 3)
    report.warn("odd", "f", 3)
    report.warn("odd", "f", 4)
    assert shown(report) == ["warning f, line 3: odd", "warning f, line 4: odd"]


def test_a_file_with_many_is_cut() -> None:
    report = Report()
    for line in range(1, FILE_LIMIT + 8):
        report.warn("odd", "f", line)
    assert len(report.findings) == FILE_LIMIT + 1
    assert str(report.findings[-1]) == "f: 7 more warnings"


def test_a_text_with_a_place_is_taken_apart() -> None:
    report = Report()
    report.warn_of("table regexp:/f: /f, line 3: odd: so odd")
    report.warn_of("/g, line 4: odd")
    report.warn_of("nowhere")
    assert [(found.file, found.line, found.text) for found in report.findings] == [
        ("/f", 3, "odd: so odd"),
        ("/g", 4, "odd"),
        ("", 0, "nowhere"),
    ]


def test_a_fault_that_several_meet_is_one() -> None:
    report = Report()
    error = ConfigError("no such file", file="/t")
    report.fail(ConfigError("no such file (maps)", file="/t"), raised=error)
    report.fail(ConfigError("smtpd: /t: no such file"))
    report.fail(OSError("disk"))
    assert shown(report) == ["error /t: no such file (maps)", "error disk"]


def test_octets_that_are_no_text_are_marked() -> None:
    report = Report()
    report.warn("bad \udcff")
    assert str(report.findings[0]) == "bad \ufffd"
