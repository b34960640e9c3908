from __future__ import annotations

import asyncio
import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.model.address import Address
from gateway.model.content import BodyFile, Content
from gateway.model.delivery import Outcome, Status
from gateway.model.envelope import Envelope, Recipient
from gateway.model.errors import SpoolError
from gateway.observe import MailLog
from gateway.transport.bounce import Bouncer

NOW = 1_795_354_176.0
CONTENT = Content(b"Subject: hello\r\nMessage-ID: <x@y>\r\n", b"body\r\n")
REFUSED = Status(
    Outcome.BOUNCED, "5.1.1", "host mx.b.example[192.0.2.1] said: 550 no", "mx.b.example[192.0.2.1]:25", "550 no"
)
LATE = Status(Outcome.DEFERRED, "4.4.1", "connect to mx.b.example[192.0.2.1]:25: Connection refused")


class Mailbag:
    """Takes what is submitted; the first ``failures`` submissions fail."""

    def __init__(self, failures: int = 0) -> None:
        self.mail: list[tuple[Envelope, Content]] = []
        self.failures = failures

    async def submit(self, envelope: Envelope, content: Content) -> None:
        if self.failures:
            self.failures -= 1
            raise SpoolError("no room")
        self.mail.append((envelope, content))

    def message(self, index: int = 0) -> EmailMessage:
        envelope, content = self.mail[index]
        assert isinstance(content.body, bytes)
        raw = content.head + b"\r\n" + content.body
        assert envelope.size_bytes == len(raw)
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        assert not parsed.defects
        return parsed


class Rig:
    """A bouncer with a bag and a log."""

    def __init__(self, bag: Mailbag | None = None, **settings: str) -> None:
        settings = {"myhostname": "mx.here.example", "myorigin": "here.example", **settings}
        self.bag, self.log = bag or Mailbag(), MailLog.memory()
        self.number = 0
        config = Config.from_settings({name.removeprefix("p_"): value for name, value in settings.items()})
        self.bouncer = Bouncer(config, self.bag, self.next_id, log=self.log, clock=lambda: NOW)

    def next_id(self, now: float) -> str:
        self.number += 1
        return f"N{self.number}"

    def lines(self) -> list[str]:
        return [line.partition("]: ")[2] for line in self.log.lines]


def envelope(*recipients: Recipient, sender: str = "me@far.example", **values: object) -> Envelope:
    return Envelope("A1", Address.of(sender), list(recipients), arrival=NOW - 3600, **values)  # type: ignore[arg-type]


def failed(rig: Rig, message: Envelope, content: Content | None = CONTENT, status: Status = REFUSED) -> None:
    asyncio.run(rig.bouncer.failed(message, content, [(r, status) for r in message.recipients]))


def recipient(address: str = "u@b.example", *notify: str, original: str = "", orcpt: str = "") -> Recipient:
    return Recipient(Address.of(address), original=original, orcpt=orcpt, notify=notify)


def test_a_bounce_has_the_form_that_users_and_programs_know() -> None:
    rig = Rig()
    failed(rig, envelope(recipient(original="alias@here.example"), envid="e1"))
    notification, _ = rig.bag.mail[0]
    assert (notification.queue_id, str(notification.sender), notification.origin) == ("N1", "", "bounce")
    assert [str(r.address) for r in notification.recipients] == ["me@far.example"]
    assert notification.encoding == "7BIT"
    assert rig.lines() == [
        f"N1: message-id={notification.message_id}",
        "A1: sender non-delivery notification: N1",
    ]
    message = rig.bag.message()
    assert message["From"] == "Mail Delivery System <MAILER-DAEMON@here.example>"
    assert message["To"] == "me@far.example"
    assert message["Subject"] == "Undelivered Mail Returned to Sender"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Message-ID"] == notification.message_id
    assert message["Date"].datetime.timestamp() == NOW
    assert "by mx.here.example (Postfix)" in message["Received"]
    text, status, original = message.iter_parts()
    assert "<u@b.example> (expanded from <alias@here.example>): host mx.b.example[192.0.2.1]" in " ".join(
        text.get_content().split()
    )
    groups = status.get_payload()
    assert isinstance(groups, list)
    about_message, about_recipient = groups
    assert about_message["Reporting-MTA"] == "dns; mx.here.example"
    assert about_message["Original-Envelope-Id"] == "e1"
    assert dict(about_recipient.items()) == {
        "Final-Recipient": "rfc822; u@b.example",
        "Original-Recipient": "rfc822;alias@here.example",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.b.example",
        "Diagnostic-Code": "smtp; 550 no",
    }
    assert original.get_content_type() == "message/rfc822"
    inner = original.get_content()
    assert (inner["Return-Path"], inner["Subject"], inner.get_content().strip()) == (
        "<me@far.example>",
        "hello",
        "body",
    )


