"""Replies of several turns, written together."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.net.outbox import LONG_S, MOST, MOST_TURNS, SULK_S, Outbox

Done = list[tuple[str, object]]


class _Wire:
    """A transport that notes what is done with it."""

    def __init__(self, name: str, done: Done) -> None:
        self._name, self._done, self._is_closing = name, done, False

    def is_closing(self) -> bool:
        return self._is_closing

    def write(self, data: bytes) -> None:
        self._done.append((self._name, data))

    def close(self) -> None:
        self._is_closing = True
        self._done.append((self._name, "close"))


class _Rig:
    """An outbox, two transports, and a processor that is gone for ``away_s`` when it is offered."""

    def __init__(self) -> None:
        self.done: Done = []
        self.a, self.b = (cast(asyncio.Transport, cast(Any, _Wire(name, self.done))) for name in "ab")
        self.time = 100.0
        self.away_s = 0.0
        self.offers = 0
        self.outbox = Outbox(asyncio.get_running_loop(), self._offer, lambda: self.time)

    def _offer(self) -> None:
        self.offers += 1
        self.time += self.away_s

    async def until_written(self) -> int:
        """Turns of the loop until something is written."""
        for turn in range(100):
            if self.done:
                return turn
            await asyncio.sleep(0)
        raise AssertionError("nothing was written")


def test_nothing_is_written_at_once_and_then_all_in_order() -> None:
    async def run() -> None:
        rig = _Rig()
        rig.outbox.write(rig.a, b"1")
        rig.outbox.write(rig.b, b"2")
        rig.outbox.write(rig.a, b"3")
        rig.outbox.close(rig.a)
        assert rig.done == []
        assert await rig.until_written() == 2
        assert rig.done == [("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", "close")]

    asyncio.run(run())


def test_a_lone_reply_waits_for_one_more_turn_and_offers_nothing() -> None:
    async def run() -> None:
        rig = _Rig()
        for _ in range(3):
            rig.done.clear()
            rig.outbox.write(rig.a, b"1")
            assert await rig.until_written() == 2
        assert rig.offers == 0

    asyncio.run(run())


def test_turns_that_bring_more_are_waited_for() -> None:
    async def run() -> None:
        rig = _Rig()
        for number in range(5):
            rig.outbox.write(rig.a, b"%d" % number)
            await asyncio.sleep(0)
        assert rig.done == []
        assert await rig.until_written() == 1
        assert rig.done == [("a", b"%d" % number) for number in range(5)]
        assert rig.offers == 4, "not for the first, which was alone"

    asyncio.run(run())


def test_there_is_a_bound_to_the_turns() -> None:
    async def run() -> None:
        rig = _Rig()
        for number in range(MOST_TURNS + 1):
            assert rig.done == []
            rig.outbox.write(rig.a, b"%d" % number)
            await asyncio.sleep(0)
        assert len(rig.done) == MOST_TURNS + 1

    asyncio.run(run())


def test_there_is_a_bound_to_the_replies() -> None:
    async def run() -> None:
        rig = _Rig()
        for _ in range(MOST):
            rig.outbox.write(rig.b, b"x")
        assert await rig.until_written() == 1
        assert len(rig.done) == MOST
        assert rig.offers == 0

    asyncio.run(run())


@pytest.mark.parametrize(("away_s", "offers"), [(LONG_S / 2, 3), (LONG_S * 2, 2)])
def test_who_keeps_the_processor_is_not_offered_it_for_a_while(away_s: float, offers: int) -> None:
    async def run() -> None:
        rig = _Rig()
        rig.away_s = away_s
        for pause_s in (0.0, 0.0, SULK_S):
            rig.time += pause_s
            rig.done.clear()
            rig.outbox.write(rig.a, b"1")
            rig.outbox.write(rig.b, b"2")
            await rig.until_written()
        assert rig.offers == offers

    asyncio.run(run())


def test_what_comes_after_a_close_is_dropped() -> None:
    async def run() -> None:
        rig = _Rig()
        rig.outbox.close(rig.a)
        rig.outbox.write(rig.a, b"late")
        rig.outbox.close(rig.a)
        rig.outbox.write(rig.b, b"on time")
        await rig.until_written()
        assert rig.done == [("a", "close"), ("b", b"on time")]

    asyncio.run(run())


def test_a_flush_in_between_writes_at_once_and_only_once() -> None:
    async def run() -> None:
        rig = _Rig()
        rig.outbox.write(rig.a, b"1")
        rig.outbox.flush()
        assert rig.done == [("a", b"1")]
        rig.done.clear()
        rig.outbox.write(rig.a, b"2")
        assert await rig.until_written() == 2
        rig.outbox.write(rig.b, b"3")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert rig.done == [("a", b"2"), ("b", b"3")]

    asyncio.run(run())


def test_the_loops_own_processor_is_offered() -> None:
    async def run() -> None:
        rig = _Rig()
        outbox = Outbox(asyncio.get_running_loop())
        outbox.write(rig.a, b"1")
        outbox.write(rig.b, b"2")
        await rig.until_written()
        assert rig.done == [("a", b"1"), ("b", b"2")]

    asyncio.run(run())
