"""smtp_generic_maps: what of a request is exchanged, and what stays as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from peers.smtp_sink import Script, ScriptedSink

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.rewriting import Rewriting
from gateway.model.delivery import DeliveryRequest, Outcome
from gateway.transport.generic import GenericMaps
from gateway.transport.smtp import SmtpTransport

Delivery = Callable[..., DeliveryRequest]
Rig = Callable[..., AbstractAsyncContextManager[SmtpTransport]]

TABLE = "inline:{ { a@in.example = a.out@out.example }, { @all.example = @out.example }, { two@in.example = x@y.z, y@y.z } }"


def generic(table: str = TABLE, *, is_lmtp: bool = False, **settings: str) -> tuple[GenericMaps | None, Tables]:
    config = Config.from_settings({"lmtp_generic_maps" if is_lmtp else "smtp_generic_maps": table, **settings})
    tables = Tables(config)
    return GenericMaps.of(config, tables, Rewriting(config), is_lmtp=is_lmtp), tables


def applied(request: DeliveryRequest, table: str = TABLE, **settings: str) -> DeliveryRequest:
    maps, _ = generic(table, **settings)
    assert maps is not None
    return asyncio.run(maps.applied(request))


def test_without_tables_there_is_nothing_to_apply() -> None:
    assert generic("")[0] is None
    assert generic(is_lmtp=True)[0] is not None
    config = Config.from_settings({"lmtp_generic_maps": TABLE})
    assert GenericMaps.of(config, Tables(config), Rewriting(config), is_lmtp=False) is None


def test_sender_recipients_and_own_headers(delivery: Delivery) -> None:
    head = (
        b"Received: for <a@in.example>\r\nFrom: A <a@in.example>\r\nSubject: a@in.example\r\nTo: u@all.example,b@c\r\n"
    )
    request = delivery(
        "x", "a+e@in.example", "b@c.example", sender="a@in.example", head=head, body=b"To: a@in.example\r\n"
    )
    sent = applied(request, recipient_delimiter="+", propagate_unmatched_extensions="generic")
    assert sent.sender == "a.out@out.example"
    assert [str(recipient.address) for recipient in sent.recipients] == ["a.out+e@out.example", "b@c.example"]
    assert sent.content.head == (
        b"Received: for <a@in.example>\r\nFrom: A <a.out@out.example>\r\nSubject: a@in.example\r\n"
        b"To: u@out.example, b@c\r\n"
    )
    assert sent.content.body == b"To: a@in.example\r\n"
    assert [str(recipient.address) for recipient in request.recipients] == ["a+e@in.example", "b@c.example"]
    assert str(sent.envelope.sender) == "a@in.example"
    assert sent.recipients[1] is request.recipients[1]


def test_a_message_without_known_addresses_is_the_very_same(delivery: Delivery) -> None:
    request = delivery("x", head=b"From:  odd   <x@y.example>\r\nto:z\r\n")
    assert applied(request).content is request.content


def test_the_null_sender_is_not_looked_up(delivery: Delivery) -> None:
    assert applied(delivery("x", sender=""), "static:a@b.example").sender == ""


def test_of_several_addresses_the_first_is_taken_with_a_warning(delivery: Delivery) -> None:
    maps, tables = generic()
    assert maps is not None
    sent = asyncio.run(maps.applied(delivery("x", "two@in.example")))
    assert str(sent.recipients[0].address) == "x@y.z"
    assert tables.warnings == ["generic maps: several addresses for two@in.example: only x@y.z is taken"]


def test_a_header_with_too_many_words_is_left_alone(delivery: Delivery) -> None:
    head = b"To: a@in.example, b, c, d\r\nCc: a@in.example\r\n"
    sent = applied(delivery("x", head=head), header_address_token_limit="5")
    assert sent.content.head == b"To: a@in.example, b, c, d\r\nCc: a.out@out.example\r\n"


@pytest.mark.parametrize("table", ["fail:broken", "static:()"])
def test_a_table_that_fails_defers_the_delivery(rig: Rig, delivery: Delivery, table: str) -> None:
    maps, _ = generic(table)

    async def run() -> tuple[list[tuple[Outcome, str]], int]:
        async with ScriptedSink(Script()) as sink, rig({}) as transport:
            transport._generic = maps
            report = await transport.deliver(delivery(sink.nexthop, "a@b.example", "c@d.example"))
            assert "cannot map addresses: table" in report.statuses[0].text
            assert not report.site_failure
            return [(status.outcome, status.dsn) for status in report.statuses], sink.connections

    assert asyncio.run(run()) == ([(Outcome.DEFERRED, "4.3.0")] * 2, 0)


def test_tables_are_closed_with_the_transport(rig: Rig) -> None:
    maps, tables = generic()

    async def run() -> None:
        async with rig({}) as transport:
            transport._generic = maps

    spec = TABLE
    assert tables.opened(spec) is not None
    asyncio.run(run())
    assert tables.opened(spec) is None
