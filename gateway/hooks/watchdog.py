"""Ends a sync plugin call that does not return.

An inline call cannot be abandoned the way a coroutine can. A thread looks once a second at how long the current call
has been running and, when it is over its deadline, sends this process's main thread a signal whose handler raises
:class:`PluginHung` inside the plugin. That reaches ``time.sleep``, socket calls and Python loops; a C extension that
never comes back to the interpreter is out of reach and belongs behind ``@blocking``.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from time import perf_counter
from types import FrameType

_SIGNAL = signal.SIGUSR2
_PERIOD_S = 1.0
# After a reload the plugins of two configurations are called for a while; the process has one handler for both.
_started: list[Watchdog] = []


class PluginHung(Exception):
    """A sync plugin call passed its deadline."""


class Watchdog:
    """Watches the calls of one process's main thread.

    The chain writes ``deadline`` (``perf_counter`` seconds, 0: no call) around each sync call; that is all it costs.
    """

    __slots__ = ("_stop", "_thread", "deadline", "plugin_tasks")

    def __init__(self) -> None:
        self.deadline = 0.0
        self.plugin_tasks: dict[asyncio.Future[object], float] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Install the handler and start watching; only a main thread can, elsewhere nothing is watched."""
        if threading.current_thread() is not threading.main_thread() or self._thread:
            return
        signal.signal(_SIGNAL, _interrupted)
        _started.append(self)
        self._thread = threading.Thread(target=self._watch, name="plugin-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        if self._thread:
            self._stop.set()
            self._thread.join()
            self._thread = None
            _started.remove(self)

    def _watch(self) -> None:
        main = threading.main_thread().ident
        assert main is not None
        while not self._stop.wait(_PERIOD_S):
            now = perf_counter()
            if 0 < self.deadline < now or any(limit < now for limit in tuple(self.plugin_tasks.values())):
                signal.pthread_kill(main, _SIGNAL)

    def _interrupt(self) -> None:
        """Raise in the plugin, and only there: the signal may come late, when our own code runs again."""
        now = perf_counter()
        if 0 < self.deadline < now:
            self.deadline = 0.0
            raise PluginHung("did not return within its deadline")
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return
        if task is not None and self.plugin_tasks.pop(task, now) < now:
            raise PluginHung("did not return to the event loop within its deadline")


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    for watchdog in tuple(_started):
        watchdog._interrupt()
