"""``python -m bench.maps_lookups``: what ``postmap -q -`` does, by the tables of the gateway; says what it took.

Reads keys from a file, opens the table, looks all keys up and prints what it finds, as ``key<TAB>value`` lines. The
last line of standard error is a JSON object: seconds to open, seconds for the lookups, octets of memory, how many keys
were found. It is a process of its own, so that memory is that of one table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.config import Config
from gateway.maps import Table, Tables


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


async def _look_up(table: Table, keys: Iterator[str]) -> int:
    write, found = sys.stdout.write, 0
    for key in keys:
        value = await table.find(key)
        if value is not None:
            write(f"{key}\t{value}\n")
            found += 1
    return found


async def _run(spec: str, directory: str, keys: list[str], at_once: int) -> dict[str, float]:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins now
    resident, start = _status_bytes("VmRSS"), time.perf_counter()
    tables = Tables(Config.from_settings({"compatibility_level": "3.6"}, directory=directory))
    table = tables.open(spec)
    await table.find(keys[0])
    opened = time.perf_counter()
    rest = iter(keys)
    found = await asyncio.gather(*(_look_up(table, rest) for _ in range(at_once)))
    sys.stdout.flush()
    ended = time.perf_counter()
    peak = _status_bytes("VmHWM") - resident
    await tables.close()
    return {"open_s": opened - start, "lookups_s": ended - opened, "peak_bytes": peak, "found": sum(found)}


def main() -> None:
    """Look up, report."""
    parser = argparse.ArgumentParser(prog="python -m bench.maps_lookups")
    parser.add_argument("spec")
    parser.add_argument("keys", type=Path)
    parser.add_argument("--directory", default=".")
    parser.add_argument("--at-once", type=int, default=1)
    given = parser.parse_args()
    keys = given.keys.read_text(encoding="utf-8").split("\n")[:-1]
    result = asyncio.run(_run(given.spec, given.directory, keys, given.at_once))
    print(json.dumps(result), file=sys.stderr)


if __name__ == "__main__":
    main()
