"""Mail of our own: expanded and rewritten, never copied, its sender kept."""

from __future__ import annotations

import asyncio

import pytest

from gateway.cleanup import InternalMail
from gateway.config import Config
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.content import Content
from gateway.model.envelope import Envelope, Recipient
from gateway.model.errors import SpoolError
from gateway.observe import MailLog

CONTENT = Content(b"From: MAILER-DAEMON@o.example\r\nTo: old@x.example\r\n", b"text\r\n")


class House:
    def __init__(self, **settings: str) -> None:
        config = Config.from_settings({"myorigin": "o.example", "mydestination": ""} | settings)
        self.stored: list[tuple[Envelope, Content]] = []
        self.mail = InternalMail(config, self, tables=Tables(config), log=MailLog.memory())

    async def submit(self, envelope: Envelope, content: Content) -> None:
        self.stored.append((envelope, content))

    def through(self, sender: Address = Address.NULL) -> tuple[Envelope, Content]:
        to = [Recipient(Address.of("old@x.example"))]
        envelope = Envelope("4jXWyY1RKyzM0rn7", sender, to, arrival=1.0, size_bytes=CONTENT.size_bytes)
        asyncio.run(self.mail.submit(envelope, CONTENT))
        return self.stored.pop()


def test_without_mappings_nothing_is_touched() -> None:
    envelope, content = House().through()
    assert content is CONTENT
    assert [str(each.address) for each in envelope.recipients] == ["old@x.example"]


def test_recipients_and_headers_are_mapped() -> None:
    house = House(
        recipient_canonical_maps="inline:{ { old@x.example = alias@y.example } }",
        sender_canonical_maps="inline:{ { double-bounce@o.example = never@y.example } }",
        virtual_alias_maps="inline:{ { alias@y.example = one@z.example, two@z.example } }",
        always_bcc="log@x.example",
        sender_bcc_maps="static:log@x.example",
        recipient_bcc_maps="static:log@x.example",
    )
    envelope, content = house.through(Address.of("double-bounce@o.example"))
    assert str(envelope.sender) == "double-bounce@o.example"
    assert [str(each.address) for each in envelope.recipients] == ["one@z.example", "two@z.example"]
    assert content.head == b"From: MAILER-DAEMON@o.example\r\nTo: alias@y.example\r\n"
    assert envelope.size_bytes == content.size_bytes


@pytest.mark.parametrize(
    "table", ["fail:x", "inline:{ { old@x.example = a@x.example }, { a@x.example = old@x.example } }"]
)
def test_what_cannot_be_mapped_now_is_not_stored(table: str) -> None:
    house = House(virtual_alias_maps=table)
    with pytest.raises(SpoolError):
        house.through()
    assert house.stored == []
