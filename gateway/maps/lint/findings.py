"""What a check finds: values with a place, and their collection."""

from __future__ import annotations

import re
from collections import Counter
from enum import Enum

import msgspec

from gateway.model.errors import ConfigError

FILE_LIMIT = 50
"""Findings of one kind that are told of one file; of more only the number."""

_PLACE = re.compile(r"(?:table \S+: )?(?P<file>/[^:]*), line (?P<line>[0-9]+): (?P<text>.*)", re.DOTALL)


class Severity(Enum):
    """Whether the gateway starts with it."""

    ERROR = "error"
    WARNING = "warning"


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    Args:
        severity: see there.
        text: what is wrong, without the place.
        file, line: where; empty and 0 when it is nowhere in particular.
        parameter: of main.cf, when it is about one.
    """

    severity: Severity
    text: str
    file: str = ""
    line: int = 0
    parameter: str = ""

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return where + (f"{self.parameter}: " if self.parameter else "") + self.text


class Report:
    """Collects findings, each once and not too many of one file."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}
        self._count: Counter[tuple[str, Severity]] = Counter()
        self._raised: list[str] = []

    def add(self, finding: Finding) -> None:
        """Take a finding; octets that are no UTF-8 are shown as a mark."""
        text = finding.text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        finding = msgspec.structs.replace(finding, text=text)
        if finding in self._found:
            return
        if finding.line:
            self._count[finding.file, finding.severity] += 1
            if self._count[finding.file, finding.severity] > FILE_LIMIT:
                return
        self._found[finding] = None

    def warn(self, text: str, file: str = "", line: int = 0, parameter: str = "") -> None:
        """Take a warning."""
        self.add(Finding(Severity.WARNING, text, file, line, parameter))

    def warn_of(self, text: str) -> None:
        """Take a warning whose text says where: ``file, line 3: what``."""
        match = _PLACE.fullmatch(text)
        if match:
            self.warn(match["text"], match["file"], int(match["line"]))
        else:
            self.warn(text)

    def fail(self, error: Exception, *, raised: ConfigError | None = None) -> None:
        """Take an error.

        Args:
            raised: what was raised, when ``error`` says it better.
        """
        if any(text in str(error) for text in self._raised):
            return  # somebody else met the same fault
        self._raised.append(str(raised or error))
        if isinstance(error, ConfigError):
            self.add(Finding(Severity.ERROR, error.message, error.file, error.line, error.parameter))
        else:
            self.add(Finding(Severity.ERROR, str(error)))

    @property
    def findings(self) -> list[Finding]:
        """All of them, in the order in which they came."""
        more = [
            Finding(severity, f"{count - FILE_LIMIT} more {severity.value}s", file)
            for (file, severity), count in self._count.items()
            if count > FILE_LIMIT
        ]
        return [*self._found, *more]
