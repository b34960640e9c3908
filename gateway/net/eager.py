"""Run a coroutine without a Task for as long as it does not wait.

Most policy never waits: in-memory tables, sync plugins. A Task for each command would cost more than the work. So the
shell starts the coroutine itself, and only when it really suspends is the rest handed to a Task.

Until the first suspension there is no current task: code on that path must not use ``asyncio.timeout`` or
``asyncio.current_task`` itself; whoever needs a deadline wraps the waiting part with :func:`with_deadline`, which gives
it a Task of its own.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def _resume(coro: Coroutine[Any, Any, T], waiting_for: Any) -> Generator[Any, Any, T]:
    """Continue a coroutine that has already yielded ``waiting_for``; closing this closes it."""
    try:
        while True:
            try:
                value = yield waiting_for
            except GeneratorExit:
                coro.close()
                raise
            except BaseException as exc:
                waiting_for = coro.throw(exc)
            else:
                waiting_for = coro.send(value)
    except StopIteration as stop:
        result: T = stop.value
        return result


async def _finish(coro: Coroutine[Any, Any, T], waiting_for: Any, done: Callable[[T], None]) -> None:
    """Finish the coroutine and tell its result at once: a callback of the Task would cost a turn of the loop."""
    done(await _resume(coro, waiting_for))


def start(
    coro: Coroutine[Any, Any, T],
    done: Callable[[T], None],
    failed: Callable[[BaseException], None],
    loop: asyncio.AbstractEventLoop,
) -> asyncio.Task[None] | None:
    """Run ``coro`` to its end or its first suspension.

    Args:
        coro: a coroutine that was not started.
        done: called with the result; before this returns when the coroutine never waited.
        failed: called with the exception, cancellation included.
        loop: the running loop.

    Returns:
        None when the coroutine has ended, else the Task that finishes it; the caller keeps a reference to it.
    """
    try:
        waiting_for = coro.send(None)
    except StopIteration as stop:
        done(stop.value)
        return None
    except BaseException as exc:
        failed(exc)
        return None
    task = loop.create_task(_finish(coro, waiting_for, done))

    def settle(task: asyncio.Task[None]) -> None:
        if task.cancelled():
            # A task cancelled before its first step never touched the coroutine: its clean-up is still to run.
            coro.close()
            failed(asyncio.CancelledError())
        elif (exc := task.exception()) is not None:
            failed(exc)

    task.add_done_callback(settle)
    return task


async def with_deadline(awaitable: Awaitable[T], deadline_s: float) -> T:
    """Await for at most ``deadline_s`` seconds in a Task of its own.

    A coroutine that ignores its cancellation is left behind, never waited for: a hostile plugin cannot hold the caller.

    Raises:
        TimeoutError: the deadline passed.
    """
    task: asyncio.Future[T] = asyncio.ensure_future(awaitable)
    try:
        finished, _ = await asyncio.wait((task,), timeout=deadline_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not finished:
        task.cancel()
        task.add_done_callback(_observe)
        raise TimeoutError(f"no answer within {deadline_s:g}s")
    return task.result()


def _observe(task: asyncio.Future[Any]) -> None:
    """Fetch the outcome of an abandoned task so that asyncio does not report it as never retrieved."""
    if not task.cancelled():
        task.exception()
