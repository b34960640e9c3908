"""The shell and its conversation: a whole smtpd in process, over real sockets."""

from __future__ import annotations

import select
import smtplib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from gateway.hooks import Address, EditList, Envelope, Message, Session, Verdict, hookimpl
from gateway.model.errors import SpoolError, SpoolFull, SpoolUnavailable
from gateway.proto import smtp_events
from gateway.server.conversation import _ANSWERS
from gateway.testing import FakeDns, InProcessGateway

Start = Callable[..., InProcessGateway]
MESSAGE = b"Subject: test\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n"


class Wire:
    """A raw connection."""

    def __init__(self, gateway: InProcessGateway) -> None:
        self.socket = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
        self.file = self.socket.makefile("rb")

    def read(self) -> str:
        """One reply, lines joined; empty at the end of the connection."""
        lines = []
        while line := self.file.readline().decode():
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                break
        return "\n".join(lines)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, line: str) -> str:
        self.send(line.encode() + b"\r\n")
        return self.read()


@contextmanager
def wire(gateway: InProcessGateway, *, greet: bool = True) -> Iterator[Wire]:
    connection = Wire(gateway)
    try:
        if greet:
            assert connection.read().startswith("220 gateway.test ESMTP")
        yield connection
    finally:
        connection.file.close()
        connection.socket.close()


def send(gateway: InProcessGateway, *recipients: str, message: bytes = MESSAGE, sender: str = "a@s.example") -> Any:
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10, local_hostname="c.example") as client:
        return client.sendmail(sender, recipients or ("r@d.example",), message)


def wait_for_log(gateway: InProcessGateway, text: str) -> str:
    """The log once it has a line; lines are written when the connection's end is seen."""
    for _ in range(1000):
        if text in gateway.log:
            return gateway.log
        socket.socket().close()
        with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client:
            client.noop()
    raise AssertionError(f"{text!r} is not in\n{gateway.log}")


def test_a_message_is_queued_with_its_octets(postgate: Start) -> None:
    gateway = postgate()
    send(gateway, "r@d.example", "s@d.example")
    [queued] = gateway.queued
    assert queued.as_bytes().endswith(MESSAGE.replace(b"Message-ID", b"Message-ID").split(b"\r\n\r\n")[1])
    assert [str(r.address) for r in queued.envelope.recipients] == ["r@d.example", "s@d.example"]
    assert queued.envelope.message_id == "<1@x>"
    text = queued.as_bytes().decode()
    assert text.startswith(
        "Received: from c.example (localhost [127.0.0.1])\r\n\tby gateway.test (Postfix) with ESMTP id "
    )
    assert "\r\n\tfor <" not in text, "two recipients: neither is shown to the other"
    log = wait_for_log(gateway, "disconnect from localhost[127.0.0.1] ehlo=1 mail=1 rcpt=2 data=1 quit=1 commands=6")
    assert f"{queued.envelope.queue_id}: client=localhost[127.0.0.1]" in log
    assert f"{queued.envelope.queue_id}: message-id=<1@x>" in log


def test_whole_pipelined_session_in_one_write(postgate: Start) -> None:
    gateway = postgate()
    with wire(gateway) as client:
        assert client.ask("EHLO c.example").startswith("250-gateway.test")
        client.send(
            b"MAIL FROM:<a@s.example>\r\nRCPT TO:<r@d.example>\r\nDATA\r\n",
        )
        assert [client.read()[:3] for _ in range(3)] == ["250", "250", "354"]
        client.send(MESSAGE + b".\r\nMAIL FROM:<b@s.example>\r\nRCPT TO:<r@d.example>\r\nRSET\r\nQUIT\r\n")
        assert [client.read()[:3] for _ in range(5)] == ["250", "250", "250", "250", "221"]
        assert client.read() == ""
    assert len(gateway.queued) == 1


