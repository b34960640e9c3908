"""What plugins and tables decide at each stage: a whole smtpd in process, over real sockets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from peers.wire import MESSAGE, send, wait_for_log, wire

from gateway.hooks import Address, EditList, Envelope, Message, Session, Verdict, hookimpl
from gateway.testing import InProcessGateway

Start = Callable[..., InProcessGateway]


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
