"""Restarting with back-off."""

import asyncio

from gateway.config import Config
from gateway.master import slot as module
from gateway.master.slot import Slot
from gateway.observe import MailLog


class FakeChild:
    """A worker that ends when the test says so."""

    def __init__(self, pid: int, *, is_ready: bool) -> None:
        loop = asyncio.get_running_loop()
        self.pid, self.problem = pid, "" if is_ready else "no luck"
        self.started = loop.time()
        self.exit: asyncio.Future[int] = loop.create_future()
        self.is_up: asyncio.Future[str | None] = loop.create_future()
        self.is_up.set_result(None if is_ready else self.problem)

    def stop(self, drain_s: float) -> None:
        if not self.exit.done():
            self.exit.set_result(0)


def pauses(*, is_ready: bool, lived_s: float, count: int) -> list[float]:
    """How long the slot waits before each of ``count`` replacements."""
    found: list[float] = []

    async def live() -> None:
        config, log = Config.from_settings({}), MailLog.memory()
        children: list[FakeChild] = []

        def spawn(_: Slot) -> FakeChild:
            children.append(FakeChild(len(children) + 1, is_ready=is_ready))
            return children[-1]

        slot = Slot("smtpd", 0, config, spawn, log.logger("master"))  # type: ignore[arg-type]
        for _ in range(count):
            slot.child.started -= lived_s
            found.append(slot._pause(was_ready=is_ready))
        assert await slot.stop(0) == 0

    asyncio.run(live())
    return found


def test_what_never_served_is_tried_ever_more_rarely() -> None:
    assert pauses(is_ready=False, lived_s=0, count=12)[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses(is_ready=False, lived_s=0, count=12)[-1] == module.BACKOFF_LIMIT_S


def test_what_did_serve_is_back_soon() -> None:
    assert pauses(is_ready=True, lived_s=0, count=12)[-1] == module.BACKOFF_READY_LIMIT_S
    assert set(pauses(is_ready=True, lived_s=10, count=5)) == {0.1}


def test_a_dead_worker_is_reported_and_replaced() -> None:
    log = MailLog.memory()

    async def live() -> None:
        spawned: asyncio.Queue[FakeChild] = asyncio.Queue()

        def spawn(_: Slot) -> FakeChild:
            child = FakeChild(7, is_ready=spawned.qsize() == 0)
            spawned.put_nowait(child)
            return child

        slot = Slot("smtpd", 0, Config.from_settings({}), spawn, log.logger("master"))  # type: ignore[arg-type]
        slot.supervise()
        (await spawned.get()).exit.set_result(-9)
        second = await asyncio.wait_for(spawned.get(), 5)
        assert slot.restarts <= 1
        second.exit.set_result(1)
        await asyncio.wait_for(spawned.get(), 5)
        await slot.stop(0)

    asyncio.run(live())
    texts = [line.partition("]: ")[2] for line in log.lines]
    assert texts[:2] == [
        "warning: process smtpd pid 7 killed by signal 9",
        "warning: process smtpd pid 7 exit status 1",
    ]