def test_stranger_cannot_relay(postgate: Start) -> None:
    gateway = postgate({"mynetworks": "192.0.2.0/24", "relay_domains": "mine.example"})
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(gateway, "r@d.example")
    assert refused.value.recipients["r@d.example"] == (454, b"4.7.1 <r@d.example>: Relay access denied")
    assert (
        "NOQUEUE: reject: RCPT from localhost[127.0.0.1]: 454 4.7.1 <r@d.example>: Relay access denied; " in gateway.log
    )
    assert "from=<a@s.example> to=<r@d.example> proto=ESMTP helo=<c.example>" in gateway.log
    send(gateway, "r@mine.example")
    assert len(gateway.queued) == 1


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (SpoolFull("disk is full"), (452, b"4.3.1 Insufficient system storage")),
        (SpoolError("I/O error"), (451, b"4.3.0 Error: queue file write error")),
        (SpoolUnavailable("nobody there"), (451, b"4.3.0 Error: queue file write error")),
    ],
)
def test_spool_failures_are_temporary_and_the_session_goes_on(
    postgate: Start, error: SpoolError, reply: tuple[int, bytes]
) -> None:
    gateway = postgate()
    gateway.spool_error = error
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("a@s.example", ["r@d.example"], MESSAGE)
        assert (refused.value.smtp_code, refused.value.smtp_error) == reply
        assert client.docmd("DATA")[0] == 503, "nothing of the refused transaction remains"
        gateway.spool_error = None
        client.sendmail("a@s.example", ["r@d.example"], MESSAGE)
    assert len(gateway.queued) == 1


def test_client_name_from_dns_comes_before_the_banner(postgate: Start) -> None:
    dns = FakeDns(pointers={"127.0.0.2": "two.example"}, hosts={"two.example": ["127.0.0.2"]})
    gateway = postgate(dns=dns)
    for source, label in (("127.0.0.2", "two.example[127.0.0.2]"), ("127.0.0.3", "unknown[127.0.0.3]")):
        with socket.create_connection(("127.0.0.1", gateway.port), 10, (source, 0)) as client:
            file = client.makefile("rb")
            assert file.readline().startswith(b"220 ")
            client.sendall(b"QUIT\r\n")
            assert file.readline().startswith(b"221 ")
            file.close()
        assert f"connect from {label}" in wait_for_log(gateway, f"disconnect from {label}")


def test_a_client_that_asks_and_never_reads_is_not_answered_without_end(postgate: Start) -> None:
    gateway = postgate()
    with wire(gateway) as client:
        client.socket.setblocking(False)
        sent = 0
        while sent < 48 << 20 and select.select([], [client.socket], [], 0.5)[1]:
            with suppress(BlockingIOError):
                sent += client.socket.send(b"EHLO a\r\n" * 8000)
        assert sent < 48 << 20, "the gateway stops reading, and the kernel's buffers fill"


def test_session_limit(postgate: Start) -> None:
    from gateway.server import registry

    gateway = postgate()
    assert registry.SessionRegistry(1).limit == 1
    with wire(gateway), wire(gateway) as second:
        assert second.ask("NOOP").startswith("250 ")


def test_connections_of_one_client_are_bounded(postgate: Start) -> None:
    gateway = postgate(
        {"smtpd_client_connection_count_limit": "2", "smtpd_client_event_limit_exceptions": "", "smtpd_workers": "1"}
    )
    with wire(gateway), wire(gateway):
        with wire(gateway, greet=False) as third:
            assert third.read() == "421 4.7.0 gateway.test Error: too many connections from 127.0.0.1"
            assert third.read() == ""
        assert "warning: Connection concurrency limit exceeded: 3 from localhost[127.0.0.1] for service" in gateway.log


def test_idle_client_is_sent_away(postgate: Start) -> None:
    gateway = postgate({"smtpd_timeout": "1s"})
    with wire(gateway) as client:
        assert client.read() == "421 4.4.2 gateway.test Error: timeout exceeded"
        assert client.read() == ""
    assert "timeout after CONNECT from localhost[127.0.0.1]" in gateway.log


