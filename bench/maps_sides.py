"""Both ways to ask a table: Debian's ``postmap -q -``, and :mod:`bench.maps_lookups`. A process each."""

from __future__ import annotations

import array
import fcntl
import json
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
from peers.ports import wait_for

from bench.maps_content import known
from bench.maps_made import Made

_PIPE_KEYS = 1000  # fit into a pipe
_STARTS = 3
_SLOW_START_S = 3.0
_LOAD_S = 120.0
_ROOT = Path(__file__).parent.parent


@dataclass
class Result:
    """One run: lookups a second, and octets of memory."""

    rate: float
    peak_bytes: float


class _Waiting:
    """A postmap that gets its keys in a pipe.

    Its memory can be read while it waits for more; at its end nobody can.
    """

    def __init__(self, pid: int, pipe: IO[bytes]) -> None:
        self._process, self._pipe = psutil.Process(pid), pipe

    def answer(self, wanted: list[str]) -> float:
        """Give it keys that fit into the pipe; the seconds until it waits for more."""
        start = time.perf_counter()
        self._pipe.write(_as_lines(wanted))
        self._pipe.flush()
        wait_for(self._is_idle, "postmap", _LOAD_S, 0.005)
        return time.perf_counter() - start

    def _is_idle(self) -> bool:
        return _is_empty(self._pipe) and self._process.status() == psutil.STATUS_SLEEPING

    def peak_bytes(self) -> int:
        """Its peak so far."""
        text = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM:"))


@dataclass(frozen=True)
class Sides:
    """Asks one table.

    Args:
        made: the table.
        directory: with Postfix's main.cf.
    """

    made: Made
    directory: Path

    def theirs(self, wanted: list[str]) -> Result:
        """Debian's postmap."""
        spec, few = self.made.spec, wanted[:_PIPE_KEYS]
        with self._waiting("static:x") as postmap:
            postmap.answer(few)
            nothing = postmap.peak_bytes()
        with self._waiting(spec) as postmap:
            start_s = postmap.answer(few[:1])
            seconds = postmap.answer(few[1:])
            peak = max(postmap.peak_bytes() - nothing, 0)
        # One start that takes longer than all lookups differs by more than those from the next.
        if start_s > _SLOW_START_S:
            return Result((len(few) - 1) / seconds, peak)
        start_s = min(self._postmap(spec, wanted[:1]) for _ in range(_STARTS))
        seconds = self._postmap(spec, wanted) - start_s
        return Result((len(wanted) - 1) / max(seconds, 1e-6), peak)

    def ours(self, wanted: list[str], at_once: int = 1) -> Result:
        """The gateway's tables."""
        path = self.directory / "keys"
        path.write_bytes(_as_lines(wanted))
        done = subprocess.run(
            [*self.made.command, sys.executable, "-m", "bench.maps_lookups", self.made.spec, str(path),
             "--directory", str(self.directory), "--at-once", str(at_once)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, cwd=_ROOT, env=self.made.environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        said = json.loads(done.stderr.splitlines()[-1])
        expected = known(self.made.spec.partition(":")[0], len(wanted))
        assert said["found"] == expected, f"{self.made.spec}: {said['found']} found, not {expected}"
        return Result(len(wanted) / said["lookups_s"], said["peak_bytes"])

    def _started(self, spec: str, stdin: IO[bytes] | int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.made.command, "/usr/sbin/postmap", "-c", str(self.directory), "-q", "-", spec],
            stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self.made.environment,
        )  # fmt: skip

    def _postmap(self, spec: str, wanted: list[str]) -> float:
        """Run it with keys on its standard input; the seconds it took."""
        with tempfile.TemporaryFile() as stdin:
            stdin.write(_as_lines(wanted))
            stdin.seek(0)
            start = time.perf_counter()
            process = self._started(spec, stdin)
            _, said = process.communicate()
            seconds = time.perf_counter() - start
        fine = process.returncode in (0, 1) and not any(word in said for word in (b"fatal", b"error", b"warning"))
        assert fine, said[:2000].decode(errors="replace")
        return seconds

    @contextmanager
    def _waiting(self, spec: str) -> Iterator[_Waiting]:
        """One that waits for keys."""
        process = self._started(spec, subprocess.PIPE)
        assert process.stdin is not None and process.stderr is not None
        with process, process.stdin as stdin:
            yield _Waiting(process.pid, stdin)


def _as_lines(wanted: list[str]) -> bytes:
    return "".join(f"{key}\n" for key in wanted).encode()


def _is_empty(pipe: IO[bytes]) -> bool:
    """True when the other side has read everything."""
    waiting = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return not waiting[0]