@pytest.mark.parametrize(
    ("notify", "told"), [((), True), (("FAILURE",), True), (("NEVER",), False), (("SUCCESS", "DELAY"), False)]
)
def test_notify_decides_who_hears_of_failures(notify: tuple[str, ...], told: bool) -> None:
    rig = Rig()
    failed(rig, envelope(recipient("u@b.example", *notify)))
    assert bool(rig.bag.mail) is told


def test_only_recipients_that_want_it_are_reported() -> None:
    rig = Rig()
    failed(rig, envelope(recipient("u@b.example", "NEVER"), recipient("v@b.example")))
    text = next(rig.bag.message().iter_parts()).get_content()
    assert "v@b.example" in text
    assert "u@b.example" not in text


def test_orcpt_is_given_back_as_it_came() -> None:
    rig = Rig()
    failed(rig, envelope(recipient(original="x@y.example", orcpt="rfc822;orig+x@y.example")))
    assert b"Original-Recipient: rfc822;orig+x@y.example\r\n" in rig.bag.mail[0][1].body  # type: ignore[operator]


@pytest.mark.parametrize(("ret", "limit"), [("HDRS", "50000"), ("", "20")])
def test_headers_alone_on_request_or_when_the_message_is_large(ret: str, limit: str) -> None:
    rig = Rig(bounce_size_limit=limit)
    failed(rig, envelope(recipient(), ret=ret))
    part = list(rig.bag.message().iter_parts())[2]
    assert part.get_content_type() == "text/rfc822-headers"
    assert (b"Subject: hello" in part.as_bytes()) is (ret == "HDRS")


def test_a_body_on_disk_is_read_when_it_may_be_returned(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"....on disk\r\n")
    rig = Rig(queue_directory=str(tmp_path))
    failed(rig, envelope(recipient()), Content(CONTENT.head, BodyFile("body", 9, offset=4)))
    assert b"\r\n\r\non disk\r\n" in rig.bag.mail[0][1].body  # type: ignore[operator]
    failed(rig, envelope(recipient()), Content(CONTENT.head, BodyFile("missing", 9)))
    assert list(rig.bag.message(1).iter_parts())[2].get_content_type() == "text/rfc822-headers"
    failed(rig, envelope(recipient()), Content(CONTENT.head, BodyFile("body", 10**9)))
    assert list(rig.bag.message(2).iter_parts())[2].get_content_type() == "text/rfc822-headers"


def test_without_content_the_report_goes_out_all_the_same() -> None:
    rig = Rig()
    failed(rig, envelope(recipient()), None)
    assert len(list(rig.bag.message().iter_parts())) == 2


def test_eight_bit_mail_makes_an_eight_bit_bounce() -> None:
    rig = Rig()
    failed(rig, envelope(recipient(), has_long_lines=True), Content(b"Subject: x\r\n", b"\xff\r\n"))
    assert (rig.bag.mail[0][0].encoding, rig.bag.mail[0][0].has_long_lines) == ("8BITMIME", True)


def test_smtputf8_mail_is_reported_in_utf8() -> None:
    rig = Rig()
    failed(rig, envelope(recipient("ü@b.example"), sender="é@far.example", is_smtputf8=True))
    notification, _ = rig.bag.mail[0]
    assert notification.is_smtputf8
    kinds = [part.get_content_type() for part in rig.bag.message().iter_parts()]
    assert kinds == ["text/plain", "message/global-delivery-status", "message/global"]
    failed(rig, envelope(recipient("ü@b.example"), is_smtputf8=True))
    assert not rig.bag.mail[1][0].is_smtputf8  # an ASCII sender's host need not have the extension


def test_a_failing_bounce_is_dropped_or_told_to_the_postmaster() -> None:
    rig = Rig()
    failed(rig, envelope(recipient(), sender=""))
    assert rig.bag.mail == []
    rig = Rig(notify_classes="2bounce", p_2bounce_notice_recipient="chief@far.example")
    failed(rig, envelope(recipient("u@b.example", "NEVER"), sender=""))
    notification, _ = rig.bag.mail[0]
    assert str(notification.sender) == "double-bounce@here.example"
    assert str(notification.recipients[0].address) == "chief@far.example"
    message = rig.bag.message()
    assert message["Subject"] == "Postmaster Copy: Undelivered Mail"
    assert list(message.iter_parts())[2].get_content_type() == "text/rfc822-headers"
    assert rig.lines()[-1] == "A1: postmaster non-delivery notification: N1"


