"""Tables that ask a server over a stream: what ``tcp``, ``socketmap`` and ``memcache`` have in common.

A process asks each endpoint through one :class:`TablePool`, however many tables of however many services name it.
"""

from __future__ import annotations

import weakref

from gateway.maps.folding import Folding
from gateway.maps.source import Surroundings
from gateway.maps.table import RemoteTable
from gateway.model.errors import TableError
from gateway.net.endpoint import Endpoint, system_text
from gateway.net.stream import BadReply, PoolLimits, ReplyEnd, StreamPool

LIMITS = PoolLimits(connections=10, waiting=1000, idle_s=60.0)
"""Of a process for each server. A connection is kept for less than the memory of firewalls on the way."""


class TablePool(StreamPool):
    """The connections of this process to one endpoint; :meth:`lease` one."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint, LIMITS)
        self._leases = 0

    @classmethod
    def lease(cls, endpoint: Endpoint) -> TablePool:
        """The pool of the endpoint; whoever leases it calls :meth:`release` once."""
        pool = _POOLS.get(endpoint)
        if pool is None:
            pool = _POOLS[endpoint] = cls(endpoint)
        pool._leases += 1
        return pool

    def release(self) -> None:
        """Give it back; the last one closes the connections."""
        self._leases -= 1
        if self._leases <= 0:
            self.close()


# One for each endpoint in a process: tables of the same server share its connections, whichever service opened them.
_POOLS: weakref.WeakValueDictionary[Endpoint, TablePool] = weakref.WeakValueDictionary()


class StreamTable(RemoteTable):
    """What tables that ask over a stream have in common: keys are sent whole, and keep their case, as in Postfix.

    Args:
        endpoint: of the server.
        around: for ``smtputf8_enable``.
        folds: they do not keep it.
    """

    is_pattern = True

    def __init__(self, spec: str, endpoint: Endpoint, around: Surroundings, *, folds: bool = False) -> None:
        super().__init__(spec)
        self._folding = Folding(around.config)
        self._folding.folds = folds
        self._pool = TablePool.lease(endpoint)
        self._is_closed = False

    def octets(self, key: str) -> bytes | None:
        """The key as it is sent; None when it can be in no table."""
        return self._folding.octets(key)

    async def ask(self, request: bytes, end: ReplyEnd, *, limit_s: float | None = None) -> bytes:
        """As :meth:`gateway.net.stream.StreamPool.ask`.

        Raises:
            TableError: no reply; caused by one of the errors there.
        """
        try:
            return await self._pool.ask(request, end, limit_s=limit_s)
        except BadReply as error:
            raise TableError(self.spec, f"{self._pool.endpoint}: bad reply: {error}") from error
        except OSError as error:
            raise TableError(self.spec, f"{self._pool.endpoint}: {system_text(error)}") from error

    def value(self, raw: bytes) -> str:
        """The text of a value.

        Raises:
            TableError: it is empty, which the daemons of Postfix take for an error too, has a NUL, or is not UTF-8
                and must be.
        """
        if not raw or b"\0" in raw:
            raise TableError(self.spec, "a value that is empty or has a NUL")
        return self._folding.value(self.spec, raw)

    async def close(self) -> None:
        """Close the connections, unless another table needs them."""
        if not self._is_closed:
            self._is_closed = True
            self._pool.release()
