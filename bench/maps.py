"""Lookups a second and memory of each table type, at 1, 10,000 and 1,000,000 entries, beside ``postmap -q -``.

Both sides are a process that opens one table, asks it for keys one after the other, and prints what it finds: Debian's
postmap on one, :mod:`bench.maps_lookups` on the other. What comes before the second lookup does not count: postmap's
time for one key is taken away. Memory is the peak, without that of a process whose table has nothing in it. Where
Postfix compares the key with each line of a table, it gets fewer keys.

Servers (PostgreSQL, MariaDB, slapd, memcached) are private; behind ``tcp`` and ``socketmap`` is a small one in Python,
which is what limits both sides there. Left out: ``nis`` (its server needs a machine to itself), ``environ`` and
``unix`` (what they have is not ours to choose), ``fail`` and ``debug``.
"""

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
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
from conftest import missing
from peers.ports import wait_for
from peers.table_servers import SERVED

from bench.maps_content import keys, rows, write_source, write_sqlite
from bench.rig import GATEWAY, POSTFIX, Figure, Rig

SIZES = (1, 10_000, 1_000_000)
LOOKUPS = 1_000_000
AT_ONCE = 8
PEAK_KEYS = 1000  # fit into a pipe


@dataclass(frozen=True)
class Kind:
    """One table type.

    Args:
        name: type.
        sizes: entries; fewer where more make no sense.
        lookups: in a full run.
        line_budget: lines that Postfix may be made to compare in a full run, where it goes through all of them; else 0.
        is_remote: a server answers; measured also with several lookups at once.
        is_built: Debian's postmap makes a file of the source.
    """

    name: str
    sizes: tuple[int, ...] = SIZES
    lookups: int = LOOKUPS
    line_budget: int = 0
    is_remote: bool = False
    is_built: bool = False


KINDS = (
    Kind("static", (1,)),
    Kind("inline", (1,)),
    Kind("texthash"),
    Kind("hash", is_built=True),
    Kind("btree", is_built=True),
    Kind("lmdb", is_built=True),
    Kind("cdb", is_built=True),
    Kind("sqlite", lookups=20_000),
    Kind("cidr", line_budget=200_000_000),
    # A million compiled expressions are gigabytes on either side.
    Kind("regexp", (1, 10_000), line_budget=3_000_000),
    Kind("pcre", (1, 10_000), line_budget=10_000_000),
    Kind("unionmap", (1, 10_000)),
    Kind("pipemap", (1, 10_000)),
    Kind("randmap", (1,)),
    Kind("tcp", (1, 10_000), 5_000, is_remote=True),
    Kind("socketmap", (1, 10_000), 5_000, is_remote=True),
    Kind("memcache", (1, 10_000), 5_000, is_remote=True),
    Kind("pgsql", (1, 10_000), 5_000, is_remote=True),
    Kind("mysql", (1, 10_000), 5_000, is_remote=True),
    Kind("ldap", (1, 10_000), 5_000, is_remote=True),
)


@dataclass
class Result:
    """One run: lookups a second, and octets of memory."""

    rate: float
    peak_bytes: float


