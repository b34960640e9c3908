"""The end of a message's turn in the active queue: bounce, warn, expire, put off or remove.

Order is what makes it kill-safe: a bounce is durable before the recipients it reports count as done, and a message is
removed only when every recipient is done. A crash in between costs a second bounce, never a lost one.
Source: bounce(8), qmgr(8); postconf(5) maximal_queue_lifetime, delay_warning_time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gateway.model.content import Content
from gateway.model.delivery import Outcome, Status
from gateway.model.envelope import Envelope, Recipient, RecipientState
from gateway.model.errors import SpoolError
from gateway.observe import MailLog
from gateway.scheduler.active import ActiveMessage
from gateway.scheduler.backoff import Lifetimes
from gateway.scheduler.delivery import ContentSource

Results = list[tuple[Recipient, Status]]


class ChangeStore(ContentSource, Protocol):
    """The spool as the end of a turn sees it: changes are visible at once, durable soon, repeated by the spool itself
    when they fail (:class:`gateway.spool.interface.Spool`). Nobody waits for them: the next message must not wait for
    this one's fsync.
    """

    def update(self, envelope: Envelope) -> object:
        """Store the state of an envelope and its recipients."""

    def remove(self, queue_id: str) -> object:
        """Take a message out of the spool."""


class Reporter(Protocol):
    """Who writes DSNs; each returns when the notification is durable: :class:`gateway.transport.bounce.Bouncer`."""

    async def failed(self, envelope: Envelope, content: Content | None, results: Results) -> None:
        """Tell the sender that these recipients did not get the mail."""

    async def delayed(self, envelope: Envelope, content: Content | None, results: Results) -> None:
        """Tell the sender that these recipients' mail is late."""

    async def delivered(self, envelope: Envelope, content: Content | None, results: Results) -> None:
        """Tell the sender that these recipients got the mail, as asked with NOTIFY=SUCCESS."""


class Completion:
    """Ends turns.

    Args:
        store: the spool.
        reporter: writes DSNs.
        log: where lines go.
        gone: called with a message that has left the active queue.
        spawn: runs a coroutine as a task that stop() waits for.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        store: ChangeStore,
        reporter: Reporter,
        *,
        log: MailLog,
        lifetimes: Lifetimes,
        gone: Callable[[ActiveMessage], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.lifetimes = lifetimes
        self.reporter = reporter
        self._store = store
        self._qmgr = log.logger("qmgr")
        self._gone, self._spawn, self._clock = gone, spawn, clock

    def finish(self, message: ActiveMessage) -> None:
        """All jobs of a message have ended."""
        if message.is_deleted:
            self._gone(message)
            return
        if not message.bounces and not message.successes and _is_done(message.envelope):
            self._remove(message)
            return
        now = self._clock()
        if message.bounces or message.successes or self._is_expired(message, now) or self._is_late(message, now):
            self._spawn(self._report(message, now))
        else:
            self._close(message)

    async def _report(self, message: ActiveMessage, now: float) -> None:
        """Write the notifications first, then the new state."""
        try:
            if message.successes:
                await self.reporter.delivered(message.envelope, self._content(message), message.successes)
                message.successes = []
            if self._is_expired(message, now):
                self._expire(message)
            if message.bounces:
                await self.reporter.failed(message.envelope, self._content(message), message.bounces)
                for recipient, _ in message.bounces:
                    recipient.state = RecipientState.DONE
            elif self._is_late(message, now):
                await self._warn(message)
        except Exception as exc:
            # Recipients that no durable notification covers stay pending: they are tried again, and so is the bounce.
            self._qmgr.error(f"{message.envelope.queue_id}: cannot queue a notification, deferred: {exc}")
        self._close(message)

    def _close(self, message: ActiveMessage) -> None:
        """Remove the message when nobody is left, else put it off."""
        envelope = message.envelope
        if message.is_deleted:
            self._gone(message)
            return
        if _is_done(envelope):
            self._remove(message)
            return
        envelope.attempts += 1
        envelope.due = message.postponed_until or self.lifetimes.next_due(self._clock(), envelope.arrival)
        try:
            self._store.update(envelope)
        except SpoolError as exc:
            self._qmgr.error(f"{envelope.queue_id}: queue file update failed: {exc}")
        self._gone(message)

    def _remove(self, message: ActiveMessage) -> None:
        queue_id = message.envelope.queue_id
        try:
            self._store.remove(queue_id)
        except SpoolError as exc:
            # The spool is closed: the message will be delivered again, which is better than not at all.
            self._qmgr.error(f"{queue_id}: queue file removal failed: {exc}")
        else:
            self._qmgr.info(f"{queue_id}: removed")
        self._gone(message)

    def _undelivered(self, message: ActiveMessage) -> list[Recipient]:
        failed = {id(recipient) for recipient, _ in message.bounces}
        return [r for r in message.envelope.pending if id(r) not in failed]

    def _is_expired(self, message: ActiveMessage, now: float) -> bool:
        envelope = message.envelope
        is_over = self.lifetimes.is_expired(now, envelope.arrival, is_bounce=not envelope.sender)
        return is_over and message.is_delayed and not envelope.is_held

    def _is_late(self, message: ActiveMessage, now: float) -> bool:
        envelope = message.envelope
        if envelope.warned or not message.is_delayed or envelope.is_held:
            return False
        return self.lifetimes.wants_warning(now, envelope.arrival)

    def _expire(self, message: ActiveMessage) -> None:
        """Give up on everybody who is left, with the reason of the last attempt."""
        envelope = message.envelope
        for recipient in self._undelivered(message):
            status = Status(Outcome.EXPIRED, recipient.status or "4.4.7", recipient.reason, recipient.relay or "none")
            message.bounces.append((recipient, status))
        self._qmgr.info(f"{envelope.queue_id}: from=<{envelope.sender.quoted}>, status=expired, returned to sender")

    async def _warn(self, message: ActiveMessage) -> None:
        envelope = message.envelope
        results = [
            (r, Status(Outcome.DEFERRED, r.status or "4.0.0", r.reason, r.relay or "none"))
            for r in self._undelivered(message)
        ]
        await self.reporter.delayed(envelope, self._content(message), results)
        envelope.warned = True

    def _content(self, message: ActiveMessage) -> Content | None:
        """The content for a notification; None when it cannot be read: the notification goes out without it."""
        try:
            return message.content or self._store.content(message.envelope.queue_id)
        except SpoolError as exc:
            self._qmgr.error(f"{message.envelope.queue_id}: cannot read the content: {exc}")
            return None


def _is_done(envelope: Envelope) -> bool:
    return all(recipient.state is RecipientState.DONE for recipient in envelope.recipients)
