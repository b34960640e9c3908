"""What many connections say in one turn of the loop, written together at the end of the turn.

A write wakes the peer, and on a busy machine the kernel often lets it run at once, on our processor: between two
replies the interpreter's working set is gone from the caches. Written together, fewer of them meet a peer that
sleeps. With 20 clients on two processors the compiled gateway relayed 3,370 messages a second in place of 3,170
(medians of four and three runs that overlapped; the sources as they are gained nothing).
"""

from __future__ import annotations

import asyncio


class Outbox:
    """Writes and closes for the transports of one loop, in the order in which they were asked for.

    Holds what one turn of the loop produces, no more: each sender bounds its own share.

    Args:
        loop: of all the transports.
    """

    __slots__ = ("_loop", "_writes")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._writes: list[tuple[asyncio.Transport, bytes | None]] = []

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write ``data`` at the end of this turn."""
        if not self._writes:
            self._loop.call_soon(self.flush)
        self._writes.append((transport, data))

    def close(self, transport: asyncio.Transport) -> None:
        """Close the transport behind what is written."""
        if not self._writes:
            self._loop.call_soon(self.flush)
        self._writes.append((transport, None))

    def flush(self) -> None:
        """Write now. What concerns a transport that is closed already has come too late, and is dropped."""
        writes, self._writes = self._writes, []
        for transport, data in writes:
            if transport.is_closing():
                continue
            if data is None:
                transport.close()
            else:
                transport.write(data)
