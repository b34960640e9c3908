"""Both mail systems as private instances, and what their processes cost.

CPU is ``utime + stime`` of every process of the mail system, children that have ended included, read before and after.
Memory is the proportional set size where pages are shared (PSS), so that forked workers are not counted twice.
Both systems keep their queues in the same directory of a real filesystem: a queue in memory would make fsync free.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from peers.gateway import GatewayInstance
from peers.instance import MailInstance
from peers.ports import NotReady
from peers.postfix import PostfixInstance

import gateway.spool.commit

POSTFIX, GATEWAY = "postfix", "gateway"
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_TICKS = os.sysconf("SC_CLK_TCK")

CONCURRENCY = (1, 2, 5, 10, 20, 50, 100, 200)

# What both are told, so that the load of one loopback client is no offence.
OPEN_LIMITS = {
    "smtpd_client_connection_count_limit": "0",
    "smtpd_client_connection_rate_limit": "0",
    "smtpd_client_message_rate_limit": "0",
    "message_size_limit": "100000000",
}


@dataclass(slots=True)
class Figure:
    """One measured quantity for both mail systems: the samples of all repetitions.

    Args:
        part, name, unit: e.g. ``relay``, ``delivered``, ``msg/s``.
        ratio_target: smallest (greatest, when ``is_cost``) ratio gateway / Postfix that meets the budget; None: none.
        value_target: bound on the gateway's own value; None: none.
        is_cost: smaller is better.
        note: why a side has no samples, or what else a reader must know.
    """

    part: str
    name: str
    unit: str
    ratio_target: float | None = None
    value_target: float | None = None
    is_cost: bool = False
    note: str = ""
    samples: dict[str, list[float]] = field(default_factory=lambda: {POSTFIX: [], GATEWAY: []})

    def add(self, mta: str, value: float) -> None:
        """Add one repetition's value."""
        self.samples[mta].append(value)

    def median(self, mta: str) -> float | None:
        """Median of the samples, None without any."""
        return statistics.median(self.samples[mta]) if self.samples[mta] else None

    @property
    def ratio(self) -> float | None:
        """Gateway's median / Postfix's median."""
        ours, theirs = self.median(GATEWAY), self.median(POSTFIX)
        return ours / theirs if ours is not None and theirs else None

    @property
    def is_met(self) -> bool | None:
        """Whether the budget is met; None without a budget or without a measurement."""
        for target, value in ((self.ratio_target, self.ratio), (self.value_target, self.median(GATEWAY))):
            if target is not None:
                return None if value is None else value <= target if self.is_cost else value >= target
        return None


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for.

    Args:
        directory: where queues live; None: the system's directory for large temporary files.
        repeat: repetitions, taken in turn with the other mail system.
        scale: factor on message counts (``--quick`` makes it small).
        systems: which mail systems to measure.
        concurrency: sessions of the plot.
        backlog: deferred messages of the ``million`` part.
    """

    directory: str
    repeat: int = 3
    scale: float = 1.0
    systems: tuple[str, ...] = (POSTFIX, GATEWAY)
    concurrency: tuple[int, ...] = CONCURRENCY
    backlog: int = 1_000_000


class Rig:
    """Starts mail systems for the parts and says what is going on."""

    def __init__(self, options: Options) -> None:
        self.options = options
        kind = filesystem(options.directory)
        if kind in _IN_MEMORY:
            raise NotReady(f"{options.directory} is {kind}: fsync would cost nothing there; give another --directory")

    def say(self, text: str) -> None:
        """Progress, to standard error."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def count(self, full: int, least: int = 20) -> int:
        """A message count, scaled."""
        return max(least, round(full * self.options.scale))

    def rounds(self) -> Iterator[str]:
        """Mail systems in the order to measure them: interleaved, and who goes first alternates."""
        systems = self.options.systems
        for number in range(self.options.repeat):
            yield from systems if number % 2 == 0 else reversed(systems)

    @contextmanager
    def running(
        self,
        mta: str,
        settings: Mapping[str, str],
        *,
        files: Mapping[str, str] | None = None,
        prepare: Callable[[MailInstance], None] | None = None,
    ) -> Iterator[MailInstance]:
        """A started instance; ``prepare`` is called before the start."""
        kind = PostfixInstance if mta == POSTFIX else GatewayInstance
        instance = kind(OPEN_LIMITS | dict(settings), files=files, parent=self.options.directory)
        try:
            if prepare:
                prepare(instance)
            instance.start()
            yield instance
        finally:
            instance.stop()
            instance.remove()


def filesystem(directory: str) -> str:
    """Type of the filesystem that holds ``directory``, from /proc/mounts."""
    real, best, kind = os.path.realpath(directory), "", "unknown"
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, mount, this_kind, *_ = line.split()
        if (real == mount or real.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best):
            best, kind = mount, this_kind
    return kind


def fsync_milliseconds(directory: str) -> float:
    """Median time to make 4 KiB more of a file durable in ``directory``: what every queue waits for."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            start = time.perf_counter()
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def is_compiled() -> bool:
    """Whether the gateway that is measured was compiled (``make compiled``)."""
    return gateway.spool.commit.__file__.endswith(".so")


def idle_share(seconds: float = 2.0) -> float:
    """Part of all processors' time that nobody used while we looked: what else runs here is no load of ours."""

    def ticks() -> tuple[int, int]:
        fields = [int(value) for value in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    total, idle = ticks()
    time.sleep(seconds)
    total_then, idle_then = ticks()
    return (idle_then - idle) / max(total_then - total, 1)


def cpu_seconds(instance: MailInstance) -> float:
    """CPU of all processes of the instance since each began, ended children included (their parents' cutime)."""
    ticks = 0
    for pid in instance.pids():
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue  # ended just now: its parent has it
        ticks += sum(int(value) for value in text.rpartition(")")[2].split()[11:15])
    return ticks / _TICKS


def memory_bytes(instance: MailInstance) -> int:
    """Proportional set size of all processes of the instance."""
    total = 0
    for process in instance.processes():
        try:
            total += int(process.memory_full_info().pss)
        except psutil.Error:
            continue
    return total


def reset_peaks(pids: list[int]) -> dict[int, int]:
    """Forget the peak resident sizes (proc(5), clear_refs 5); returns each process's resident octets now."""
    sizes = {}
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
        sizes[pid] = _status_bytes(pid, "VmRSS")
    return sizes


def peak_bytes(pid: int) -> int:
    """Peak resident octets since :func:`reset_peaks`."""
    return _status_bytes(pid, "VmHWM")


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def raise_file_limit(wanted: int) -> int:
    """Raise our own limit of open files, for clients by the thousand; returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted and os.geteuid() == 0:
        hard = wanted
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max(soft, limit)
