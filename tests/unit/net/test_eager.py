"""Coroutines without a Task for as long as they do not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from gateway.net.eager import start, with_deadline

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
every_loop = pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])


class Outcome:
    """What start() told."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.errors: list[BaseException] = []

    def run(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | None:
        return start(coro, self.results.append, self.errors.append, asyncio.get_running_loop())


@every_loop
def test_what_does_not_wait_ends_at_once_without_a_task(new_loop: Any) -> None:
    async def quick() -> int:
        assert asyncio.current_task() is not None, "the caller's"
        return 7

    async def main() -> None:
        outcome = Outcome()
        assert outcome.run(quick()) is None
        assert (outcome.results, outcome.errors) == ([7], [])

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@every_loop
def test_what_waits_is_finished_by_a_task(new_loop: Any) -> None:
    async def slow() -> str:
        values = [await asyncio.sleep(0, "a"), await asyncio.sleep(0.001, "b")]
        async with asyncio.timeout(5):
            values.append(await asyncio.to_thread(lambda: "c"))
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        except TimeoutError:
            values.append("d")
        return "".join(values)

    async def main() -> None:
        outcome = Outcome()
        task = outcome.run(slow())
        assert task is not None and outcome.results == []
        await task
        await asyncio.sleep(0)
        assert (outcome.results, outcome.errors) == (["abcd"], [])

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@every_loop
def test_failures_before_and_after_the_first_wait_are_told_once(new_loop: Any) -> None:
    async def early() -> None:
        raise ValueError("early")

    async def late() -> None:
        await asyncio.sleep(0)
        raise ValueError("late")

    async def main() -> None:
        outcome = Outcome()
        assert outcome.run(early()) is None
        task = outcome.run(late())
        assert task is not None
        await asyncio.wait((task,))
        await asyncio.sleep(0)
        assert [str(error) for error in outcome.errors] == ["early", "late"]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@every_loop
def test_cancelling_the_task_runs_the_coroutines_own_clean_up(new_loop: Any) -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("finally")

    async def main() -> None:
        outcome = Outcome()
        task = outcome.run(waits())
        assert task is not None
        task.cancel()
        await asyncio.wait((task,))
        await asyncio.sleep(0)
        assert ended == ["finally"]
        assert [type(error) for error in outcome.errors] == [asyncio.CancelledError]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


def test_a_deadline_leaves_the_stubborn_behind() -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    async def main() -> None:
        with pytest.raises(TimeoutError, match=r"no answer within 0.01s"):
            await with_deadline(stubborn(), 0.01)
        released.set()
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_deadline_passes_results_and_errors_on() -> None:
    async def fails() -> None:
        raise LookupError("inside")

    async def main() -> int:
        with pytest.raises(LookupError, match="inside"):
            await with_deadline(fails(), 5)
        return await with_deadline(asyncio.sleep(0, 3), 5)

    assert asyncio.run(main()) == 3
