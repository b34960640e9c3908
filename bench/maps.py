"""Lookups a second and memory of each table type, at 1, 10,000 and 1,000,000 entries, beside ``postmap -q -``.

Both sides are a process that opens one table, asks it for keys one after the other, and prints what it finds
(:mod:`bench.maps_sides`). What comes before the second lookup does not count: postmap's time for one key is taken away.
Memory is the peak, without that of a process whose table has nothing in it. Where Postfix compares the key with each
line of a table, it gets fewer keys. A type without a size says why (:mod:`bench.maps_kinds`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil
from conftest import missing

from bench.maps_content import keys, write_text
from bench.maps_kinds import KINDS, SIZES, Kind
from bench.maps_made import make
from bench.maps_sides import Sides
from bench.rig import GATEWAY, POSTFIX, Figure, Rig

AT_ONCE = 8
_QUICK_SIZE = 10_000
_LEAST_BUDGETED = 20
_GB = 10**9


def _counts(rig: Rig, kind: Kind, entries: int) -> dict[str, int]:
    """How many keys each side is asked for."""
    count = rig.count(kind.lookups, least=2000)
    budgeted = min(count, max(rig.count(kind.line_budget) // entries, _LEAST_BUDGETED)) if kind.line_budget else count
    return {POSTFIX: budgeted, GATEWAY: budgeted if kind.shares_budget else count}


def _measure(rig: Rig, kind: Kind, entries: int, directory: Path, note: str) -> Iterator[Figure]:
    """The figures of one table: lookups a second, several at once where a server answers, and memory."""
    name = f"{kind.name} {entries:,}"
    rate = Figure("maps", name, "lookup/s", note=note)
    memory = Figure("maps", f"{name}, memory", "MB", is_cost=True)
    parallel = Figure("maps", f"{name}, {AT_ONCE} at once", "lookup/s")
    counts = _counts(rig, kind, entries)
    write_text(directory / "main.cf", "compatibility_level = 3.6\n")
    with ExitStack() as stack:
        made = make(kind, entries, directory, stack)
        sides = Sides(made, directory)
        for mta in rig.rounds():
            wanted = keys(kind.name, entries, counts[mta])
            result = made.inside(partial(sides.theirs if mta == POSTFIX else sides.ours, wanted))
            rig.say(f"maps     {mta:8} {name}: {result.rate:.0f}/s, {result.peak_bytes / 1e6:.1f} MB")
            rate.add(mta, result.rate)
            memory.add(mta, result.peak_bytes / 1e6)
            if kind.is_remote and mta == GATEWAY:
                parallel.add(mta, made.inside(partial(sides.ours, wanted, AT_ONCE)).rate)
    yield rate
    if kind.is_remote:
        yield parallel
    yield memory


def _obstacle(kind: Kind, entries: int) -> str:
    """Why this size of it cannot be measured here; empty when it can."""
    lacking = next(filter(None, map(missing, kind.needs)), "")
    if lacking:
        return lacking
    needed = kind.largest_gb * _GB if entries == max(SIZES) else 0
    return f"needs {kind.largest_gb} GB of free memory" if psutil.virtual_memory().available < needed else ""


def run(rig: Rig) -> Iterator[Figure]:
    """Each type at each size. What is left out is a figure without samples, whose note says why."""
    largest = _QUICK_SIZE if rig.options.scale < 1 else max(SIZES)
    for kind in KINDS:
        sizes = [entries for entries in kind.sizes if entries <= largest]
        if not sizes:
            yield Figure("maps", kind.name, "lookup/s", note=kind.note)
        for entries in sizes:
            if why := _obstacle(kind, entries):
                rig.say(f"maps     {kind.name} {entries:,}: left out, {why}")
                yield Figure("maps", f"{kind.name} {entries:,}", "lookup/s", note=f"left out: {why}")
                continue
            with tempfile.TemporaryDirectory(prefix="maps-bench-", dir=rig.options.directory) as name:
                directory = Path(name)
                directory.chmod(0o755)
                yield from _measure(rig, kind, entries, directory, kind.note if entries == sizes[-1] else "")
