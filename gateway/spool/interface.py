"""What the rest of the house may ask of a spool, whatever keeps the mail.

:class:`gateway.spool.store.Store` is the SQLite backend. A replicated backend implements :class:`Spool` and gives the
same promises:

- ``put`` resolves when the message survives the loss of everything that may fail (here: power; there: a node too). Once
  it resolved the message is served until ``remove``.
- ``update`` and ``remove`` are applied in call order and are seen at once by ``due``, ``next_due``, ``envelope`` and
  ``entries`` of the same process; they may become durable later, with the next group. A crash before that brings the
  older state back, so a delivery may be repeated, never lost.
- A failed operation leaves nothing behind. ``put`` fails with SpoolFull or SpoolError; the backend keeps and retries
  ``update`` and ``remove`` itself, because a delivery that happened cannot be taken back.
- Nothing blocks the event loop for longer than a bounded step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Container, Iterable
from enum import Enum
from typing import Final, Protocol

from gateway.model.content import Content
from gateway.model.envelope import Envelope


class Selection(Enum):
    """A selection that is not a list of queue IDs; upper-case as ``postsuper`` wants it."""

    ALL = "ALL"


ALL: Final = Selection.ALL


class QueueState(Enum):
    """The queue a stored message is in. What the scheduler has active is deferred here."""

    DEFERRED = "deferred"
    HOLD = "hold"


class Log(Protocol):
    """The part of :class:`gateway.observe.Logger` that the spool uses."""

    def info(self, text: str, /) -> None:
        """Log one line."""

    def warning(self, text: str, /) -> None:
        """Log one line with the prefix ``warning:``."""

    def error(self, text: str, /) -> None:
        """Log one line with the prefix ``error:``."""


class Submitter(Protocol):
    """Somebody who takes responsibility for a message: the store itself, or a client of its owner."""

    def submit(self, envelope: Envelope, content: Content) -> Awaitable[None]:
        """Make the message durable; resolves once it is.

        Raises:
            SpoolFull: no room (452 4.3.1); nothing was stored.
            SpoolUnavailable: no answer (451 4.3.0); the message may or may not be stored, so a body file stays.
            SpoolError: it failed (451 4.3.0); nothing was stored.
        """


class Spool(Submitter, Protocol):
    """A durable queue, as the scheduler uses it. All times are seconds since the epoch."""

    def put(self, envelope: Envelope, content: Content) -> Awaitable[None]:
        """The same as :meth:`submit`."""

    def update(self, envelope: Envelope) -> asyncio.Future[None]:
        """Store the new state of a message after an attempt; the content is not touched."""

    def remove(self, queue_id: str) -> asyncio.Future[None]:
        """Forget a message: all its recipients are done."""

    def due(self, now: float, limit: int, exclude: Container[str] = ()) -> list[Envelope]:
        """Messages that are not held and whose time has come, in order of time, without those in ``exclude``."""

    def next_due(self, now: float) -> float | None:
        """The earliest time after ``now`` at which a message that is not held becomes due; None when there is none."""

    def envelope(self, queue_id: str) -> Envelope | None:
        """One message's envelope, or None when there is no such message."""

    def content(self, queue_id: str) -> Content:
        """One message's content; SpoolError when there is none or it is damaged."""

    def entries(self, after: str = "", limit: int = 100, state: QueueState | None = None) -> list[Envelope]:
        """One page of a listing in order of queue ID; ``after`` is the last queue ID of the page before."""

    def counts(self) -> dict[str, int]:
        """Messages by :class:`QueueState` value."""

    async def hold(self, queue_ids: Iterable[str] | Selection, now: float = 0.0) -> int:
        """Put messages on hold (``postsuper -h``); returns how many changed."""

    async def release(self, queue_ids: Iterable[str] | Selection, now: float) -> int:
        """Take messages off hold, due now (``postsuper -H``); returns how many changed."""

    async def requeue(self, queue_ids: Iterable[str] | Selection, now: float) -> int:
        """Make messages due now, held ones included (``postsuper -r``); returns how many changed."""

    async def flush(self, now: float) -> int:
        """Make every message that is not held due now (``postqueue -f``); returns how many changed."""

    async def delete(self, queue_ids: Iterable[str] | Selection) -> int:
        """Delete messages (``postsuper -d``); returns how many."""

    def close(self) -> None:
        """Finish what was accepted and let go."""
