"""A transport with everything around it, and requests for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from peers.dns_server import DnsServer

from gateway.config import Config
from gateway.model.address import Address
from gateway.model.content import BodyFile, Content
from gateway.model.delivery import DeliveryRequest
from gateway.model.envelope import Envelope, Recipient
from gateway.net.resolver import Resolver
from gateway.observe import MailLog
from gateway.transport.smtp import SmtpTransport

HEAD = b"Subject: test\r\n"

Delivery = Callable[..., DeliveryRequest]
Rig = Callable[..., AbstractAsyncContextManager[SmtpTransport]]


def make_delivery(
    nexthop: str,
    *recipients: str | Recipient,
    body: bytes | BodyFile = b"hello\r\n",
    head: bytes = HEAD,
    sender: str = "sender@example.org",
    **envelope: Any,
) -> DeliveryRequest:
    items = [
        recipient if isinstance(recipient, Recipient) else Recipient(Address.of(recipient))
        for recipient in recipients or ("rcpt@x.example",)
    ]
    content = Content(head, body)
    mail = Envelope("4Qtest", Address.of(sender), items, 0.0, size_bytes=content.size_bytes, **envelope)
    return DeliveryRequest(mail, items, content, "smtp", nexthop, sender)


@pytest.fixture(params=["asyncio", "uvloop"])
def both_loops(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything with both loops: they differ in when they write, and in what they raise."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy() if request.param == "uvloop" else None)
    yield
    asyncio.set_event_loop_policy(None)


@pytest.fixture
def delivery() -> Delivery:
    """``delivery(nexthop, *recipients, body=, head=, sender=, **envelope) -> DeliveryRequest``."""
    return make_delivery


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """``async with rig(settings, zones, is_lmtp=False) as transport``: real DNS client, fake DNS server, short deadlines."""

    @asynccontextmanager
    async def open_rig(
        settings: Mapping[str, str] | None = None, zones: Mapping[str, Any] | None = None, *, is_lmtp: bool = False
    ) -> AsyncIterator[SmtpTransport]:
        with DnsServer(zones or {}) as dns:
            values = {"myhostname": "me.example", "resolver_nameservers": dns.address, **(settings or {})}
            config = Config.from_settings(values)
            resolver = Resolver(config, deadline_s=0.5)
            transport = SmtpTransport(
                config,
                "lmtp" if is_lmtp else "smtp",
                resolver=resolver,
                log=MailLog.memory(),
                spool_directory=str(tmp_path),
                is_lmtp=is_lmtp,
            )
            try:
                yield transport
            finally:
                await transport.close()
                await resolver.close()

    return open_rig
