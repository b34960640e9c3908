"""Where the transport goes: exchangers, limits, fall-back relays, loops, LMTP sockets; against a scripted DNS server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from peers.dns_server import NXDOMAIN, SERVFAIL
from peers.sinks import SmtpSink
from peers.smtp_sink import Script, ScriptedSink

from gateway.model.content import BodyFile
from gateway.model.delivery import DeliveryReport, DeliveryRequest, Outcome
from gateway.transport.smtp import SmtpTransport

pytestmark = pytest.mark.usefixtures("both_loops")  # they differ in when they write and what they raise

Delivery = Callable[..., DeliveryRequest]
Rig = Callable[..., AbstractAsyncContextManager[SmtpTransport]]

SENT, DEFERRED, BOUNCED = Outcome.SENT, Outcome.DEFERRED, Outcome.BOUNCED


def outcomes(report: DeliveryReport) -> list[tuple[Outcome, str]]:
    return [(status.outcome, status.dsn) for status in report.statuses]


def refused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_next_exchanger_after_a_loss_in_the_middle_of_content(rig: Rig, delivery: Delivery, tmp_path: Path) -> None:
    """Before the dot nothing can have been delivered: the next server is tried at once."""
    (tmp_path / "body").write_bytes((b"x" * 98 + b"\r\n") * 50_000)

    async def go() -> tuple[DeliveryReport, ScriptedSink]:
        async with ScriptedSink(Script(close_after=1000)) as bad, ScriptedSink() as good, rig() as transport:
            request = delivery(f"{bad.nexthop}, {good.nexthop}", body=BodyFile("body", 5_000_000))
            return await transport.deliver(request), good

    report, good = asyncio.run(go())
    assert outcomes(report) == [(SENT, "2.0.0")]
    assert report.site_failure == ""
    assert len(good.messages) == 1


def test_next_exchanger_when_the_first_is_down(rig: Rig, delivery: Delivery) -> None:
    async def go() -> tuple[DeliveryReport, list[str]]:
        async with ScriptedSink(host="127.0.0.3") as sink:
            zones = {
                "x.example": {"MX": ["10 down.example", "20 up.example"]},
                "down.example": {"A": ["127.0.0.2"]},
                "up.example": {"A": ["127.0.0.3"]},
            }
            async with rig({"smtp_tcp_port": str(sink.port)}, zones) as transport:
                return await transport.deliver(delivery("x.example")), transport._log._log.lines

    report, lines = asyncio.run(go())
    assert outcomes(report) == [(SENT, "2.0.0")]
    assert report.statuses[0].relay.startswith("up.example[127.0.0.3]:")
    assert report.site_failure == ""
    assert len(lines) == 1
    assert "connect to down.example[127.0.0.2]:" in lines[0]


def test_next_exchanger_for_the_deferred_only(rig: Rig, delivery: Delivery) -> None:
    async def go() -> tuple[DeliveryReport, ScriptedSink, ScriptedSink]:
        grey: dict[bytes, bytes | list[bytes]] = {
            b"RCPT TO:<grey": b"450 4.2.0 later",
            b"RCPT TO:<bad": b"550 5.1.1 no",
        }
        async with (
            ScriptedSink(Script(replies=grey), host="127.0.0.2") as first,
            ScriptedSink(host="127.0.0.3") as other,
        ):
            # Two sinks on one port: the second address forwards nothing, it is a server of its own.
            zones = {"x.example": {"MX": ["10 a.example"]}, "a.example": {"A": ["127.0.0.2"]}}
            nexthop = f"x.example:{first.port}, [127.0.0.3]:{other.port}"
            async with rig({}, zones) as transport:
                recipients = ("ok@x.example", "bad@x.example", "grey@x.example")
                return await transport.deliver(delivery(nexthop, *recipients)), first, other

    report, first, other = asyncio.run(go())
    assert outcomes(report) == [(SENT, "2.0.0"), (BOUNCED, "5.1.1"), (SENT, "2.0.0")]
    assert [len(message.rcpt) for message in first.messages] == [1]
    assert [message.rcpt for message in other.messages] == [[b"RCPT TO:<grey@x.example>"]]


def test_limits_on_exchangers(rig: Rig, delivery: Delivery) -> None:
    async def go(settings: dict[str, str], script: Script) -> int:
        async with ScriptedSink(script, host="127.0.0.1") as sink:
            zones = {"x.example": {"A": ["127.0.0.1"] + [f"127.0.0.{at}" for at in range(2, 9)]}}
            async with rig(
                {"smtp_tcp_port": str(sink.port), "smtp_randomize_addresses": "no", **settings}, zones
            ) as transport:
                report = await transport.deliver(delivery("x.example"))
                assert outcomes(report)[0][0] is DEFERRED
                return len(transport._log._log.lines)

    assert asyncio.run(go({"smtp_mx_address_limit": "3"}, Script(greeting=b"421 no"))) == 3
    assert asyncio.run(go({"smtp_mx_session_limit": "1"}, Script(greeting=b"421 no"))) == 1


@pytest.mark.parametrize(
    ("zone", "expected", "text"),
    [
        (NXDOMAIN, (BOUNCED, "5.4.4"), "Host or domain name not found. Name service error for name=x.example type=AAAA: Host not found"),
        (SERVFAIL, (DEFERRED, "4.4.3"), "Host or domain name not found. Name service error for name=x.example type=MX: Host not found, try again"),
        ({"MX": ["0 ."]}, (BOUNCED, "5.1.0"), "Domain x.example does not accept mail (nullMX)"),
        ({"MX": ["10 gone.example"]}, (BOUNCED, "5.4.4"), "Host or domain name not found. Name service error for name=gone.example type=AAAA: Host not found"),
    ],
)  # fmt: skip
def test_no_way_to_the_domain(
    rig: Rig, delivery: Delivery, zone: Any, expected: tuple[Outcome, str], text: str
) -> None:
    async def go() -> DeliveryReport:
        async with rig({}, {"x.example": zone}) as transport:
            return await transport.deliver(delivery("x.example"))

    report = asyncio.run(go())
    assert outcomes(report) == [expected]
    assert report.statuses[0].text == text
    assert report.statuses[0].relay == "none"


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (NXDOMAIN, (SENT, "2.0.0")),
        (SERVFAIL, (SENT, "2.0.0")),
        ({"A": ["127.0.0.9"]}, (SENT, "2.0.0")),
        ({"MX": ["0 ."]}, (BOUNCED, "5.1.0")),
    ],
)
def test_fallback_relay(rig: Rig, delivery: Delivery, zone: Any, expected: tuple[Outcome, str]) -> None:
    async def go() -> DeliveryReport:
        async with ScriptedSink() as sink:
            settings = {"smtp_fallback_relay": sink.nexthop, "smtp_tcp_port": str(refused_port())}
            async with rig(settings, {"x.example": zone}) as transport:
                return await transport.deliver(delivery("x.example"))

    assert outcomes(asyncio.run(go())) == [expected]


def test_fallback_relay_that_is_not_found_bounces_nothing(rig: Rig, delivery: Delivery) -> None:
    async def go() -> DeliveryReport:
        settings = {"smtp_fallback_relay": "gone.example"}
        async with rig(settings, {}) as transport:
            return await transport.deliver(delivery(f"[127.0.0.1]:{refused_port()}"))

    assert outcomes(asyncio.run(go())) == [(DEFERRED, "4.4.1")]


def test_loop(rig: Rig, delivery: Delivery) -> None:
    """On port 25 only; this host is the best exchanger by address, or by name, or not the best."""

    async def go(exchangers: list[str]) -> tuple[Outcome, str]:
        zones = {
            "x.example": {"MX": exchangers},
            "own.example": {"A": ["127.0.0.1"]},
            "me.example": {"A": ["192.0.2.1"]},
        }
        async with rig({"smtp_fallback_relay": f"[127.0.0.1]:{refused_port()}"}, zones) as transport:
            report = await transport.deliver(delivery("x.example"))
            if report.statuses[0].outcome is BOUNCED:
                assert report.statuses[0].text == "mail for x.example loops back to myself"
            return outcomes(report)[0]

    assert asyncio.run(go(["10 own.example"])) == (BOUNCED, "5.4.6")
    assert asyncio.run(go(["10 me.example", "20 own.example"])) == (BOUNCED, "5.4.6")


def test_lmtp_over_a_unix_socket(rig: Rig, delivery: Delivery, tmp_path: Path) -> None:
    async def go() -> tuple[DeliveryReport, ScriptedSink]:
        script = Script(is_lmtp=True, replies={b".": [b"250 2.1.5 one", b"452 4.2.2 full", b"550 5.2.1 three"]})
        path = str(tmp_path / "lmtp")
        async with ScriptedSink(script, path=path) as sink, rig({}, is_lmtp=True) as transport:
            request = delivery(sink.nexthop, "a@x.example", "b@x.example", "c@x.example")
            return await transport.deliver(request), sink

    report, sink = asyncio.run(go())
    assert outcomes(report) == [(SENT, "2.1.5"), (DEFERRED, "4.2.2"), (BOUNCED, "5.2.1")]
    assert sink.commands[0] == b"LHLO me.example"
    assert report.statuses[0].relay == f"me.example[{sink.path}]"


def test_lmtp_closing_between_replies(rig: Rig, delivery: Delivery) -> None:
    async def go() -> DeliveryReport:
        script = Script(is_lmtp=True, replies={b".": [b"250 2.1.5 one", b"421 4.3.2 bye"]})
        async with ScriptedSink(script) as sink, rig({}, is_lmtp=True) as transport:
            return await transport.deliver(delivery(sink.nexthop, "a@x.example", "b@x.example", "c@x.example"))

    assert outcomes(asyncio.run(go())) == [(SENT, "2.1.5"), (DEFERRED, "4.3.2"), (DEFERRED, "4.3.2")]


def test_smtp_sink_takes_it(rig: Rig, delivery: Delivery) -> None:
    async def go() -> int:
        with SmtpSink() as sink:
            async with rig() as transport:
                requests = [delivery(f"[127.0.0.1]:{sink.port}", body=b"x" * 70 + b"\r\n") for _ in range(50)]
                reports = await asyncio.gather(*(transport.deliver(request) for request in requests))
                assert all(outcomes(report)[0][0] is SENT for report in reports)
            await asyncio.to_thread(sink.wait_for, 50, 5)
            return sink.total

    assert asyncio.run(go()) == 50
