"""The one loop that calls plugins: order, deadline, failure policy, breaker, ledger.

Chains are compiled at (re)load. A sync implementation is called inline: no task, no timer. Only what is awaited gets a
Task and a deadline of its own, so that a plugin that never answers, or swallows its cancellation, holds nobody.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import traceback
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from gateway.hooks.edit_list import EditList, check_header_line
from gateway.hooks.failure import Breaker, FailurePolicy, PluginSuspended, failure_verdict
from gateway.hooks.watchdog import Watchdog
from gateway.model.edits import Edit
from gateway.model.ledger import LedgerEntry
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.net.eager import with_deadline
from gateway.observe import Counters, Logger

NoteVerdict = Callable[[Verdict], None]
TakeEdits = Callable[[tuple[Edit, ...]], None]
Observe = Callable[[Session | None, LedgerEntry], None]


class Runtime:
    """What all chains of one process share: log, counters, thread pool, watchdog."""

    def __init__(
        self, log: Logger, counters: Counters, *, threads: int = 8, now: Callable[[], float] = perf_counter
    ) -> None:
        self.log, self.counters, self.now = log, counters, now
        self.watchdog = Watchdog()
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._in_pool = 0

    def in_thread(self, function: Callable[..., Any], args: Sequence[Any]) -> Awaitable[Any]:
        """Run a blocking implementation in the pool.

        Raises:
            RuntimeError: four calls a thread are waiting or running already.
        """
        if self._in_pool >= self._threads * 4:
            raise RuntimeError(f"thread pool is full ({self._in_pool} calls; plugin_threads = {self._threads})")
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="plugin")
        self._in_pool += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, _called, function, args)
        future.add_done_callback(self._left_pool)
        return future

    def _left_pool(self, _future: asyncio.Future[Any]) -> None:
        self._in_pool -= 1

    def close(self) -> None:
        """Stop the watchdog and let go of the pool without waiting for hanging threads."""
        self.watchdog.stop()
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)


class Link:
    """One implementation in a chain."""

    __slots__ = ("arguments", "breaker", "deadline_s", "function", "is_blocking", "pen_at", "plugin", "policy")

    def __init__(
        self,
        plugin: str,
        function: Callable[..., Any],
        arguments: tuple[int, ...],
        *,
        pen_at: int = -1,
        is_blocking: bool = False,
        deadline_s: float = 30.0,
        policy: FailurePolicy = FailurePolicy.TEMPFAIL,
        breaker: Breaker | None = None,
    ) -> None:
        self.plugin, self.function, self.arguments, self.pen_at = plugin, function, arguments, pen_at
        self.is_blocking, self.deadline_s, self.policy = is_blocking, deadline_s, policy
        self.breaker = breaker or Breaker(5, 60.0)


class Chain:
    """The implementations of one stage, in the order of ``plugins``.

    Args:
        stage: hook name.
        links: the implementations; arguments are positions in the tuple given to :meth:`run`.
        runtime: shared by the process.
        observers: ``verdict`` observers as (plugin, function).
    """

    __slots__ = ("_observers", "_runtime", "links", "stage")

    def __init__(
        self, stage: str, links: Sequence[Link], runtime: Runtime, observers: Sequence[tuple[str, Observe]] = ()
    ) -> None:
        self.stage, self.links, self._runtime, self._observers = stage, tuple(links), runtime, tuple(observers)

    def __bool__(self) -> bool:
        return bool(self.links)

    async def run(
        self,
        arguments: tuple[Any, ...],
        *,
        session: Session | None,
        ledger: list[LedgerEntry],
        note: NoteVerdict,
        recipient: str = "",
        queue_id: str = "",
        take: TakeEdits | None = None,
        may_change_envelope: bool = True,
    ) -> Verdict | None:
        """Ask each implementation in turn.

        Args:
            arguments: the hook's arguments in the order of its specification, without ``edits``.
            session: the SMTP session, or None.
            ledger: where verdicts and edits are written.
            note: called with each non-final verdict (HOLD, PREPEND …).
            recipient: internal form, for the ledger.
            queue_id: for the ledger, where no session has it.
            take: called with the edits of an implementation that returned normally, before the next one is asked.
            may_change_envelope: False at ``deliver``.

        Returns:
            The first final verdict, or None when nobody objected.
        """
        for link in self.links:
            if session is not None and link.plugin in session.skipped_plugins:
                continue
            pen = EditList(may_change_envelope=may_change_envelope) if link.pen_at >= 0 else None
            started = perf_counter()
            error = ""
            try:
                verdict = await self._call(link, arguments, pen, started)
            except (Exception, asyncio.CancelledError) as exc:
                if isinstance(exc, asyncio.CancelledError) and not isinstance(exc, _PluginCancelled):
                    raise
                error = self._failed(link, exc)
                verdict, pen = failure_verdict(link.policy, f"plugin {link.plugin}: {error}"), None
                if link.policy is FailurePolicy.SKIP and session is not None:
                    session.skipped_plugins |= {link.plugin}
            edits = pen.collected() if pen else ()
            if verdict is None and not edits and not error:
                continue
            milliseconds = (perf_counter() - started) * 1000
            known_id = queue_id or (session.queue_id if session is not None else "")
            entry = LedgerEntry(self.stage, link.plugin, verdict, edits, recipient, milliseconds, error, known_id)
            self._enter(session, ledger, entry)
            if edits and take is not None:
                take(edits)
            if verdict is None:
                continue
            if verdict.is_final:
                return verdict
            note(verdict)
        return None

    async def _call(
        self, link: Link, arguments: tuple[Any, ...], pen: EditList | None, started: float
    ) -> Verdict | None:
        breaker, watchdog = link.breaker, self._runtime.watchdog
        if breaker.open_until:
            breaker.admit(self._runtime.now())
        chosen = [arguments[i] for i in link.arguments]
        if pen is not None:
            chosen.insert(link.pen_at, pen)
        if link.is_blocking:
            result = await with_deadline(self._runtime.in_thread(link.function, chosen), link.deadline_s)
        else:
            watchdog.deadline = started + link.deadline_s
            try:
                result = _called(link.function, chosen)
            except asyncio.CancelledError as exc:
                raise _PluginCancelled("raised CancelledError") from exc
            finally:
                watchdog.deadline = 0.0
            if result is not None and inspect.isawaitable(result):
                result = await self._await(result, link.deadline_s)
        if result is not None:
            check_verdict(result)
        if breaker.failures and breaker.succeeded():
            self._runtime.log.info(f"plugin {link.plugin}: {self.stage}: answers again")
        return result  # type: ignore[no-any-return]  # check_verdict has seen it

    async def _await(self, awaitable: Awaitable[Any], deadline_s: float) -> Any:
        task = asyncio.ensure_future(_awaited(awaitable))
        tasks = self._runtime.watchdog.plugin_tasks
        tasks[task] = perf_counter() + deadline_s
        try:
            return await with_deadline(task, deadline_s)
        except asyncio.CancelledError as exc:
            if task.cancelled() and not _is_cancelling():
                raise _PluginCancelled("cancelled itself") from exc
            raise
        finally:
            tasks.pop(task, None)

    def _failed(self, link: Link, exc: BaseException) -> str:
        """Count and report a failure; returns the text for the ledger."""
        runtime = self._runtime
        error = str(exc) if isinstance(exc, PluginSuspended | TimeoutError) else f"{type(exc).__name__}: {exc}"
        name = f"plugin.{link.plugin}.{self.stage}"
        runtime.counters.add(f"{name}.failed")
        if link.policy.is_open:
            runtime.counters.add(f"{name}.fail_open")
        if not isinstance(exc, PluginSuspended):
            where = _innermost_frame(exc)
            runtime.log.warning(
                f"plugin {link.plugin}: {self.stage}: {error}{where}; default action: {link.policy.value}"
            )
            if link.breaker.failed(runtime.now()):
                runtime.log.warning(f"plugin {link.plugin}: suspended after {link.breaker.failures} failures in a row")
        return error

    def _enter(self, session: Session | None, ledger: list[LedgerEntry], entry: LedgerEntry) -> None:
        ledger.append(entry)
        for plugin, observe in self._observers:
            if plugin != entry.author:
                call_observer(self._runtime, plugin, "verdict", observe, (session, entry))


class PluginExited(Exception):
    """The plugin tried to end the process."""


# A library that was written as a program calls sys.exit(); asyncio would let that end the whole worker.
_EXITS = (SystemExit, KeyboardInterrupt)


def _called(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    try:
        return function(*arguments)
    except _EXITS as exc:
        raise PluginExited(f"raised {type(exc).__name__}") from exc


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except _EXITS as exc:
        raise PluginExited(f"raised {type(exc).__name__}") from exc


class _PluginCancelled(asyncio.CancelledError):
    """The plugin, not its caller, was cancelled."""


def _is_cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _innermost_frame(exc: BaseException) -> str:
    frames = traceback.extract_tb((exc.__cause__ or exc).__traceback__)
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


_WITH_OPERAND = frozenset({Action.FILTER, Action.REDIRECT, Action.BCC})
_OPERAND = re.compile(r"[^\x00-\x1f\x7f]+")
_TEXTS = ("text", "enhanced", "reason", "argument")


def check_verdict(result: object) -> None:
    """Refuse what is no verdict: plugins are not trusted to keep types.

    Raises:
        TypeError, ValueError: naming what was returned and what is wanted.
    """
    if not isinstance(result, Verdict):
        raise TypeError(f"returned {type(result).__name__}, a Verdict or None is wanted")
    if not isinstance(result.action, Action) or not all(isinstance(getattr(result, name), str) for name in _TEXTS):
        raise TypeError("returned a Verdict with fields of wrong types")
    low, high = (400, 499) if result.action is Action.DEFER else (400, 599)
    if result.code and not (isinstance(result.code, int) and low <= result.code <= high):
        raise ValueError(f"returned a {result.action.value} Verdict with code {result.code!r}")
    # What cannot be an octet stream (half a surrogate pair) must fail here, not while the reply is written.
    (result.text + result.enhanced + result.argument).encode("utf-8", "surrogateescape")
    if result.action is Action.PREPEND:
        check_header_line(result.argument)
    elif result.action in _WITH_OPERAND and not _OPERAND.fullmatch(result.argument):
        raise ValueError(f"returned a {result.action.value} Verdict with argument {result.argument[:100]!r}")


def call_observer(
    runtime: Runtime, plugin: str, hook: str, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """Tell one observer; whatever it raises is logged and forgotten."""
    runtime.watchdog.deadline = perf_counter() + 5.0
    try:
        _called(function, arguments)
    except (Exception, asyncio.CancelledError) as exc:
        runtime.counters.add(f"plugin.{plugin}.{hook}.failed")
        runtime.log.warning(f"plugin {plugin}: {hook}: {type(exc).__name__}: {exc}{_innermost_frame(exc)}; ignored")
    finally:
        runtime.watchdog.deadline = 0.0
