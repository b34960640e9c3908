"""``postmap`` and its relatives, ours, run in the test's own process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway import cli


class Said(NamedTuple):
    """What a tool said."""

    status: int
    out: bytes
    err: str


class Tool:
    """The tools, in a directory with a main.cf.

    Args:
        directory: current and configuration directory. read: takes what was written since, and gives out and err.
    """

    def __init__(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[], tuple[bytes, bytes]]
    ) -> None:
        self.directory, self._monkeypatch, self._read = directory, monkeypatch, read
        monkeypatch.chdir(directory)
        monkeypatch.setenv("MAIL_CONFIG", os.fspath(directory))
        self.configure()

    def configure(self, **settings: str) -> None:
        """Write main.cf; the log goes to a file beside it."""
        log = {"maillog_file": f"{self.directory}/log", "maillog_file_prefixes": os.fspath(self.directory)}
        settings = {"compatibility_level": "3.6"} | log | settings
        (self.directory / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))

    def run(self, name: str, *arguments: str, stdin: bytes = b"") -> Said:
        """Run a tool."""
        path = self.directory / "stdin"
        path.write_bytes(stdin)
        self._read()
        with open(path, encoding="utf-8") as file:
            self._monkeypatch.setattr(sys, "stdin", file)
            status = cli.run(name, list(arguments))
        out, err = self._read()
        return Said(status, out, err.decode("utf-8", "replace"))

    def write(self, name: str, text: str) -> None:
        """A source file, long unchanged."""
        path = self.directory / name
        path.write_text(text)
        os.utime(path, (1e9, 1e9))
