"""Throughput against concurrency: durable relay with 1 to 200 clients at once, for the plot."""

from __future__ import annotations

from collections.abc import Iterator

from bench.relay import relay_once
from bench.rig import POSTFIX, Figure, Rig


def run(rig: Rig) -> Iterator[Figure]:
    """One figure for each number of clients; one repetition each, since the curve itself shows the noise."""
    for sessions in rig.options.concurrency:
        figure = Figure("plot", f"{sessions} clients", "msg/s")
        for mta in rig.options.systems:
            # One client waits for a disk flush each time: fewer messages say as much there.
            full = min(
                1500 if mta == POSTFIX else 5000, 150 * (sessions + 1) if mta == POSTFIX else 400 * (sessions + 1)
            )
            messages = rig.count(full, least=max(100, 2 * sessions))
            result = relay_once(rig, mta, messages=messages, sessions=sessions, is_reused=False)
            rig.say(f"plot     {mta:8} {sessions:3} clients: {result.delivered_rate:.0f} msg/s")
            figure.add(mta, result.delivered_rate)
        yield figure
