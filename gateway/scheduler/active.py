"""The active queue: messages that are being delivered now, bounded in number and in content held in memory.

Source: qmgr(8) "active", postconf(5) qmgr_message_active_limit.
"""

from __future__ import annotations

from gateway.model.content import Content
from gateway.model.delivery import Status
from gateway.model.envelope import Envelope, Recipient

# In-memory content of all active messages. Above it content is read back from the spool when its turn comes: a full
# active queue of 256 KiB messages would otherwise take 5 GB.
CONTENT_BUDGET_BYTES = 64 * 1024 * 1024


class ActiveMessage:
    """One message in the active queue.

    Attributes:
        envelope: its envelope; recipients' states change as results come in.
        content: octets while memory allows, None: ask the spool.
        since: when it entered the active queue, seconds since the epoch.
        outstanding: jobs that have not ended.
        bounces: recipients that failed for good, with their last status, to be reported before they count as done.
        successes: delivered recipients whose sender asked to hear so (NOTIFY=SUCCESS).
        is_delayed: some recipient was deferred.
        is_deleted: an administrator removed it; it goes as soon as no attempt runs.
        is_flushed: it is tried because somebody flushed the queue: ``defer_transports`` does not hold it back.
        is_forced: somebody asked for this very message: even a dead destination is tried for it.
        is_pulled: it came from the spool, not straight from its commit.
        postponed_until: when it comes back although nothing was tried: its destination's queue was too long. 0: not so.
    """

    __slots__ = (
        "bounces", "content", "envelope", "held_bytes", "is_delayed", "is_deleted", "is_flushed", "is_forced",
        "is_pulled", "outstanding", "postponed_until", "since", "successes",
    )  # fmt: skip

    def __init__(self, envelope: Envelope, since: float) -> None:
        self.envelope = envelope
        self.content: Content | None = None
        self.held_bytes = 0
        self.since = since
        self.outstanding = 0
        self.bounces: list[tuple[Recipient, Status]] = []
        self.successes: list[tuple[Recipient, Status]] = []
        self.is_pulled = False
        self.is_delayed = self.is_deleted = self.is_flushed = self.is_forced = False
        self.postponed_until = 0.0


class Job:
    """The recipients of one message that go to one destination in one delivery."""

    __slots__ = ("message", "recipients")

    def __init__(self, message: ActiveMessage, recipients: list[Recipient]) -> None:
        self.message = message
        self.recipients = recipients


class ActiveQueue:
    """All active messages by queue ID."""

    __slots__ = ("_held_bytes", "limit", "messages")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.messages: dict[str, ActiveMessage] = {}
        self._held_bytes = 0

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def room(self) -> int:
        """Messages that may still enter."""
        return self.limit - len(self.messages)

    def add(self, envelope: Envelope, content: Content | None, now: float) -> ActiveMessage:
        """Take a message in; the caller has looked for :attr:`room`. Content is kept while the budget allows."""
        message = ActiveMessage(envelope, now)
        if content is not None:
            held = len(content.head) + (len(content.body) if isinstance(content.body, bytes) else 0)
            if self._held_bytes + held <= CONTENT_BUDGET_BYTES:
                message.content, message.held_bytes = content, held
                self._held_bytes += held
        self.messages[envelope.queue_id] = message
        return message

    def drop(self, message: ActiveMessage) -> None:
        """Let a message go."""
        if self.messages.pop(message.envelope.queue_id, None) is not None:
            self._held_bytes -= message.held_bytes
