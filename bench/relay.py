"""Durable relay of 4 KiB messages from smtp-source to smtp-sink, and the same with many messages a session.

A message counts when the sink has it. The clock runs from the start of the load until the last one is there, so a queue
that only grows does not look fast; how fast the clients got their 250 is a figure of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from peers.load import smtp_source
from peers.sinks import SmtpSink

from bench.rig import Figure, Rig, cpu_seconds

LENGTH = 4096
SESSIONS = 20


@dataclass(frozen=True, slots=True)
class RelayRun:
    """One run: messages a second at the client and end to end, CPU microseconds a message."""

    accepted_rate: float
    delivered_rate: float
    cpu_us: float


def relay_once(rig: Rig, mta: str, *, messages: int, sessions: int, is_reused: bool) -> RelayRun:
    """Start an instance and a sink, warm both up, then measure one run."""
    with SmtpSink() as sink:
        settings = {"relayhost": f"[127.0.0.1]:{sink.port}", "default_process_limit": str(max(100, sessions + 50))}
        with rig.running(mta, settings) as instance:
            warm = max(sessions, 50)
            smtp_source(instance.port, messages=warm, sessions=min(sessions, warm), length=LENGTH, is_reused=is_reused)
            sink.wait_for(warm)
            cpu, start = cpu_seconds(instance), time.perf_counter()
            run = smtp_source(
                instance.port, messages=messages, sessions=sessions, length=LENGTH, is_reused=is_reused, timeout_s=180
            )
            sink.wait_for(warm + messages, 180)
            seconds = time.perf_counter() - start
            instance.wait_until_empty()
            cpu = cpu_seconds(instance) - cpu
    return RelayRun(run.per_second, messages / seconds, cpu / messages * 1e6)


def run(rig: Rig) -> Iterator[Figure]:
    """Relay with a connection each, then with reused sessions."""
    yield from _measure(rig, "relay", is_reused=False, ratio_target=5.0, cpu_target=400.0)
    yield from _measure(rig, "reuse", is_reused=True, ratio_target=None, cpu_target=None)


def _measure(
    rig: Rig, part: str, *, is_reused: bool, ratio_target: float | None, cpu_target: float | None
) -> list[Figure]:
    delivered = Figure(part, "delivered", "msg/s", ratio_target=ratio_target)
    accepted = Figure(part, "accepted", "msg/s")
    cpu = Figure(part, "CPU a message", "µs", value_target=cpu_target, is_cost=True)
    for mta in rig.rounds():
        messages = rig.count(3000 if mta == "postfix" else 10000, least=200)
        result = relay_once(rig, mta, messages=messages, sessions=SESSIONS, is_reused=is_reused)
        rig.say(
            f"{part:8} {mta:8} {messages} messages: delivered {result.delivered_rate:.0f}/s, "
            f"accepted {result.accepted_rate:.0f}/s, {result.cpu_us:.0f} µs CPU each"
        )
        delivered.add(mta, result.delivered_rate)
        accepted.add(mta, result.accepted_rate)
        cpu.add(mta, result.cpu_us)
    return [delivered, accepted, cpu]
