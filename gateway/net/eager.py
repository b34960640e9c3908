"""Run a coroutine without a Task for as long as it does not wait.

Most policy never waits: in-memory tables, sync plugins. A Task for each command would cost more than the work. So the
shell starts the coroutine itself, and only when it really suspends is the rest handed to a Task. Waiting for an
:class:`~gateway.net.acknowledgement.Acknowledgement`, as every message does, needs no Task either.

Until the first other suspension there is no current task: code on that path must not use ``asyncio.timeout`` or
``asyncio.current_task`` itself; whoever needs a deadline wraps the waiting part with :func:`with_deadline`, which gives
it a Task of its own.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Protocol, TypeVar

from gateway.net.acknowledgement import Acknowledgement

T = TypeVar("T")


class Running(Protocol):
    """What :func:`start_acknowledged` leaves behind when a coroutine waits."""

    def cancel(self) -> object:
        """End the coroutine with CancelledError, where it waits."""


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


_ENDED = object()


def _step(coro: Coroutine[Any, Any, T], done: Callable[[T], None], failed: Callable[[BaseException], None]) -> Any:
    """Run a coroutine to its next suspension; what it waits for, or _ENDED when its end was told."""
    try:
        return coro.send(None)
    except StopIteration as stop:
        done(stop.value)
    except BaseException as exc:
        failed(exc)
    return _ENDED


class _Listening:
    """A coroutine that waits for an acknowledgement."""

    __slots__ = ("_acknowledgement", "_coro", "_done", "_failed", "_loop", "_task")

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._coro, self._done, self._failed, self._loop = coro, done, failed, loop
        self._acknowledgement: Acknowledgement | None = None
        self._task: asyncio.Task[None] | None = None

    def listen(self, acknowledgement: Acknowledgement) -> None:
        acknowledgement._asyncio_future_blocking = False  # as a Task says that it has taken the future
        acknowledgement.listener = self._go_on
        self._acknowledgement = acknowledgement

    def _go_on(self) -> None:
        """The acknowledgement is there: its ``await`` raises what it failed with."""
        self._acknowledgement = None
        waiting_for = _step(self._coro, self._tell, self._failed)
        if type(waiting_for) is Acknowledgement:
            self.listen(waiting_for)
        elif waiting_for is not _ENDED:
            self._task = _task(self._coro, waiting_for, self._done, self._failed, self._loop)

    def _tell(self, result: Any) -> None:
        try:
            self._done(result)
        except Exception as exc:  # it is not the fault of whoever settled the acknowledgement
            self._failed(exc)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif self._acknowledgement is not None and self._acknowledgement.cancel():
            self._go_on()


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
    waiting_for = _step(coro, done, failed)
    return None if waiting_for is _ENDED else _task(coro, waiting_for, done, failed, loop)


def start_acknowledged(
    coro: Coroutine[Any, Any, T],
    done: Callable[[T], None],
    failed: Callable[[BaseException], None],
    loop: asyncio.AbstractEventLoop,
) -> Running | None:
    """As :func:`start`, but waiting for an :class:`Acknowledgement` takes no Task.

    Returns:
        None when the coroutine has ended, else what finishes it; the caller keeps a reference to it.
    """
    waiting_for = _step(coro, done, failed)
    if waiting_for is _ENDED:
        return None
    if type(waiting_for) is not Acknowledgement:
        return _task(coro, waiting_for, done, failed, loop)
    listening = _Listening(coro, done, failed, loop)
    listening.listen(waiting_for)
    return listening


def _task(
    coro: Coroutine[Any, Any, T],
    waiting_for: Any,
    done: Callable[[T], None],
    failed: Callable[[BaseException], None],
    loop: asyncio.AbstractEventLoop,
) -> asyncio.Task[None]:
    """A Task for a coroutine that has already yielded ``waiting_for``."""
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
