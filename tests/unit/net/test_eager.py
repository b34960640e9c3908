"""Coroutines without a Task for as long as they do not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from gateway.net.acknowledgement import Acknowledgement
from gateway.net.eager import Running, start, start_acknowledged, with_deadline

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


def _listening(outcome: Outcome, coro: Coroutine[Any, Any, Any]) -> Running | None:
    return start_acknowledged(coro, outcome.results.append, outcome.errors.append, asyncio.get_running_loop())


@every_loop
def test_an_acknowledgement_is_told_at_once_and_without_a_task(new_loop: Any) -> None:
    async def main() -> None:
        outcome, acknowledgement = Outcome(), Acknowledgement()
        before = asyncio.all_tasks()

        async def waits() -> str:
            await acknowledgement
            return "durable"

        assert _listening(outcome, waits()) is not None
        assert outcome.results == [] and asyncio.all_tasks() == before
        acknowledgement.settle()
        assert (outcome.results, outcome.errors) == (["durable"], [])
        acknowledgement.settle(ValueError("too late"))
        assert acknowledgement.result() is None

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@every_loop
def test_an_acknowledgement_that_fails_raises_where_it_is_awaited(new_loop: Any) -> None:
    async def main() -> None:
        outcome, acknowledgement = Outcome(), Acknowledgement()

        async def waits() -> str:
            try:
                await acknowledgement
            except ValueError as exc:
                return f"caught {exc}"
            return "?"

        _listening(outcome, waits())
        acknowledgement.settle(ValueError("no room"))
        assert (outcome.results, outcome.errors) == (["caught no room"], [])

        never = Acknowledgement()

        async def lets_through() -> None:
            await never

        _listening(outcome, lets_through())
        never.settle(ValueError("no answer"))
        assert [str(error) for error in outcome.errors] == ["no answer"]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@every_loop
def test_waiting_again_and_for_something_else(new_loop: Any) -> None:
    async def main() -> None:
        outcome, first, second = Outcome(), Acknowledgement(), Acknowledgement()
        over = asyncio.Event()

        async def waits() -> int:
            await first
            await second
            await asyncio.sleep(0)
            async with asyncio.timeout(5):  # needs the Task that it got for the sleep
                await over.wait()
            return 4

        _listening(outcome, waits())
        first.settle()
        second.settle()
        over.set()
        while not outcome.results:
            await asyncio.sleep(0)
        assert (outcome.results, outcome.errors) == ([4], [])
        assert _listening(outcome, _value(first)) is None, "it never waited"
        assert outcome.results == [4, 7]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


async def _value(acknowledgement: Acknowledgement) -> int:
    await acknowledgement
    return 7


@every_loop
def test_cancelling_what_listens_runs_its_clean_up_at_once(new_loop: Any) -> None:
    ended: list[str] = []

    async def main() -> None:
        outcome, acknowledgement, other = Outcome(), Acknowledgement(), Acknowledgement()

        async def waits() -> None:
            try:
                await acknowledgement
            finally:
                ended.append("finally")

        running = _listening(outcome, waits())
        assert running is not None
        running.cancel()
        assert acknowledgement.cancelled() and ended == ["finally"]
        assert [type(error) for error in outcome.errors] == [asyncio.CancelledError]
        acknowledgement.settle()
        running.cancel()
        assert len(outcome.errors) == 1

        async def sleeps() -> None:
            await other
            await asyncio.Event().wait()

        running = _listening(outcome, sleeps())
        assert running is not None
        other.settle()
        running.cancel()
        while len(outcome.errors) < 2:
            await asyncio.sleep(0)
        assert type(outcome.errors[1]) is asyncio.CancelledError

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


def test_a_listener_that_fails_does_not_fail_who_settles() -> None:
    async def main() -> None:
        acknowledgement = Acknowledgement()
        errors: list[BaseException] = []

        def done(result: int) -> None:
            raise LookupError("a bug")

        start_acknowledged(_value(acknowledgement), done, errors.append, asyncio.get_running_loop())
        acknowledgement.settle()
        assert [str(error) for error in errors] == ["a bug"]

    asyncio.run(main())


def test_a_task_may_wait_for_an_acknowledgement_too() -> None:
    async def main() -> int:
        acknowledgement = Acknowledgement()
        task = asyncio.create_task(_value(acknowledgement))
        await asyncio.sleep(0)
        acknowledgement.settle()
        return await task

    assert asyncio.run(main()) == 7
