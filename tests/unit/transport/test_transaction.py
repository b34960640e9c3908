"""One transaction: parameters, content of every kind, and the ways it can stop in the middle."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from peers.smtp_sink import KEYWORDS, Script, ScriptedSink

from gateway.model.address import Address
from gateway.model.content import BodyFile
from gateway.model.delivery import DeliveryReport, DeliveryRequest, Outcome
from gateway.model.envelope import ClientInfo, Recipient
from gateway.transport.smtp import SmtpTransport

pytestmark = pytest.mark.usefixtures("both_loops")  # they differ in when they write and what they raise

Delivery = Callable[..., DeliveryRequest]
Rig = Callable[..., AbstractAsyncContextManager[SmtpTransport]]

SENT, DEFERRED, BOUNCED = Outcome.SENT, Outcome.DEFERRED, Outcome.BOUNCED


def send(
    rig: Rig,
    script: Script,
    request: Callable[[str], DeliveryRequest],
    settings: dict[str, str] | None = None,
    *,
    is_lmtp: bool = False,
) -> tuple[DeliveryReport, ScriptedSink]:
    async def go() -> tuple[DeliveryReport, ScriptedSink]:
        async with ScriptedSink(script) as sink, rig(settings, is_lmtp=is_lmtp) as transport:
            return await transport.deliver(request(sink.nexthop)), sink

    return asyncio.run(go())


def only(report: DeliveryReport) -> tuple[Outcome, str, str]:
    (status,) = report.statuses
    return status.outcome, status.dsn, status.text


def test_dsn_parameters_and_encoding(rig: Rig, delivery: Delivery) -> None:
    recipient = Recipient(Address("c", "x.example"), orcpt="rfc822;c@x.example", notify=("NEVER",))
    report, sink = send(
        rig,
        Script(),
        lambda nexthop: delivery(nexthop, recipient, encoding="8BITMIME", ret="FULL", envid="id", body=b"\xe9\r\n"),
    )
    assert only(report)[0] is SENT
    assert sink.messages[0].mail == b"MAIL FROM:<sender@example.org> SIZE=20 BODY=8BITMIME ENVID=id RET=FULL"
    assert sink.messages[0].rcpt == [b"RCPT TO:<c@x.example> NOTIFY=NEVER ORCPT=rfc822;c@x.example"]
    assert sink.messages[0].data.endswith(b"\xe9\r\n")


def test_null_sender(rig: Rig, delivery: Delivery) -> None:
    _, sink = send(rig, Script(keywords=()), lambda nexthop: delivery(nexthop, sender=""))
    assert sink.messages[0].mail == b"MAIL FROM:<>"


@pytest.mark.parametrize(
    ("values", "is_needed"),
    [
        ({"is_smtputf8": True}, False),
        ({"is_smtputf8": True, "sender": "ü@example.org"}, True),
        ({"is_smtputf8": True, "head": "Subject: ü\r\n".encode()}, True),
        ({"is_smtputf8": False, "head": "Subject: ü\r\n".encode()}, False),
    ],
)
def test_smtputf8(rig: Rig, delivery: Delivery, values: dict[str, object], is_needed: bool) -> None:
    report, sink = send(rig, Script(), lambda nexthop: delivery(nexthop, **values))
    assert only(report)[0] is SENT
    assert sink.messages[0].mail.endswith(b" SMTPUTF8") is is_needed
    report, sink = send(rig, Script(keywords=("PIPELINING",)), lambda nexthop: delivery(nexthop, **values))
    if is_needed:
        assert only(report)[:2] == (BOUNCED, "5.6.7")
        assert not any(line.startswith(b"MAIL") for line in sink.commands)
    else:
        assert only(report)[0] is SENT


def test_size_limit_of_the_server(rig: Rig, delivery: Delivery) -> None:
    report, sink = send(rig, Script(keywords=("SIZE 20",)), delivery)
    assert only(report) == (
        BOUNCED,
        "5.3.4",
        "message size 24 exceeds size limit 20 of server 127.0.0.1[127.0.0.1]",
    )
    assert report.site_failure == ""
    assert sink.messages == []
    report, _ = send(rig, Script(keywords=("SIZE 0",)), delivery)
    assert only(report)[0] is SENT


def test_addresses_that_would_be_commands(rig: Rig, delivery: Delivery) -> None:
    evil = Recipient(Address('a">\r\nDATA\r\n.\r\n', "x.example"))
    report, sink = send(rig, Script(), lambda nexthop: delivery(nexthop, evil, "good@x.example"))
    assert [(status.outcome, status.dsn) for status in report.statuses] == [(BOUNCED, "5.1.3"), (SENT, "2.0.0")]
    assert len(sink.messages) == 1
    report, sink = send(rig, Script(), lambda nexthop: delivery(nexthop, sender="a\nb@example.org"))
    assert only(report)[:2] == (BOUNCED, "5.1.7")
    assert sink.messages == []


def test_long_lines(rig: Rig, delivery: Delivery) -> None:
    line = b"x" * 2000 + b"\r\n"
    _, sink = send(rig, Script(), lambda nexthop: delivery(nexthop, body=line, has_long_lines=True))
    assert sink.messages[0].data.split(b"\r\n")[2:] == [b"x" * 998, b" " + b"x" * 997, b" " + b"x" * 5, b""]
    _, sink = send(
        rig,
        Script(),
        lambda nexthop: delivery(nexthop, body=line, has_long_lines=True),
        {"smtp_line_length_limit": "0"},
    )
    assert sink.messages[0].data.endswith(b"\r\n" + line)


def test_xforward(rig: Rig, delivery: Delivery) -> None:
    client = ClientInfo("c.example", "192.0.2.9", "1234", "helo.example", "ESMTP", "4Q")
    settings = {"smtp_send_xforward_command": "yes"}
    script = Script(keywords=("PIPELINING", "XFORWARD NAME ADDR PROTO HELO"), replies={b"XFORWARD": b"250 ok"})
    report, sink = send(rig, script, lambda nexthop: delivery(nexthop, client=client), settings)
    assert only(report)[0] is SENT
    assert sink.commands[1:3] == [
        b"XFORWARD NAME=c.example ADDR=192.0.2.9", b"XFORWARD PROTO=ESMTP HELO=helo.example",
    ]  # fmt: skip
    script.replies[b"XFORWARD"] = b"550 not you"
    report, _ = send(rig, script, lambda nexthop: delivery(nexthop, client=client), settings)
    assert only(report)[0] is SENT, "it is information, not a condition"
    report, sink = send(rig, Script(), lambda nexthop: delivery(nexthop, client=client), settings)
    assert not any(line.startswith(b"XFORWARD") for line in sink.commands)


# --- content in files ---


def body_file(tmp_path: Path, size: int, *, offset: int = 0) -> BodyFile:
    line = b".starts with a dot, and has some length " + b"y" * 37 + b"\r\n"
    octets = (line * (size // len(line) + 1))[: size - 2] + b"\r\n"
    (tmp_path / "body").write_bytes(b"#" * offset + octets)
    return BodyFile("body", len(octets), offset)


@pytest.mark.parametrize("offset", [0, 7])
def test_file_arrives_whole(rig: Rig, delivery: Delivery, tmp_path: Path, offset: int) -> None:
    body = body_file(tmp_path, 700_000, offset=offset)
    report, sink = send(rig, Script(), lambda nexthop: delivery(nexthop, body=body))
    assert only(report)[0] is SENT
    received = sink.messages[0].data.partition(b"\r\n\r\n")[2]
    assert received == (tmp_path / "body").read_bytes()[offset:]


@pytest.mark.parametrize(("declared", "text"), [(800_000, "short"), (600_000, "long")])
def test_file_of_another_length_is_never_completed(
    rig: Rig, delivery: Delivery, tmp_path: Path, declared: int, text: str
) -> None:
    body_file(tmp_path, 700_000)
    report, sink = send(rig, Script(), lambda nexthop: delivery(nexthop, body=BodyFile("body", declared)))
    assert only(report) == (DEFERRED, "4.3.0", f"message content is 100000 octets too {text}")
    assert report.site_failure == ""
    assert sink.messages == []


def test_file_that_is_gone(rig: Rig, delivery: Delivery) -> None:
    report, sink = send(rig, Script(), lambda nexthop: delivery(nexthop, body=BodyFile("none", 10)))
    assert only(report) == (DEFERRED, "4.3.0", "cannot read message content: No such file or directory")
    assert sink.messages == []


def test_memory_does_not_grow_with_the_file(rig: Rig, delivery: Delivery, tmp_path: Path) -> None:
    size = 30_000_000
    with (tmp_path / "body").open("wb") as file:
        for _ in range(size // 1_000_000):
            file.write((b"z" * 98 + b"\r\n") * 10_000)

    async def go() -> tuple[int, int]:
        total = 0
        done = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal total
            writer.write(b"220 slow\r\n")
            while (line := await reader.readline()) and not line.startswith(b"DATA"):
                writer.write(b"250 ok\r\n")
            writer.write(b"354 go\r\n")
            tail = b""
            while not tail.endswith(b"\r\n.\r\n"):
                piece = await reader.read(65536)
                total += len(piece)
                tail = (tail + piece)[-5:]
                await asyncio.sleep(0)
            writer.write(b"250 ok\r\n")
            await reader.read()
            writer.close()
            done.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, rig() as transport:
            port = server.sockets[0].getsockname()[1]
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            report = await transport.deliver(delivery(f"[127.0.0.1]:{port}", body=BodyFile("body", size)))
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert only(report)[0] is SENT
            await transport.close()
            await asyncio.wait_for(done.wait(), 5)
        return total, after - before

    total, grown_kib = asyncio.run(go())
    assert total > size
    assert grown_kib < 8 * 1024


@pytest.mark.parametrize("size", [1000, 700_000])
def test_connection_lost_in_the_middle_of_content(rig: Rig, delivery: Delivery, tmp_path: Path, size: int) -> None:
    body = body_file(tmp_path, size)
    report, sink = send(rig, Script(close_after=500), lambda nexthop: delivery(nexthop, body=body))
    outcome, dsn, text = only(report)
    assert (outcome, dsn) == (DEFERRED, "4.4.2")
    assert text.startswith("lost connection with 127.0.0.1[127.0.0.1] while sending ")
    assert report.site_failure == text
    assert sink.messages == []


def test_early_refusal_of_content(rig: Rig, delivery: Delivery, tmp_path: Path) -> None:
    """A server that has had enough says so before the end, and hangs up."""
    body = body_file(tmp_path, 5_000_000)
    script = Script(answer_after=1000, replies={b".": b"552 5.3.4 too much"})
    report, _ = send(rig, script, lambda nexthop: delivery(nexthop, body=body))
    outcome, dsn, text = only(report)
    # The reset that follows may overtake the reply on its way: both are honest results.
    assert (outcome, dsn) in {(BOUNCED, "5.3.4"), (DEFERRED, "4.4.2")}
    assert "552 5.3.4 too much" in text or "lost connection" in text


def test_reader_that_stops_reading(
    rig: Rig, delivery: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """smtp_data_xfer_timeout is for a write that makes no progress."""
    body = body_file(tmp_path, 20_000_000)

    async def go() -> DeliveryReport:
        stopped = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 stuck\r\n")
            while (line := await reader.readline()) and not line.startswith(b"DATA"):
                writer.write(b"250 ok\r\n")
            writer.write(b"354 go\r\n")
            await stopped.wait()
            writer.transport.abort()

        async with (
            await asyncio.start_server(serve, "127.0.0.1", 0) as server,
            rig({"smtp_data_xfer_timeout": "1"}) as transport,
        ):
            port = server.sockets[0].getsockname()[1]
            try:
                return await transport.deliver(delivery(f"[127.0.0.1]:{port}", body=body))
            finally:
                stopped.set()

    outcome, dsn, text = only(asyncio.run(go()))
    assert (outcome, dsn) == (DEFERRED, "4.4.2")
    assert text == "conversation with 127.0.0.1[127.0.0.1] timed out while sending message body"


def test_lmtp_data_for_nobody(rig: Rig, delivery: Delivery) -> None:
    """There is no reply to wait for: the connection is given up."""
    script = Script(is_lmtp=True, replies={b"RCPT": b"550 5.1.1 no", b"DATA": b"354 go"})
    report, sink = send(rig, script, delivery, is_lmtp=True)
    assert only(report)[:2] == (BOUNCED, "5.1.1")
    assert sink.messages == []


def test_dkim_octets_survive(rig: Rig, delivery: Delivery) -> None:
    body = bytes(octet for octet in os.urandom(20_000) if octet not in b"\r\n\0") + b"\r\n"
    head = b"Subject:  two spaces \r\n\tfolded\r\nX-8bit: \xff\xfe\r\n"
    _, sink = send(rig, Script(keywords=KEYWORDS), lambda nexthop: delivery(nexthop, head=head, body=body))
    assert hashlib.sha256(sink.messages[0].data).digest() == hashlib.sha256(head + b"\r\n" + body).digest()