def test_error_limit_ends_the_session(postgate: Start) -> None:
    gateway = postgate({"smtpd_soft_error_limit": "100", "smtpd_hard_error_limit": "3"})
    with wire(gateway) as client:
        for _ in range(2):
            assert client.ask("NONSENSE").startswith("500 5.5.2")
        client.send(b"NONSENSE\r\nNONSENSE\r\n")
        assert client.read().startswith("500 5.5.2")
        assert client.read().startswith("421 4.7.0 gateway.test Error: too many errors")
        assert client.read() == ""


def test_soft_errors_slow_the_client_down_and_lose_nothing(postgate: Start) -> None:
    gateway = postgate({"smtpd_soft_error_limit": "1", "smtpd_error_sleep_time": "1s"})
    with wire(gateway) as client:
        client.send(b"NONSENSE\r\nNONSENSE\r\nNOOP\r\nQUIT\r\n")
        assert [client.read()[:3] for _ in range(4)] == ["500", "500", "250", "221"]


def test_large_message_goes_through_a_file(postgate: Start) -> None:
    gateway = postgate({"content_memory_limit": "10000"})
    body = b"".join(b"%06d %s\r\n" % (n, b"x" * 60) for n in range(5000))
    send(gateway, message=b"Subject: big\r\n\r\n" + body)
    [queued] = gateway.queued
    assert not isinstance(queued.content.body, bytes)
    assert queued.as_bytes().endswith(b"\r\n\r\n" + body)


