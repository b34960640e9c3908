"""Collects the octets of one message while they arrive.

Up to ``memory_limit`` octets stay in memory; beyond that the body goes to a file as it comes, so that the memory of a
session does not grow with its message. A header block that does not end within the limit is split at its last whole
line: the rest travels as body, untouched, and only what came before it is offered for edits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.cleanup.head import split_head
from gateway.model.content import BodyFile, Content


class BodySink(Protocol):
    """Where a large body goes; ``gateway.spool.body.BodyWriter`` is one."""

    def write(self, data: bytes) -> None:
        """Take octets. Raises SpoolError."""

    async def finish(self) -> BodyFile:
        """Make the body durable. Raises SpoolError."""

    def abort(self) -> None:
        """Remove what was written."""


class Collector:
    """One message's octets.

    Args:
        memory_limit: octets kept in memory (``content_memory_limit``).
        open_sink: makes the sink of a body above the limit; called at most once.

    Raises:
        SpoolError: from :meth:`feed` and :meth:`finish`, when the sink cannot write; the collector is aborted then.
    """

    __slots__ = ("_chunks", "_head", "_limit", "_open_sink", "_sink", "size_bytes")

    def __init__(self, memory_limit: int, open_sink: Callable[[], BodySink]) -> None:
        self._limit, self._open_sink = memory_limit, open_sink
        self._chunks: list[bytes] = []
        self._sink: BodySink | None = None
        self._head: Content | None = None
        self.size_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take the next octets: lines end in CRLF, dots are unstuffed."""
        self.size_bytes += len(data)
        if self._sink is not None:
            self._sink.write(data)
            return
        self._chunks.append(data)
        if self.size_bytes > self._limit:
            self._spill()

    def _spill(self) -> None:
        self._sink = self._open_sink()
        self._head = split_head(b"".join(self._chunks), is_whole=False)
        self._chunks.clear()
        body = self._head.body
        assert isinstance(body, bytes)
        self._head.body = b""
        self._sink.write(body)

    def finish_in_memory(self) -> Content | None:
        """The whole content when it stayed in memory, else None: then :meth:`finish` has to be awaited."""
        if self._sink is not None:
            return None
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        return split_head(data)

    async def finish(self) -> Content:
        """The whole content; a body on disk is durable on return."""
        content = self.finish_in_memory()
        if content is not None:
            return content
        assert self._sink is not None and self._head is not None
        self._head.body = await self._sink.finish()
        return self._head

    def abort(self) -> None:
        """Forget everything, the file included."""
        self._chunks.clear()
        if self._sink is not None:
            self._sink.abort()
            self._sink = None
            self._head = None
        self.size_bytes = 0
