"""A spool in a temporary directory, a log that remembers, and mail to put."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

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


@pytest.fixture
def log() -> Lines:
    return Lines()


@pytest.fixture
def make_mail() -> Callable[..., tuple[Envelope, Content]]:
    """``make_mail(due=..., is_held=...)``: a new envelope and its content."""
    ids = QueueIds(0, 1)
    numbers = itertools.count()

    def make(body: bytes = b"body\r\n", **fields: object) -> tuple[Envelope, Content]:
        number = next(numbers)
        envelope = Envelope(
            queue_id=ids.next(NOW + number),
            sender=Address("alice", "example.com"),
            recipients=[Recipient(Address("bob", "example.net"))],
            arrival=NOW + number,
        )
        for name, value in fields.items():
            setattr(envelope, name, value)
        return envelope, Content(b"Subject: %d\r\n" % number, body)

    return make
