from __future__ import annotations

import asyncio
from typing import Any, cast

from gateway.net.outbox import Outbox


class _Wire:
    """A transport that notes what is done with it."""

    def __init__(self, name: str, done: list[tuple[str, object]]) -> None:
        self._name, self._done, self._is_closing = name, done, False

    def is_closing(self) -> bool:
        return self._is_closing

    def write(self, data: bytes) -> None:
        self._done.append((self._name, data))

    def close(self) -> None:
        self._is_closing = True
        self._done.append((self._name, "close"))


def _outbox() -> tuple[Outbox, list[tuple[str, object]], asyncio.Transport, asyncio.Transport]:
    done: list[tuple[str, object]] = []
    wires = [cast(asyncio.Transport, cast(Any, _Wire(name, done))) for name in "ab"]
    return Outbox(asyncio.get_running_loop()), done, wires[0], wires[1]


def test_nothing_is_written_before_the_turn_ends_and_then_all_in_order() -> None:
    async def run() -> None:
        outbox, done, a, b = _outbox()
        outbox.write(a, b"1")
        outbox.write(b, b"2")
        outbox.write(a, b"3")
        outbox.close(a)
        assert done == []
        await asyncio.sleep(0)
        assert done == [("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", "close")]

    asyncio.run(run())


def test_what_comes_after_a_close_is_dropped() -> None:
    async def run() -> None:
        outbox, done, a, b = _outbox()
        outbox.close(a)
        outbox.write(a, b"late")
        outbox.close(a)
        outbox.write(b, b"on time")
        await asyncio.sleep(0)
        assert done == [("a", "close"), ("b", b"on time")]

    asyncio.run(run())


def test_a_flush_in_between_writes_at_once_and_only_once() -> None:
    async def run() -> None:
        outbox, done, a, _ = _outbox()
        outbox.write(a, b"1")
        outbox.flush()
        assert done == [("a", b"1")]
        outbox.write(a, b"2")
        await asyncio.sleep(0)
        assert done == [("a", b"1"), ("a", b"2")]

    asyncio.run(run())