class Bench:
    """Tables of one size in a directory, and both ways to ask them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "main.cf").write_text("compatibility_level = 3.6\n", encoding="ascii")

    def source(self, kind: str, entries: int) -> Path:
        """A source file of that size, written once."""
        path = self.directory / f"{kind}-{entries}"
        if not path.exists():
            write_source(path, kind, entries)
        return path

    def spec(self, kind: Kind, entries: int, stack: ExitStack) -> str:
        """The table, made and its server started if it has one."""
        match kind.name:
            case "static":
                return "static:value"
            case "inline":
                return f"inline:{{ {{ {' = '.join(next(rows(1)))} }} }}"
            case "unionmap" | "pipemap":
                path = self.source("texthash", entries)
                return f"{kind.name}:{{ texthash:{path}, static:value }}"
            case "randmap":
                return "randmap:{ one, two, three }"
            case "sqlite":
                path = self.directory / f"sqlite-{entries}"
                if not path.exists():
                    write_sqlite(path, entries)
                return f"sqlite:{path}.cf"
        if kind.is_remote:
            served = SERVED[kind.name]
            port = served.start(stack, dict(rows(entries)), self.directory)
            file = self.directory / f"{kind.name}.cf"
            file.write_text(served.text(port), encoding="ascii")
            return f"{kind.name}:{served.name(port).format(file=file)}"
        path = self.source(kind.name, entries)
        if kind.is_built:
            self._postmap(f"{kind.name}:{path}")
        return f"{kind.name}:{path}"

    def theirs(self, spec: str, wanted: list[str]) -> Result:
        """Debian's postmap."""
        start_s = min(self._postmap("-q", "-", spec, wanted=wanted[:1]) for _ in range(3))
        seconds = self._postmap("-q", "-", spec, wanted=wanted) - start_s
        peak = self._postmap_peak(spec, wanted) - self._postmap_peak("static:x", wanted)
        return Result((len(wanted) - 1) / max(seconds, 1e-6), max(peak, 0))

    def ours(self, spec: str, wanted: list[str], at_once: int = 1) -> Result:
        """The gateway's tables."""
        path = self.directory / "keys"
        path.write_bytes(_as_lines(wanted))
        done = subprocess.run(
            [sys.executable, "-m", "bench.maps_lookups", spec, str(path), "--directory", str(self.directory),
             "--at-once", str(at_once)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, cwd=Path(__file__).parent.parent,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        said = json.loads(done.stderr.splitlines()[-1])
        return Result(len(wanted) / said["lookups_s"], said["peak_bytes"])

    def _started(self, *arguments: str, stdin: IO[bytes] | int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["/usr/sbin/postmap", "-c", str(self.directory), *arguments],
            stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def _postmap(self, *arguments: str, wanted: list[str] | None = None) -> float:
        """Run it with keys on its standard input; the seconds it took."""
        with tempfile.TemporaryFile() as stdin:
            stdin.write(_as_lines(wanted or []))
            stdin.seek(0)
            start = time.perf_counter()
            process = self._started(*arguments, stdin=stdin)
            _, said = process.communicate()
            seconds = time.perf_counter() - start
        assert process.returncode in (0, 1) and b"fatal" not in said and b"error" not in said, said.decode()
        return seconds

    def _postmap_peak(self, spec: str, wanted: list[str]) -> int:
        """The peak of its memory, in octets: read while it waits for more keys, for at its end nobody can."""
        process = self._started("-q", "-", spec, stdin=subprocess.PIPE)
        assert process.stdin is not None and process.stderr is not None
        with process.stdin as stdin:
            stdin.write(_as_lines(wanted[:PEAK_KEYS]))
            stdin.flush()
            status = psutil.Process(process.pid)
            wait_for(lambda: _is_empty(stdin) and status.status() == psutil.STATUS_SLEEPING, "postmap", 60, 0.005)
            text = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        process.stderr.read()
        process.stderr.close()
        process.wait()
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM:"))


def _as_lines(wanted: list[str]) -> bytes:
    return "".join(f"{key}\n" for key in wanted).encode()


def _is_empty(pipe: IO[bytes]) -> bool:
    """True when the other side has read everything."""
    waiting = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return not waiting[0]


def _shown(count: int) -> str:
    return f"{count:,}"


def _measure(rig: Rig, bench: Bench, kind: Kind, entries: int) -> Iterator[Figure]:
    """The figures of one table: lookups a second, several at once where a server answers, and memory."""
    name = f"{kind.name} {_shown(entries)}"
    rate = Figure("maps", name, "lookup/s")
    memory = Figure("maps", f"{name}, memory", "MB", is_cost=True)
    parallel = Figure("maps", f"{name}, {AT_ONCE} at once", "lookup/s")
    count = rig.count(kind.lookups, least=2000)
    slow = min(count, max(rig.count(kind.line_budget) // entries, 20)) if kind.line_budget else count
    with ExitStack() as stack:
        spec = bench.spec(kind, entries, stack)
        for mta in rig.rounds():
            wanted = keys(kind.name, entries, slow if mta == POSTFIX else count)
            result = bench.theirs(spec, wanted) if mta == POSTFIX else bench.ours(spec, wanted)
            rig.say(f"maps     {mta:8} {name}: {result.rate:.0f}/s, {result.peak_bytes / 1e6:.1f} MB")
            rate.add(mta, result.rate)
            memory.add(mta, result.peak_bytes / 1e6)
            if kind.is_remote and mta == GATEWAY:
                parallel.add(mta, bench.ours(spec, wanted, AT_ONCE).rate)
    yield rate
    if kind.is_remote:
        yield parallel
    yield memory


def run(rig: Rig) -> Iterator[Figure]:
    """Each type at each size; a type whose server is not installed is left out with a word."""
    largest = 10_000 if rig.options.scale < 1 else max(SIZES)
    for kind in KINDS:
        served = SERVED.get(kind.name)
        if kind.is_remote and served is None:
            rig.say(f"maps     {kind.name}: left out, there is no such table type yet")
            continue
        if served and served.program and (why := missing(served.program)):
            rig.say(f"maps     {kind.name}: left out, {why}")
            continue
        for entries in kind.sizes:
            if entries > largest:
                continue
            with tempfile.TemporaryDirectory(prefix="maps-bench-", dir=rig.options.directory) as name:
                directory = Path(name)
                directory.chmod(0o755)
                yield from _measure(rig, Bench(directory), kind, entries)
