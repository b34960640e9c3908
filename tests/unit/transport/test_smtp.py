"""The whole transport against a scripted sink: results, reuse, faults."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from peers.smtp_sink import Script, ScriptedSink

from gateway.config import Config
from gateway.model.delivery import DeliveryReport, DeliveryRequest, Outcome
from gateway.net.eager import start
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


def run(
    rig: Rig,
    delivery: Delivery,
    script: Script,
    *,
    recipients: tuple[str, ...] = ("rcpt@x.example",),
    settings: dict[str, str] | None = None,
    times: int = 1,
    **request: Any,
) -> tuple[list[DeliveryReport], ScriptedSink]:
    """Deliver the same request several times to one scripted sink."""

    async def go() -> tuple[list[DeliveryReport], ScriptedSink]:
        async with ScriptedSink(script) as sink, rig(settings) as transport:
            reports = [await transport.deliver(delivery(sink.nexthop, *recipients, **request)) for _ in range(times)]
            return reports, sink

    return asyncio.run(go())


def test_one_message(rig: Rig, delivery: Delivery) -> None:
    (report,), sink = run(rig, delivery, Script(), body=b"a\r\n.b\r\n..\r\nc")
    assert outcomes(report) == [(SENT, "2.0.0")]
    assert report.statuses[0].text == "250 2.0.0 Ok: queued as 1"
    assert report.statuses[0].relay == f"127.0.0.1[127.0.0.1]:{sink.port}"
    assert report.site_failure == ""
    (message,) = sink.messages
    assert message.mail == b"MAIL FROM:<sender@example.org> SIZE=29"
    assert message.rcpt == [b"RCPT TO:<rcpt@x.example>"]
    assert message.data == b"Subject: test\r\n\r\na\r\n.b\r\n..\r\nc\r\n"
    assert sink.commands[0] == b"EHLO me.example"


@pytest.mark.parametrize("keywords", [("PIPELINING",), ("8BITMIME",), ()])
@pytest.mark.parametrize("is_split", [False, True])
def test_some_recipients_refused(rig: Rig, delivery: Delivery, keywords: tuple[str, ...], is_split: bool) -> None:
    replies: dict[bytes, bytes | list[bytes]] = {
        b"RCPT TO:<bad": b"550-5.1.1 no such user\n550 5.1.1 ask postmaster",
        b"RCPT TO:<grey": b"450 4.2.0 greylisted",
    }
    script = Script(keywords=keywords, replies=replies, is_split=is_split)
    recipients = ("a@x.example", "bad@x.example", "grey@x.example", "b@x.example")
    (report, again), sink = run(rig, delivery, script, recipients=recipients, times=2)
    assert outcomes(report) == [(SENT, "2.0.0"), (BOUNCED, "5.1.1"), (DEFERRED, "4.2.0"), (SENT, "2.0.0")]
    assert outcomes(again) == outcomes(report)
    assert report.site_failure == ""
    assert report.statuses[1].text == (
        "host 127.0.0.1[127.0.0.1] said: 550-5.1.1 no such user 550 5.1.1 ask postmaster (in reply to RCPT TO command)"
    )
    assert [message.rcpt for message in sink.messages] == [[b"RCPT TO:<a@x.example>", b"RCPT TO:<b@x.example>"]] * 2
    assert sink.connections == 1, "a refusal leaves the connection usable"


@pytest.mark.parametrize("data_reply", [b"", b"354 Go on anyway"])
@pytest.mark.parametrize("keywords", [("PIPELINING",), ()])
def test_all_recipients_refused(rig: Rig, delivery: Delivery, data_reply: bytes, keywords: tuple[str, ...]) -> None:
    replies: dict[bytes, bytes | list[bytes]] = {b"RCPT": b"550 5.1.1 no"}
    if data_reply:
        replies[b"DATA"] = data_reply
    reports, sink = run(rig, delivery, Script(keywords=keywords, replies=replies), times=2)
    assert [outcomes(report) for report in reports] == [[(BOUNCED, "5.1.1")]] * 2
    assert sink.connections == 1
    if data_reply and keywords:
        assert sink.raw_data == [b"", b""], "a lone dot, nothing else"
    else:
        assert sink.messages == []
        assert sink.commands.count(b"RSET") == 2


@pytest.mark.parametrize(
    ("replies", "expected", "text"),
    [
        ({b"MAIL": b"550 5.7.1 no"}, (BOUNCED, "5.7.1"), "550 5.7.1 no (in reply to MAIL FROM command)"),
        ({b"MAIL": b"451 busy"}, (DEFERRED, "4.0.0"), "451 busy (in reply to MAIL FROM command)"),
        ({b"DATA": b"451 4.3.0 busy"}, (DEFERRED, "4.3.0"), "451 4.3.0 busy (in reply to DATA command)"),
        ({b".": b"554 5.7.1 spam"}, (BOUNCED, "5.7.1"), "554 5.7.1 spam (in reply to end of DATA command)"),
        ({b".": b"452 4.3.1 full"}, (DEFERRED, "4.3.1"), "452 4.3.1 full (in reply to end of DATA command)"),
    ],
)
@pytest.mark.parametrize("keywords", [("PIPELINING",), ()])
def test_message_refused(
    *,
    rig: Rig,
    delivery: Delivery,
    replies: dict[bytes, bytes | list[bytes]],
    expected: tuple[Outcome, str],
    text: str,
    keywords: tuple[str, ...],
) -> None:
    script = Script(keywords=keywords, replies=replies)
    reports, sink = run(rig, delivery, script, recipients=("a@x.example", "b@x.example"), times=2)
    for report in reports:
        assert outcomes(report) == [expected, expected]
        assert report.statuses[0].text == f"host 127.0.0.1[127.0.0.1] said: {text}"
        assert report.site_failure == "", "a refusal says nothing against the site"
    assert sink.connections == 1


def test_421_ends_the_connection(rig: Rig, delivery: Delivery) -> None:
    replies: dict[bytes, bytes | list[bytes]] = {b"RCPT TO:<b": [b"421 4.3.2 going down", b"250 ok"]}
    (first, second), sink = run(
        rig, delivery, Script(replies=replies), recipients=("a@x.example", "b@x.example"), times=2
    )
    assert outcomes(first) == [(DEFERRED, "4.3.2")] * 2
    assert outcomes(second) == [(SENT, "2.0.0")] * 2
    assert sink.connections == 2


@pytest.mark.parametrize(
    ("script", "text", "dsn"),
    [
        (Script(greeting=b"421 4.3.2 no"), "host {h} refused to talk to me: 421 4.3.2 no", "4.3.2"),
        (Script(greeting=b"554 5.7.1 no"), "host {h} refused to talk to me: 554 5.7.1 no", "4.7.1"),
        (Script(greeting=b"SSH-2.0-OpenSSH"), "protocol error by {h} while receiving the initial server greeting: not a reply: SSH-2.0-OpenSSH", "4.5.0"),
        (Script(close_at=b"EHLO"), "lost connection with {h} while performing the EHLO handshake", "4.4.2"),
        (Script(close_at=b"HELO", keywords=()), "lost connection with {h} while performing the HELO handshake", "4.4.2"),
        (Script(close_at=b"MAIL"), "lost connection with {h} while sending MAIL FROM", "4.4.2"),
        (Script(close_at=b"RCPT"), "lost connection with {h} while sending RCPT TO", "4.4.2"),
        (Script(close_at=b"DATA"), "lost connection with {h} while sending DATA command", "4.4.2"),
        (Script(close_at=b"."), "lost connection with {h} while sending end of data -- message may be sent more than once", "4.4.2"),
        (Script(replies={b"MAIL": b"what?"}), "protocol error by {h} while sending MAIL FROM: not a reply: what?", "4.5.0"),
        (Script(greeting=b""), "conversation with {h} timed out while receiving the initial server greeting", "4.4.2"),
        (Script(hang_at=b"MAIL"), "conversation with {h} timed out while sending MAIL FROM", "4.4.2"),
        (Script(hang_at=b"RCPT"), "conversation with {h} timed out while sending RCPT TO", "4.4.2"),
        (Script(hang_at=b"DATA"), "conversation with {h} timed out while sending DATA command", "4.4.2"),
        (Script(hang_at=b"."), "conversation with {h} timed out while sending end of data -- message may be sent more than once", "4.4.2"),
    ],
)  # fmt: skip
def test_faults_of_the_site(
    *, rig: Rig, delivery: Delivery, script: Script, text: str, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.transport.settings._timeouts", lambda *_: dict.fromkeys(_all_verbs(), 0.1))
    (report,), sink = run(rig, delivery, script)
    assert outcomes(report) == [(DEFERRED, dsn)]
    assert report.statuses[0].text == text.format(h="127.0.0.1[127.0.0.1]")
    assert report.site_failure == report.statuses[0].text
    assert sink.connections == 1


def _all_verbs() -> list[object]:
    from gateway.proto.smtp_client import Verb

    return list(Verb)


def test_5xx_greeting_and_ehlo_can_be_final(rig: Rig, delivery: Delivery) -> None:
    (report,), _ = run(rig, delivery, Script(greeting=b"554 no"), settings={"smtp_skip_5xx_greeting": "no"})
    assert outcomes(report) == [(BOUNCED, "5.0.0")]
    refuse: dict[bytes, bytes | list[bytes]] = {b"EHLO": b"550 5.7.1 no", b"HELO": b"550 5.7.1 no"}
    (report,), sink = run(rig, delivery, Script(replies=refuse))
    assert outcomes(report) == [(BOUNCED, "5.7.1")]
    assert sink.commands == [b"EHLO me.example", b"HELO me.example"]


def test_refused_connection(rig: Rig, delivery: Delivery) -> None:
    port = refused_port()

    async def go() -> DeliveryReport:
        async with rig() as transport:
            return await transport.deliver(delivery(f"[127.0.0.1]:{port}"))

    report = asyncio.run(go())
    assert outcomes(report) == [(DEFERRED, "4.4.1")]
    assert report.site_failure == f"connect to 127.0.0.1[127.0.0.1]:{port}: Connection refused"


def test_bad_next_hop_is_our_fault(rig: Rig, delivery: Delivery) -> None:
    async def go() -> DeliveryReport:
        async with rig() as transport:
            return await transport.deliver(delivery("[mx.example"))

    report = asyncio.run(go())
    assert outcomes(report) == [(DEFERRED, "4.3.5")]


# --- reuse ---


def test_reused_connection_that_died_is_replaced_without_a_duplicate(rig: Rig, delivery: Delivery) -> None:
    """The server closes as soon as the second MAIL comes: nothing was said, so another connection is tried at once."""

    async def go() -> tuple[DeliveryReport, DeliveryReport, ScriptedSink]:
        async with ScriptedSink() as sink, rig() as transport:
            first = await transport.deliver(delivery(sink.nexthop))
            sink.script.close_at = b"MAIL"  # for the open connection
            sink.script = Script()  # for those to come
            second = await transport.deliver(delivery(sink.nexthop))
            return first, second, sink

    first, second, sink = asyncio.run(go())
    assert outcomes(first) == outcomes(second) == [(SENT, "2.0.0")]
    assert second.site_failure == ""
    assert len(sink.messages) == sink.connections == 2


def test_reused_connection_that_dies_after_the_dot_is_no_second_try(rig: Rig, delivery: Delivery) -> None:
    async def go() -> tuple[DeliveryReport, ScriptedSink]:
        async with ScriptedSink() as sink, rig() as transport:
            await transport.deliver(delivery(sink.nexthop))
            sink.script.close_at = b"."
            sink.script = Script()
            return await transport.deliver(delivery(sink.nexthop)), sink

    report, sink = asyncio.run(go())
    assert outcomes(report) == [(DEFERRED, "4.4.2")]
    assert "may be sent more than once" in report.statuses[0].text
    assert sink.connections == 1


def test_idle_connection_told_to_go(rig: Rig, delivery: Delivery) -> None:
    async def go() -> ScriptedSink:
        async with ScriptedSink(Script(idle_reply=b"421 4.4.2 idle")) as sink, rig() as transport:
            for count in (1, 2):
                report = await transport.deliver(delivery(sink.nexthop))
                assert outcomes(report) == [(SENT, "2.0.0")]
                await sink.wait(count, ended=True)
            return sink

    sink = asyncio.run(go())
    assert sink.connections == 2


def test_reuse_limits(rig: Rig, delivery: Delivery) -> None:
    for settings, connections in [
        ({}, 1),
        ({"smtp_connection_reuse_count_limit": "2"}, 2),
        ({"smtp_connection_cache_on_demand": "no"}, 4),
    ]:
        reports, sink = run(rig, delivery, Script(), settings=settings, times=4)
        assert [outcomes(report) for report in reports] == [[(SENT, "2.0.0")]] * 4
        assert sink.connections == connections, settings


def test_many_at_once_share_idle_connections(rig: Rig, delivery: Delivery) -> None:
    async def go() -> ScriptedSink:
        async with ScriptedSink() as sink, rig() as transport:
            for _ in range(3):
                reports = await asyncio.gather(*(transport.deliver(delivery(sink.nexthop)) for _ in range(10)))
                assert all(outcomes(report) == [(SENT, "2.0.0")] for report in reports)
            await transport.close()
            await sink.wait(10, ended=True)
            return sink

    sink = asyncio.run(go())
    assert sink.connections == 10
    assert len(sink.messages) == 30
    assert sink.commands.count(b"QUIT") == 10


def test_close_defers_what_is_under_way(rig: Rig, delivery: Delivery) -> None:
    async def go() -> DeliveryReport:
        async with ScriptedSink(Script(hang_at=b"DATA")) as sink, rig() as transport:
            task = asyncio.ensure_future(transport.deliver(delivery(sink.nexthop)))
            async with asyncio.timeout(5):
                while b"DATA" not in sink.commands:
                    await asyncio.sleep(0)
            await transport.close()
            return await asyncio.wait_for(task, 5)

    assert outcomes(asyncio.run(go())) == [(DEFERRED, "4.4.2")]


def test_cancelled_delivery_leaves_nothing_behind(rig: Rig, delivery: Delivery) -> None:
    async def go() -> None:
        async with ScriptedSink(Script(hang_at=b".")) as sink, rig() as transport:
            task = asyncio.ensure_future(transport.deliver(delivery(sink.nexthop)))
            async with asyncio.timeout(5):
                while b"." not in sink.commands:
                    await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await sink.wait(1, ended=True)
            assert not transport._active
            assert len(transport._pool) == 0

    asyncio.run(go())


def test_reload_takes_new_settings(rig: Rig, delivery: Delivery) -> None:
    async def go() -> ScriptedSink:
        async with ScriptedSink() as sink, rig() as transport:
            await transport.deliver(delivery(sink.nexthop))
            transport.reload(Config.from_settings({"myhostname": "new.example"}))
            await transport.deliver(delivery(sink.nexthop))
            return sink

    sink = asyncio.run(go())
    assert [line for line in sink.commands if line.startswith(b"EHLO")] == [b"EHLO me.example", b"EHLO new.example"]


def test_last_reply_and_close_in_one_breath(rig: Rig, delivery: Delivery) -> None:
    """All replies are in: that the connection is gone is no failure of the site."""
    for script in (
        Script(idle_reply=b"421 4.4.2 bye"),
        Script(replies={b"RCPT": b"550 5.1.1 no"}, close_at=b"RSET"),
        Script(replies={b"RCPT": b"550 5.1.1 no", b"DATA": b"354 go"}, close_at=b"."),
    ):
        (report,), _ = run(rig, delivery, script)
        assert outcomes(report)[0] in {(SENT, "2.0.0"), (BOUNCED, "5.1.1")}
        assert report.site_failure == ""


def test_started_without_a_task(rig: Rig, delivery: Delivery) -> None:
    """The scheduler starts deliveries eagerly: until the first wait there is no current task."""

    async def go(nexthop: str, settings: dict[str, str]) -> DeliveryReport:
        async with rig(settings, {"x.example": {"A": ["127.0.0.1"]}}) as transport:
            loop = asyncio.get_running_loop()
            result: asyncio.Future[DeliveryReport] = loop.create_future()
            loop.call_soon(
                lambda: start(transport.deliver(delivery(nexthop)), result.set_result, result.set_exception, loop)
            )
            return await asyncio.wait_for(result, 5)

    async def both() -> None:
        async with ScriptedSink() as sink:
            for nexthop in (sink.nexthop, "x.example"):
                report = await go(nexthop, {"smtp_tcp_port": str(sink.port)})
                assert outcomes(report) == [(SENT, "2.0.0")]

    asyncio.run(both())
