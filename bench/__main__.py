"""``python -m bench``: run the parts, print the table, keep the results."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "relay": "relay", "reject": "reject", "idle": "idle", "big": "big", "million": "million", "maps": "maps",
    "policy": "policy", "plot": "concurrency",
}  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Postgate beside Postfix, in one run.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"parts to run, of: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, one repetition, a shorter curve")
    parser.add_argument("--repeat", type=int, help="repetitions, interleaved; medians are compared (default 3)")
    parser.add_argument("--scale", type=float, help="factor on message counts (default 1)")
    parser.add_argument("--systems", default="postfix,gateway", help="mail systems to measure (default both)")
    parser.add_argument("--backlog", type=int, help="deferred messages of the part million (default 1000000)")
    parser.add_argument("--directory", default="/var/tmp", help="where the queues live; no memory filesystem")
    parser.add_argument("--results", type=Path, help="directory for the JSON and PNG files (default bench/results)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    return arguments


def main() -> int:
    """Run, print, save. Returns 1 when a budget is missed in a full run, so that a script can tell."""
    arguments = _arguments()
    # The peers live with the tests. Behind what is installed: a compiled wheel is measured, not these sources.
    sys.path[:] = [*(path for path in sys.path if path not in ("", str(ROOT))), str(ROOT), str(ROOT / "tests")]
    from bench import report, rig

    options = rig.Options(
        directory=arguments.directory,
        repeat=arguments.repeat or (1 if arguments.quick else 3),
        scale=arguments.scale or (0.1 if arguments.quick else 1.0),
        systems=tuple(arguments.systems.split(",")),
        concurrency=(1, 20, 100) if arguments.quick else rig.CONCURRENCY,
        backlog=arguments.backlog or (20_000 if arguments.quick else 1_000_000),
    )
    bench = rig.Rig(options)
    if not rig.is_compiled():
        bench.say("the sources are measured as they are; make bench measures the compiled wheel")
    if (idle := rig.idle_share()) < 0.9:
        bench.say(f"warning: other programs use {1 - idle:.0%} of this machine: figures will be low, ratios uneven")
    figures: list[rig.Figure] = []
    for part in arguments.parts or PARTS:
        figures += importlib.import_module(f"bench.{PARTS[part]}").run(bench)
    print(report.table(figures))
    path = report.save(figures, options, idle, arguments.results or report.RESULTS)
    print(f"results: {path}")
    if any(figure.part == "plot" for figure in figures):
        picture = path.with_suffix(".png")
        drawn = report.plot(figures, picture)
        print(f"plot: {picture}" if drawn else "plot: not drawn, matplotlib (extra bench) is not installed")
    return int(not arguments.quick and any(figure.is_met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
