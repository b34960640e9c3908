"""Mail for the spool's fault tests: content follows from the number, so whoever knows the number can check it."""

from __future__ import annotations

import random

from gateway.model.address import Address
from gateway.model.content import Content
from gateway.model.envelope import Envelope, Recipient
from gateway.spool.queue_id import QueueIds

NOW = 1_800_000_000.0


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    warning = error = info

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def message(number: int, ids: QueueIds, *, largest: int = 9000) -> tuple[Envelope, Content]:
    """Message ``number``: held every seventh, deferred every third, up to ``largest`` octets of body."""
    chance = random.Random(number)
    envelope = Envelope(
        queue_id=ids.next(NOW + number),
        sender=Address("sender", "example.com"),
        recipients=[Recipient(Address(f"user{number}", "example.net")) for _ in range(1 + number % 3)],
        arrival=NOW + number,
        due=NOW + 1000 + number if number % 3 == 0 else 0.0,
        is_held=number % 7 == 0,
        message_id=str(number),
    )
    return envelope, content(number, chance.randrange(largest))


def content(number: int, size: int) -> Content:
    return Content(b"Message-Number: %d %d\r\n" % (number, size), random.Random(number + 1).randbytes(size))


def is_intact(found: Content) -> bool:
    """The content is what :func:`message` made."""
    _, number, size = found.head.split()
    return found == content(int(number), int(size))