def test_proxy_protocol(postgate: Start) -> None:
    gateway = postgate({"mynetworks": "192.0.2.0/24"}, overrides={"smtpd_upstream_proxy_protocol": "haproxy"})
    with wire(gateway, greet=False) as client:
        client.send(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n")
        assert client.read().startswith("220 ")
        client.ask("EHLO c.example")
        assert client.ask("MAIL FROM:<a@s.example>").startswith("250 ")
        assert client.ask("RCPT TO:<r@d.example>").startswith("250 "), "mynetworks sees the real client"
    assert "connect from unknown[192.0.2.7]" in gateway.log
    with wire(gateway, greet=False) as client:
        client.send(b"EHLO c.example\r\n")
        assert client.read() == ""
    assert "haproxy read: " in gateway.log


def test_xclient_makes_another_client(postgate: Start) -> None:
    gateway = postgate({"smtpd_authorized_xclient_hosts": "127.0.0.1", "mynetworks": "127.0.0.0/8"})
    with wire(gateway) as client:
        assert "XCLIENT" in client.ask("EHLO c.example")
        assert client.ask("XCLIENT NAME=evil.example ADDR=203.0.113.9").startswith("220 ")
        client.ask("EHLO d.example")
        client.ask("MAIL FROM:<a@s.example>")
        assert client.ask("RCPT TO:<r@d.example>").startswith("454 4.7.1"), "no longer in mynetworks"


def test_xclient_forgets_what_the_last_one_told(postgate: Start) -> None:
    gateway = postgate({"smtpd_authorized_xclient_hosts": "127.0.0.1"})
    with wire(gateway) as client:
        assert client.ask("XCLIENT HELO=told.example PROTO=ESMTP ADDR=203.0.113.9").startswith("220 ")
        client.ask("MAIL FROM:<a@s.example>")
        client.ask("RCPT TO:<r@elsewhere.example>")
        client.ask("RSET")
        assert client.ask("XCLIENT ADDR=203.0.113.8").startswith("220 ")
        client.ask("MAIL FROM:<a@s.example>")
        client.ask("RCPT TO:<r@elsewhere.example>")
    first, second = [line for line in gateway.log.splitlines() if "Relay access denied" in line]
    assert first.endswith("proto=ESMTP helo=<told.example>")
    assert second.endswith("to=<r@elsewhere.example> proto=SMTP")


def test_a_client_that_is_refused_after_xclient_gets_no_further(postgate: Start) -> None:
    gateway = postgate(
        {
            "smtpd_authorized_xclient_hosts": "127.0.0.1",
            "smtpd_delay_reject": "no",
            "smtpd_client_restrictions": "check_client_access inline:{203.0.113.66=REJECT}",
        }
    )
    with wire(gateway) as client:
        assert client.ask("XCLIENT ADDR=203.0.113.66").startswith("554 5.7.1 ")
        assert client.ask("EHLO c.example").startswith("503 5.7.0 Error: access denied")
        assert client.ask("QUIT").startswith("221 ")


def test_ehlo_makes_a_session_esmtp_when_it_is_accepted(postgate: Start) -> None:
    gateway = postgate({"smtpd_delay_reject": "no", "smtpd_helo_restrictions": "check_helo_access inline:{bad=REJECT}"})
    with wire(gateway) as client:
        assert client.ask("EHLO bad").startswith("554 ")
    assert "proto=SMTP helo=<bad>" in gateway.log


def test_xforward_is_kept_with_the_message(postgate: Start) -> None:
    gateway = postgate({"smtpd_authorized_xforward_hosts": "127.0.0.1"})
    with wire(gateway) as client:
        client.ask("EHLO filter.example")
        assert client.ask("XFORWARD NAME=o.example ADDR=203.0.113.9 IDENT=ABC123").startswith("250 ")
        for line in ("MAIL FROM:<a@s.example>", "RCPT TO:<r@d.example>", "DATA"):
            client.ask(line)
        client.send(MESSAGE + b".\r\n")
        assert client.read().startswith("250 2.0.0 Ok: queued as")
        for line in ("MAIL FROM:<a@s.example>", "RCPT TO:<r@d.example>", "DATA"):
            client.ask(line)
        client.send(MESSAGE + b".\r\n")
        assert client.read().startswith("250 2.0.0 Ok: queued as")
    assert gateway.queued[1].envelope.forward is None, "for one transaction only"
    assert gateway.queued[0].envelope.client.name == "localhost", "who sent it here"
    forward = gateway.queued[0].envelope.forward
    assert forward is not None
    assert (forward.name, forward.address, forward.ident) == ("o.example", "203.0.113.9", "ABC123")
    assert "orig_queue_id=ABC123, orig_client=o.example[203.0.113.9]" in gateway.log


@pytest.mark.parametrize(
    ("source", "clients", "expected"),
    [("", "static:all", "LOCAL"), ("", "", "REMOTE"), ("REMOTE", "static:all", "REMOTE"), ("LOCAL", "", "LOCAL")],
)
def test_xforward_says_whose_headers_are_completed(postgate: Start, source: str, clients: str, expected: str) -> None:
    gateway = postgate({"smtpd_authorized_xforward_hosts": "127.0.0.1", "local_header_rewrite_clients": clients})
    with wire(gateway) as client:
        client.ask("EHLO filter.example")
        client.ask(f"XFORWARD SOURCE={source}" if source else "XFORWARD IDENT=ABC")
        for line in ("MAIL FROM:<a@s.example>", "RCPT TO:<r@d.example>", "DATA"):
            client.ask(line)
        client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        assert client.read().startswith("250 2.0.0 Ok: queued as")
    (message,) = gateway.queued
    assert (b"Message-Id: " in message.content.head) is (expected == "LOCAL")
    forward = message.envelope.forward
    assert forward is not None
    assert (forward.source or message.envelope.client.source) == expected
    assert "orig_client" not in gateway.log


class RefusesSecondHelo:
    """Refuses a HELO in the middle of a transaction."""

    @hookimpl
    def helo(self, session: Session) -> Verdict | None:
        return Verdict.reject("not now", code=550) if session.recipients else None


def test_a_refused_helo_leaves_the_transaction_whole(postgate: Start) -> None:
    gateway = postgate(plugins={"refuses": RefusesSecondHelo()})
    with wire(gateway) as client:
        for line in ("EHLO c.example", "MAIL FROM:<a@s.example>", "RCPT TO:<r@d.example>"):
            assert client.ask(line).startswith("250")
        assert client.ask("HELO other.example").startswith("550 ")
        assert client.ask("DATA").startswith("354 ")
        client.send(MESSAGE + b".\r\n")
        assert client.read().startswith("250 2.0.0 Ok: queued as")
    assert gateway.queued[0].envelope.client.helo == "c.example"


def test_headers_that_must_not_travel_are_dropped(postgate: Start) -> None:
    gateway = postgate()
    send(gateway, message=b"Bcc: secret@d.example,\r\n more@d.example\r\nReturn-Path: <x@y>\r\n" + MESSAGE)
    head = gateway.queued[0].content.head
    assert (
        b"secret" not in head
        and b"more@" not in head
        and b"Return-Path" not in head
        and b"\r\nSubject: test\r\n" in head
    )


def test_hop_limit(postgate: Start) -> None:
    gateway = postgate({"hopcount_limit": "5"})
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(gateway, message=b"Received: x\r\n" * 5 + MESSAGE)
    assert (refused.value.smtp_code, refused.value.smtp_error) == (554, b"5.4.6 Error: too many hops")


def test_soft_bounce_turns_5xx_into_4xx(postgate: Start) -> None:
    gateway = postgate({"soft_bounce": "yes", "smtpd_recipient_restrictions": "reject", "smtpd_relay_restrictions": ""})
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(gateway)
    assert refused.value.recipients["r@d.example"][0] == 454


class Actions:
    """A plugin that does what a test wants."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = verdicts
        self.seen: list[str] = []

    @hookimpl
    def data(self, session: Session) -> Verdict | None:
        session.actions.extend(self.verdicts)
        return None

    @hookimpl
    def reset(self, session: Session) -> None:
        self.seen.append(f"reset {session.queue_id != ''}")

    @hookimpl
    def disconnect(self) -> None:
        self.seen.append("disconnect")

    @hookimpl
    def unknown(self, verb: str) -> None:
        self.seen.append(f"unknown {verb}")


def test_noted_actions_are_carried_out(postgate: Start) -> None:
    actions = Actions(
        Verdict.hold("look at it"),
        Verdict.filter("smtp:[127.0.0.1]:10025"),
        Verdict.bcc("copy@b.example"),
        Verdict.prepend("X-Pre: pended"),
    )
    gateway = postgate(plugins={"actions": actions})
    send(gateway)
    envelope = gateway.queued[0].envelope
    assert envelope.is_held and envelope.filter == "smtp:[127.0.0.1]:10025"
    assert [(str(r.address), r.notify) for r in envelope.recipients] == [
        ("r@d.example", ()),
        ("copy@b.example", ("NEVER",)),
    ]
    assert b"X-Pre: pended\r\n" in gateway.queued[0].content.head


def test_redirect_and_discard(postgate: Start) -> None:
    gateway = postgate(plugins={"actions": Actions(Verdict.redirect("other@o.example"))})
    send(gateway, "r@d.example", "s@d.example")
    assert [str(r.address) for r in gateway.queued[0].envelope.recipients] == ["other@o.example"]
    silent = postgate(plugins={"actions": Actions(Verdict.discard("spam"))})
    send(silent)
    assert silent.queued == []


def test_observers_see_the_end(postgate: Start) -> None:
    actions = Actions()
    gateway = postgate(plugins={"actions": actions})
    with wire(gateway) as client:
        client.ask("EHLO c.example")
        client.ask("XYZZY now")
        client.ask("MAIL FROM:<a@s.example>")
        client.ask("RSET")
        client.ask("QUIT")
    wait_for_log(gateway, "disconnect from")
    assert actions.seen[:3] == ["unknown XYZZY", "reset False", "disconnect"]


class Notes:
    """Notes something at RCPT and at the end."""

    @hookimpl
    def rcpt(self) -> Verdict:
        return Verdict.hold("look at it")

    @hookimpl
    def data(self) -> Verdict:
        return Verdict.discard("not wanted")


def test_noted_actions_are_logged_when_they_are_noted(postgate: Start) -> None:
    gateway = postgate(plugins={"notes": Notes()})
    send(gateway)
    assert (
        "NOQUEUE: hold: RCPT from localhost[127.0.0.1]: look at it; from=<a@s.example> to=<r@d.example> " in gateway.log
    )
    assert ": discard: END-OF-MESSAGE from localhost[127.0.0.1]: not wanted; from=<a@s.example> " in gateway.log
    assert gateway.queued == []


def test_access_actions_are_logged_as_postfix_does(postgate: Start) -> None:
    table = "inline:{ {r@d.example = WARN odd one} }"
    gateway = postgate({"smtpd_recipient_restrictions": f"check_recipient_access {table}, warn_if_reject reject"})
    send(gateway)
    assert "NOQUEUE: warn: RCPT from localhost[127.0.0.1]: odd one; " in gateway.log
    assert "NOQUEUE: reject_warning: RCPT from localhost[127.0.0.1]: 554 5.7.1 " in gateway.log


class Editor:
    """Edits at data and queue; the second plugin sees what the first did."""

    @hookimpl
    async def data(self, message: Message, edits: EditList) -> None:
        edits.change_header("Subject", "changed")
        edits.replace_body(b"new body\n")
        edits.add_recipient(Address("added", "d.example"))

    @hookimpl
    def queue(self, envelope: Envelope, message: Message, edits: EditList) -> None:
        edits.add_header("X-Saw", f"{message.header('Subject')} {len(envelope.recipients)} {len(message.body_bytes())}")


def test_edits_are_applied_once_and_stored(postgate: Start) -> None:
    gateway = postgate(plugins={"editor": Editor()})
    send(gateway)
    text = gateway.queued[0].as_bytes()
    assert b"\r\nSubject: changed\r\n" in text and text.endswith(b"\r\n\r\nnew body\r\n")
    assert b"\r\nX-Saw: changed 2 10\r\n" in text
    assert gateway.queued[0].envelope.size_bytes == len(text)


class Refuser:
    """Refuses at one stage."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def _judge(self, stage: str) -> Verdict | None:
        return Verdict.reject(f"no {stage}", code=550) if stage == self.stage else None

    @hookimpl
    def connect(self) -> Verdict | None:
        return self._judge("connect")

    @hookimpl
    def helo(self) -> Verdict | None:
        return self._judge("helo")

    @hookimpl
    def mail(self) -> Verdict | None:
        return self._judge("mail")

    @hookimpl
    def rcpt(self) -> Verdict | None:
        return self._judge("rcpt")

    @hookimpl
    def predata(self) -> Verdict | None:
        return self._judge("predata")

    @hookimpl
    def data(self) -> Verdict | None:
        return self._judge("data")

    @hookimpl
    def queue(self) -> Verdict | None:
        return self._judge("queue")


@pytest.mark.parametrize(
    ("stage", "replies"),
    [
        ("connect", ["550", "503", "503", "503", "503"]),
        ("helo", ["220", "550", "250", "250", "354", "250"]),
        ("mail", ["220", "250", "550", "503", "503"]),
        ("rcpt", ["220", "250", "250", "550", "554"]),
        ("predata", ["220", "250", "250", "250", "550"]),
        ("data", ["220", "250", "250", "250", "354", "550"]),
        ("queue", ["220", "250", "250", "250", "354", "550"]),
    ],
)
def test_a_refusal_at_each_stage(postgate: Start, stage: str, replies: list[str]) -> None:
    gateway = postgate(plugins={"refuser": Refuser(stage)})
    with wire(gateway, greet=False) as client:
        commands = ("EHLO c.example", "MAIL FROM:<a@s.example>", "RCPT TO:<r@d.example>", "DATA")
        got = [client.read()[:3], *(client.ask(line)[:3] for line in commands)]
        if got[-1] == "354":
            client.send(MESSAGE + b".\r\n")
            got.append(client.read()[:3])
    assert got == replies
    assert len(gateway.queued) == (1 if stage == "helo" else 0)


def test_a_connection_that_dies_in_the_middle_leaves_nothing(postgate: Start) -> None:
    gateway = postgate()
    with wire(gateway) as client:
        client.ask("EHLO c.example")
        client.ask("MAIL FROM:<a@s.example>")
        client.ask("RCPT TO:<r@d.example>")
        client.ask("DATA")
        client.send(b"Subject: half\r\n")
    assert "lost connection after DATA" in wait_for_log(gateway, "lost connection after DATA")
    assert gateway.queued == []


def test_a_second_helo_replaces_what_the_first_one_noted(postgate: Start) -> None:
    """Also in the middle of a transaction: what HELO noted belongs to the connection, not to the mail it ends."""

    seen: list[Session] = []

    class Holder:
        @hookimpl
        def helo(self, session: Session, name: str) -> Verdict | None:
            seen.append(session)
            return Verdict.prepend(f"X-Helo: {name}") if name.startswith("marked") else None

    gateway = postgate(plugins={"holder": Holder()})
    with wire(gateway) as client:
        for name in ("marked-1", "marked-2", "marked-3"):
            client.ask(f"EHLO {name}")
        session = seen[0]
        assert len(session.ledger) == 1
        client.ask("MAIL FROM:<a@s.example>")
        client.ask("EHLO marked-4")
        assert [verdict.argument for verdict in session.connection_actions] == ["X-Helo: marked-4"]
        client.ask("MAIL FROM:<a@s.example>")
        client.ask("RCPT TO:<r@d.example>")
        client.ask("DATA")
        client.send(MESSAGE + b".\r\n")
        assert client.read().startswith("250 2.0.0 Ok: queued as")
        assert gateway.queued[0].as_bytes().count(b"X-Helo: ") == 1
        client.ask("EHLO plain")
        assert session.connection_actions == []


def test_a_client_named_by_xclient_gives_its_place_back(postgate: Start) -> None:
    settings = {
        "smtpd_authorized_xclient_hosts": "127.0.0.1",
        "smtpd_client_event_limit_exceptions": "",
        "smtpd_client_connection_count_limit": "1",
    }
    gateway = postgate(settings)
    for number in range(3):
        with wire(gateway) as client:
            client.ask("EHLO proxy.example")
            assert client.ask(f"XCLIENT ADDR=192.0.2.{number}").startswith("220")
            assert client.ask("QUIT").startswith("221")
            assert client.read() == ""


def test_replies_that_are_owed_come_before_the_421_of_a_bug(postgate: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async def explode(*_: object) -> None:
        raise RuntimeError("bug")

    gateway = postgate()
    with wire(gateway) as client:
        client.ask("EHLO c.example")
        monkeypatch.setitem(_ANSWERS, smtp_events.Rcpt, explode)
        client.send(b"MAIL FROM:<a@s.example>\r\nRCPT TO:<r@d.example>\r\n")
        assert client.read().startswith("250 2.1.0")
        assert client.read().startswith("421 4.3.0")


def test_a_refused_helo_keeps_what_the_one_before_it_noted(postgate: Start) -> None:
    """Else a client that is to be held would say a bad HELO after its own, and no longer be."""

    class Holder:
        @hookimpl
        def helo(self, session: Session, name: str) -> Verdict | None:
            return Verdict.hold("marked") if name == "marked" else Verdict.reject("bad name")

    gateway = postgate(plugins={"holder": Holder()})
    with wire(gateway) as client:
        client.ask("EHLO marked")
        assert client.ask("EHLO bad").startswith("554")
        for line in ("MAIL FROM:<a@s.example>", "RCPT TO:<r@d.example>", "DATA"):
            client.ask(line)
        client.send(MESSAGE + b".\r\n")
        assert client.read().startswith("250")
        assert gateway.queued[0].envelope.is_held


def test_a_helo_name_cannot_pass_for_more_in_log_and_received(postgate: Start) -> None:
    gateway = postgate()
    with wire(gateway) as client:
        client.ask('HELO a> from=<b@c> (x [192.0.2.9])\tby "mx"; \x1b\\')
        client.ask("MAIL FROM:<a@s.example>")
        client.ask("RCPT TO:<r@d.example>")
        client.ask("DATA")
        client.send(MESSAGE + b".\r\n")
        assert client.read().startswith("250")
    head = gateway.queued[0].as_bytes()
    assert head.startswith(b"Received: from a??from=?b?c???x?[192.0.2.9]??by??mx????? (localhost [127.0.0.1])\r\n")
