"""The one lookup contract: a key in, the text stored under it out, or None.

A table answers ``None`` when it does not know the key, and raises :class:`gateway.model.errors.TableError` when it
could not answer now; the two are never confused. Source: DATABASE_README.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gateway.model.errors import TableError


def folded(text: str) -> str:
    """A key, name or domain without the difference of case: all of Unicode's, so ``STRASSE`` is ``straße``.

    Source: SMTPUTF8_README, "Postfix does, however, casefold"; smtputf8_enable.
    """
    return text.lower() if text.isascii() else text.casefold()


class Table(ABC):
    """A lookup table.

    Args:
        spec: as configured, ``type:name``; what log lines and errors call it.

    Attributes:
        is_pattern: keys are matched whole (``cidr``, ``regexp``): callers do not ask for parent
            domains, parent networks or parts of an address. Source: access(5), "REGULAR EXPRESSION TABLES".
    """

    is_pattern = False

    def __init__(self, spec: str) -> None:
        self.spec = spec

    @abstractmethod
    async def find(self, key: str) -> str | None:
        """The text under ``key``; None when there is none.

        Keys are given as they are; a table whose keys fold case folds them itself.

        Raises:
            TableError: no answer now; ask again later.
        """

    async def close(self) -> None:  # noqa: B027 — most tables hold nothing
        """Give up connections and files."""


def _unheard(_error: TableError, _key: str) -> None:
    """For a table that is opened by itself."""


class MemoryTable(Table):
    """A table that answers at once: :meth:`find` never suspends, and :meth:`get` needs no ``await``.

    Attributes:
        on_failure: told of each :meth:`find` that fails; :class:`gateway.maps.Tables` logs it.
    """

    on_failure: Callable[[TableError, str], None] = staticmethod(_unheard)

    @abstractmethod
    def get(self, key: str) -> str | None:
        """As :meth:`find`, without waiting.

        Raises:
            TableError: as :meth:`find`.
        """

    async def find(self, key: str) -> str | None:
        """As :meth:`get`."""
        try:
            return self.get(key)
        except TableError as error:
            self.on_failure(error, key)
            raise


class RemoteTable(Table):
    """A table that asks somebody else. :class:`gateway.maps.Tables` puts it behind a deadline, each lookup in a Task.

    Attributes:
        deadline_s: longest lookup, all retries and fail-over included; then it is a TableError.
    """

    deadline_s = 100.0


class BlockingTable(RemoteTable):
    """A table whose driver blocks: asked in threads of its own, a bounded number of lookups at a time.

    Attributes:
        threads: lookups at a time.
        waiting_limit: lookups that may wait for a thread; more are a TableError at once.
    """

    threads = 4
    waiting_limit = 1000

    def __init__(self, spec: str) -> None:
        super().__init__(spec)
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix=spec)
        self._asked = 0
        self._lock = threading.Lock()

    @abstractmethod
    def ask(self, key: str) -> str | None:
        """As :meth:`find`, called in a thread; must end by itself within ``deadline_s``.

        Raises:
            TableError: no answer now.
        """

    async def find(self, key: str) -> str | None:
        """What :meth:`ask` says."""
        with self._lock:
            if self._asked >= self.threads + self.waiting_limit:
                raise TableError(self.spec, f"{self._asked} lookups are waiting already")
            self._asked += 1
        try:
            asked = self._pool.submit(self.ask, key)
        except RuntimeError as error:  # closed
            self._answered(None)
            raise TableError(self.spec, str(error)) from error
        # Counted until the thread is free again, not until the caller gives up.
        asked.add_done_callback(self._answered)
        return await asyncio.wrap_future(asked)

    def _answered(self, _asked: object) -> None:
        with self._lock:
            self._asked -= 1

    async def close(self) -> None:
        """Take no more lookups; running ones end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
