"""The table, the dated JSON file and the plot."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.rig import GATEWAY, POSTFIX, Figure, Options, filesystem, fsync_milliseconds, is_compiled

RESULTS = Path(__file__).parent / "results"
_HEAD = ("part", "figure", "unit", "Postfix", "Postgate", "ratio", "budget", "")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _budget(figure: Figure) -> str:
    sign = "≤" if figure.is_cost else "≥"
    if figure.ratio_target is not None:
        return f"{sign} {figure.ratio_target:g} ×"
    return f"{sign} {figure.value_target:g}" if figure.value_target is not None else ""


def _row(figure: Figure) -> tuple[str, ...]:
    ratio = figure.ratio if (figure.ratio or 0) < 100 else None  # Postfix's side is next to nothing
    verdict = {True: "met", False: "MISSED", None: ""}[figure.is_met]
    return (
        figure.part, figure.name, figure.unit, _number(figure.median(POSTFIX)), _number(figure.median(GATEWAY)),
        f"{ratio:.2f} ×" if ratio is not None else "", _budget(figure), verdict,
    )  # fmt: skip


def table(figures: Sequence[Figure]) -> str:
    """A plain-text table: medians, ratio Postgate / Postfix, budget and whether it is met; then the notes."""
    rows = [_HEAD, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = []
    for row in rows:
        cells = [
            text.ljust(width) if column < 3 or column == 7 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    notes = [f"{figure.part} {figure.name}: {figure.note}" for figure in figures if figure.note]
    return "\n".join([*lines, "", *notes])


def _machine(options: Options) -> dict[str, Any]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "cpus": os.cpu_count(),
        "cpu": model,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "is_compiled": is_compiled(),
        "filesystem": filesystem(options.directory),
        "fsync_ms": round(fsync_milliseconds(options.directory), 3),
    }


def save(figures: Sequence[Figure], options: Options, idle: float, directory: Path = RESULTS) -> Path:
    """Write ``DATE.json`` with every sample, and how idle the machine was before; returns its path."""
    now = datetime.datetime.now(datetime.UTC)
    record = {
        "date": now.isoformat(timespec="seconds"),
        "machine": _machine(options) | {"idle_before": round(idle, 3)},
        "options": {name: value for name, value in asdict(options).items() if name != "directory"},
        "figures": [
            asdict(figure)
            | {
                "median": {name: figure.median(name) for name in figure.samples},
                "ratio": figure.ratio,
                "met": figure.is_met,
            }
            for figure in figures
        ],
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{now:%Y-%m-%dT%H%M%S}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def plot(figures: Sequence[Figure], path: Path) -> bool:
    """Draw throughput against concurrency as a PNG; False when matplotlib (extra ``bench``) is not installed."""
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return False
    points = [figure for figure in figures if figure.part == "plot"]
    picture, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for mta, label, marker in ((GATEWAY, "Postgate", "o"), (POSTFIX, "Postfix", "s")):
        curve = [(int(figure.name.split()[0]), figure.median(mta)) for figure in points]
        drawn = [(x, y) for x, y in curve if y is not None]
        if drawn:
            axes.plot([x for x, _ in drawn], [y for _, y in drawn], marker=marker, label=label)
    axes.set_xscale("log")
    ticks = [int(figure.name.split()[0]) for figure in points]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("concurrent clients, a new connection for each message")
    axes.set_ylabel("4 KiB messages a second, durable, delivered")
    axes.set_title("Durable relay: smtp-source → mail system → smtp-sink")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    picture.savefig(path, dpi=120)
    pyplot.close(picture)
    return True