def test_a_failing_double_bounce_is_the_end() -> None:
    rig = Rig(notify_classes="bounce, 2bounce, delay")
    failed(rig, envelope(recipient(), sender="double-bounce@here.example"))
    asyncio.run(rig.bouncer.delayed(envelope(recipient(), sender=""), CONTENT, []))
    asyncio.run(rig.bouncer.delivered(envelope(recipient(), sender=""), CONTENT, []))
    assert rig.bag.mail == []
    assert rig.lines() == ["warning: A1: undeliverable postmaster notification discarded"]


def test_the_postmaster_gets_copies_of_the_classes_that_are_listed() -> None:
    rig = Rig(notify_classes="bounce")
    failed(rig, envelope(recipient("u@b.example", "NEVER")))
    assert [(str(e.sender), str(e.recipients[0].address), e.recipients[0].original) for e, _ in rig.bag.mail] == [
        ("double-bounce@here.example", "postmaster@here.example", "postmaster")
    ]


def test_losing_the_copy_does_not_undo_the_bounce_but_losing_the_bounce_does() -> None:
    class CopyFails(Mailbag):
        async def submit(self, envelope: Envelope, content: Content) -> None:
            if envelope.sender:
                raise SpoolError("no room")
            await super().submit(envelope, content)

    rig = Rig(CopyFails(), notify_classes="bounce")
    failed(rig, envelope(recipient()))
    assert len(rig.bag.mail) == 1
    assert rig.lines()[-1] == "warning: A1: postmaster non-delivery notification lost: no room"
    with pytest.raises(SpoolError):
        failed(Rig(Mailbag(failures=1)), envelope(recipient()))


def test_delay_warnings() -> None:
    rig = Rig(notify_classes="delay", delay_notice_recipient="watch@far.example", delay_warning_time="1h")
    message = envelope(recipient("u@b.example", "DELAY"), recipient("v@b.example", "FAILURE"))
    asyncio.run(rig.bouncer.delayed(message, CONTENT, [(r, LATE) for r in message.recipients]))
    assert [str(e.recipients[0].address) for e, _ in rig.bag.mail] == ["me@far.example", "watch@far.example"]
    warning = rig.bag.message()
    assert warning["Subject"] == "Delayed Mail (still being retried)"
    text, status, original = warning.iter_parts()
    assert "1 hour(s)" in text.get_content()
    assert "5 day(s) old" in text.get_content()
    groups = status.get_payload()
    assert isinstance(groups, list)
    assert len(groups) == 2
    assert (groups[1]["Action"], groups[1]["Status"]) == ("delayed", "4.4.1")
    assert groups[1]["Diagnostic-Code"].startswith("X-Postgate; connect to")
    assert groups[1]["Will-Retry-Until"].startswith("Fri, 27 Nov 2026 12:29:36")
    assert original.get_content_type() == "text/rfc822-headers"
    assert rig.lines()[1] == "A1: sender delay notification: N1"


def test_success_reports() -> None:
    rig = Rig()
    message = envelope(
        recipient("u@b.example", "SUCCESS"), recipient("v@b.example", "SUCCESS"), recipient("w@b.example")
    )
    statuses = [Status(Outcome.SENT, "2.0.0", "delivered"), Status(Outcome.SENT, "2.0.0", "250 ok", "mx[192.0.2.1]:25")]
    results = list(zip(message.recipients, [*statuses, statuses[0]], strict=True))
    asyncio.run(rig.bouncer.delivered(message, CONTENT, results))
    groups = list(rig.bag.message().iter_parts())[1].get_payload()
    assert isinstance(groups, list)
    assert [group["Action"] for group in groups[1:]] == ["delivered", "relayed"]
    assert rig.lines()[-1] == "A1: sender delivery status notification: N1"
    asyncio.run(rig.bouncer.delivered(message, CONTENT, results[2:]))
    assert len(rig.bag.mail) == 1


def test_obsolete_from_form() -> None:
    rig = Rig(header_from_format="obsolete")
    failed(rig, envelope(recipient()))
    assert b"From: MAILER-DAEMON@here.example (Mail Delivery System)\r\n" in rig.bag.mail[0][1].head
