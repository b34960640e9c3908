"""A queue of a million deferred messages: start, memory, finding the next one due, and relaying beside it.

The queue is built through the spool's own interface: all messages due tomorrow, one due now. The gateway has started
when the one that is due has reached the sink. Postfix takes no part: a million queue files say more about the
filesystem than about Postfix, and take far longer to make.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from peers.instance import MailInstance
from peers.load import smtp_source
from peers.sinks import SmtpSink

from bench.rig import GATEWAY, Figure, Rig, memory_bytes
from gateway.model.address import Address
from gateway.model.content import Content
from gateway.model.envelope import Envelope, Recipient
from gateway.spool import Store
from gateway.spool.queue_id import QueueIds

_BATCH = 2000
_BODY = b"deferred\r\n" * 20
_DAY_S = 86400.0


async def _fill(store: Store, count: int) -> None:
    now, identifiers = time.time(), QueueIds(9)
    for start in range(0, count, _BATCH):
        await asyncio.gather(
            *(_put(store, identifiers.next(now), number, now) for number in range(start, min(start + _BATCH, count)))
        )


async def _put(store: Store, queue_id: str, number: int, now: float) -> None:
    envelope = Envelope(
        queue_id=queue_id,
        sender=Address("sender", "a.example"),
        recipients=[Recipient(Address(f"user{number}", f"d{number % 5000}.example"), status="4.4.1", reason="refused")],
        arrival=now - 3600,
        size_bytes=len(_BODY) + 40,
        attempts=3,
        # Spread over a day; number 0 is due now.
        due=now + _DAY_S + number % 80_000 if number else 0.0,
        message_id=f"<{number}@a.example>",
    )
    await store.put(envelope, Content(b"Subject: deferred\r\nX-Number: %d\r\n" % number, _BODY))


def build(queue_directory: Path, count: int) -> float:
    """Fill the spool below ``queue_directory``; returns the seconds it took."""
    start = time.perf_counter()

    async def run() -> None:
        store = Store.open(str(queue_directory), commit_limit=512)
        await _fill(store, count)
        store.close()

    asyncio.run(run())
    return time.perf_counter() - start


def next_due_seconds(queue_directory: Path) -> tuple[float, float]:
    """Time to ask a store that was just opened for the next message due: the first time, and the median after it."""

    async def run() -> tuple[float, float]:
        store = Store.open(str(queue_directory), commit_limit=512)
        times = []
        for _ in range(200):
            start = time.perf_counter()
            found = store.due(time.time() + 10 * _DAY_S, 1, ())
            times.append(time.perf_counter() - start)
            assert found
        store.close()
        return times[0], statistics.median(times[1:])

    return asyncio.run(run())


def _give_away(directory: Path, owner: str) -> None:
    if os.geteuid() == 0:
        for folder, _, files in os.walk(directory):
            for name in ("", *files):
                shutil.chown(Path(folder, name), owner)


def run(rig: Rig) -> Iterator[Figure]:
    """Start time, memory, next due, and the relay rate on top of the backlog."""
    count = rig.options.backlog
    figures = (
        Figure("million", f"start, {count:,} deferred", "s", value_target=15.0, is_cost=True),
        Figure("million", "memory after the start", "MB", value_target=700.0, is_cost=True),
        Figure("million", "find the next due, cold", "ms", is_cost=True),
        Figure("million", "find the next due", "ms", is_cost=True),
        Figure("million", "relay beside the backlog", "msg/s"),
    )
    figures[0].note = "Postfix: a file a message, not run"
    if GATEWAY in rig.options.systems:
        for figure, value in zip(figures, _measure(rig, count), strict=True):
            figure.add(GATEWAY, value)
    yield from figures


def _measure(rig: Rig, count: int) -> tuple[float, ...]:
    """Seconds to start, megabytes, milliseconds to find the next due (cold, warm), messages a second beside it."""

    def prepare(instance: MailInstance) -> None:
        seconds = build(instance.queue_directory, count)
        cold_s, warm_s = next_due_seconds(instance.queue_directory)
        rig.say(
            f"million  built {count:,} messages in {seconds:.0f} s; "
            f"next due found in {cold_s * 1000:.3f} ms, then {warm_s * 1000:.3f} ms"
        )
        _give_away(instance.queue_directory, instance.settings["mail_owner"])
        marks.extend((cold_s * 1000, warm_s * 1000, time.perf_counter()))

    marks: list[float] = []
    with SmtpSink() as sink:
        settings = {"relayhost": f"[127.0.0.1]:{sink.port}"}
        with rig.running(GATEWAY, settings, prepare=prepare) as instance:
            sink.wait_for(1, 120)
            cold_ms, warm_ms, began = marks
            start_s, megabytes = time.perf_counter() - began, memory_bytes(instance) / 1e6
            messages = rig.count(5000, least=200)
            clock = time.perf_counter()
            smtp_source(instance.port, messages=messages, sessions=20)
            sink.wait_for(1 + messages, 120)
            rate = messages / (time.perf_counter() - clock)
    rig.say(f"million  started in {start_s:.1f} s, {megabytes:.0f} MB, relays {rate:.0f} msg/s beside it")
    return start_s, megabytes, cold_ms, warm_ms, rate
