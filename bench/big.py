"""One message of 50 MB: how much memory grows while it is received, stored and delivered, and how long it takes.

Growth is each process's peak resident size during the message minus its resident size before, summed. A message of
4 KiB goes first, so that code paged in by the first message is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from peers.load import smtp_source
from peers.sinks import SmtpSink

from bench.rig import Figure, Rig, peak_bytes, reset_peaks

MEGABYTE = 1_000_000


def big_once(rig: Rig, mta: str, length: int) -> tuple[float, float]:
    """One message; returns megabytes of growth and seconds until the sink has it."""
    with SmtpSink() as sink:
        settings = {"relayhost": f"[127.0.0.1]:{sink.port}", "mailbox_size_limit": "0"}
        with rig.running(mta, settings) as instance:
            smtp_source(instance.port, messages=5, sessions=1)
            sink.wait_for(5)
            instance.wait_until_empty()
            before = reset_peaks(instance.pids())
            start = time.perf_counter()
            smtp_source(instance.port, messages=1, sessions=1, length=length)
            sink.wait_for(6, 120)
            seconds = time.perf_counter() - start
            alive = set(instance.pids())
            growth = sum(peak_bytes(pid) - before.get(pid, 0) for pid in alive)
    return growth / MEGABYTE, seconds


def run(rig: Rig) -> Iterator[Figure]:
    """RSS growth and seconds."""
    length = rig.count(50 * MEGABYTE, least=5 * MEGABYTE)
    size = f"{length / MEGABYTE:.0f} MB"
    growth = Figure("big", f"RSS growth, {size}", "MB", value_target=10.0, is_cost=True)
    seconds = Figure("big", f"time, {size}", "s", is_cost=True)
    for mta in rig.rounds():
        grown, took = big_once(rig, mta, length)
        rig.say(f"big      {mta:8} {size}: grew {grown:.1f} MB, {took:.2f} s")
        growth.add(mta, grown)
        seconds.add(mta, took)
    yield from (growth, seconds)
