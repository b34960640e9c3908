"""Debian's postmap as the oracle of what a lookup gives, with a main.cf of its own.

oracle = PostmapOracle(tmp_path)
oracle.ask("inline:{a=b}", ["a", "c"])   # [("a", "b")]
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROGRAM = "/usr/sbin/postmap"
LONG_AGO = 1_000_000_000
"""A file's time: Postfix reads a fresh file again and again until it is a second old."""


class PostmapOracle:
    """Asks tables.

    Args:
        directory: for main.cf, and where the program runs: relative names of sockets start here.
        timeout_s: of each run.
    """

    def __init__(self, directory: Path, *, timeout_s: float = 30) -> None:
        main = directory / "main.cf"
        main.write_text("compatibility_level = 3.6\nsmtputf8_enable = yes\n")
        os.utime(main, (LONG_AGO, LONG_AGO))
        self._directory, self._timeout_s = directory, timeout_s

    def ask(self, spec: str, keys: list[str]) -> list[tuple[str, str]]:
        """Keys that were found, with their values, in order; complaints are an AssertionError."""
        done = self.run(spec, "-", "".join(f"{key}\n" for key in keys))
        assert done.returncode in (0, 1), done.stderr
        assert not done.stderr, done.stderr
        lines = done.stdout.decode("utf-8", "surrogateescape").splitlines()
        return [(line.partition("\t")[0], line.partition("\t")[2]) for line in lines]

    def complaint(self, spec: str, key: str = "a") -> str:
        """What it says about one lookup, besides the value."""
        return self.run(spec, key).stderr.decode(errors="replace")

    def complaints(self, specs: Iterable[str]) -> dict[str, str]:
        """The same about many, at a time: it waits a second before it ends in a fatal error."""
        return self.each(self.complaint, specs)

    def each(self, run: Callable[[str], str], specs: Iterable[str]) -> dict[str, str]:
        """What ``run`` says about each of the tables, all of them in threads."""
        specs = list(specs)
        with ThreadPoolExecutor(len(specs)) as pool:
            return dict(zip(specs, pool.map(run, specs), strict=True))

    def run(self, spec: str, key: str, text: str = "") -> subprocess.CompletedProcess[bytes]:
        """One run of ``postmap -q key spec``, with ``text`` as its input."""
        return subprocess.run(
            [PROGRAM, "-c", str(self._directory), "-q", key, spec],
            input=text.encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=self._timeout_s,
            check=False,
            cwd=self._directory,
        )
