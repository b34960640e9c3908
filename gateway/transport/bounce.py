"""Notifications: tells senders, and postmasters who want it, what became of their mail.

Decides who hears of what (NOTIFY, ``notify_classes``, null senders) and hands each notification to a submitter; it has
returned only when the notification is durable. Never answers a notification to a notification with a third one.
Source: bounce(8), RFC 3461 §5.2, §6 (who is told), RFC 3464, RFC 3834 §3.1.7 (Auto-Submitted), RFC 5321 §6.1 (null
sender).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence

from gateway.config import Config
from gateway.model.address import Address
from gateway.model.content import BodyFile, Content
from gateway.model.delivery import Outcome, Status
from gateway.model.envelope import ClientInfo, Envelope, Recipient
from gateway.model.errors import SpoolError
from gateway.observe import MailLog
from gateway.rfc.rfc3464 import (
    RecipientReport,
    Report,
    ReportAction,
    Returned,
    multipart_report,
    recipient_text,
)
from gateway.rfc.rfc5322 import date_time
from gateway.spool.interface import Submitter
from gateway.transport.bounce_text import Notice, notice_texts

Results = Sequence[tuple[Recipient, Status]]


class Bouncer:
    """Writes delivery status notifications.

    Args:
        config: checked configuration.
        submitter: takes the notifications: the scheduler, or cleanup before it.
        next_queue_id: gives a new queue ID for a time.
        log: where lines go.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        config: Config,
        submitter: Submitter,
        next_queue_id: Callable[[float], str],
        *,
        log: MailLog,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._submitter, self._next_queue_id, self._clock = submitter, next_queue_id, clock
        self._log, self._cleanup = log.logger("bounce"), log.logger("cleanup")
        self._host, self._origin = config.text("myhostname"), config.text("myorigin").lower()
        self._mail_name = config.text("mail_name")
        self._texts = notice_texts(config, self._log.warning)
        self._size_limit = config.size("bounce_size_limit")
        self._spool_directory = config.text("queue_directory")
        self._lifetime_s = config.seconds("maximal_queue_lifetime")
        self._double_bounce = Address(config.text("double_bounce_sender"), self._origin)
        classes = frozenset(word.lower() for word in config.words("notify_classes"))
        self._copies = {Notice.FAILURE: "bounce" in classes, Notice.DELAY: "delay" in classes, Notice.SUCCESS: False}
        self._has_2bounce = bool(classes & {"2bounce", "bounce"})  # bounce implies 2bounce (postconf(5))
        self._notice_recipients = {
            Notice.FAILURE: config.text("bounce_notice_recipient"),
            Notice.DELAY: config.text("delay_notice_recipient"),
        }
        self._2bounce_recipient = config.text("2bounce_notice_recipient")

    # -- who is told ------------------------------------------------------------------------------------------------

    async def failed(self, envelope: Envelope, content: Content | None, results: Results) -> None:
        """Report recipients that will not get the mail.

        Raises:
            SpoolError: the notification could not be stored: the recipients must not count as done.
        """
        if envelope.sender == self._double_bounce:
            # The end of the line: who cannot be told that nobody could be told (RFC 5321 §6.1).
            self._log.warning(f"{envelope.queue_id}: undeliverable postmaster notification discarded")
        elif not envelope.sender:
            if self._has_2bounce:
                await self._tell_postmaster(Notice.FAILURE, self._2bounce_recipient, envelope, content, results)
        else:
            await self._tell_sender(Notice.FAILURE, "FAILURE", envelope, content, results)
            await self._copy_postmaster(Notice.FAILURE, envelope, content, results)

    async def delayed(self, envelope: Envelope, content: Content | None, results: Results) -> None:
        """Report recipients whose mail is late.

        Raises:
            SpoolError: the notification could not be stored.
        """
        if envelope.sender and envelope.sender != self._double_bounce:
            await self._tell_sender(Notice.DELAY, "DELAY", envelope, content, results)
            await self._copy_postmaster(Notice.DELAY, envelope, content, results)

    async def delivered(self, envelope: Envelope, content: Content | None, results: Results) -> None:
        """Report recipients that got the mail, or were aliases, and whose sender asked to hear so.

        Raises:
            SpoolError: the notification could not be stored.
        """
        if envelope.sender and envelope.sender != self._double_bounce:
            await self._tell_sender(Notice.SUCCESS, "SUCCESS", envelope, content, results)

    async def _tell_sender(
        self, notice: Notice, word: str, envelope: Envelope, content: Content | None, results: Results
    ) -> None:
        # NOTIFY not given: failures and delays are reported, success is not (RFC 3461 §4.1).
        told = [
            (r, status) for r, status in results if (word in r.notify if r.notify else notice is not Notice.SUCCESS)
        ]
        if not told:
            return
        recipient = Recipient(envelope.sender)
        queue_id = await self._send(notice, recipient, envelope, content, told, is_copy=False)
        self._log.info(f"{envelope.queue_id}: sender {notice.value}: {queue_id}")

    async def _copy_postmaster(
        self, notice: Notice, envelope: Envelope, content: Content | None, results: Results
    ) -> None:
        """The postmaster's copy, if wanted. The sender has been told: losing the copy must not tell them twice."""
        if not self._copies[notice]:
            return
        try:
            await self._tell_postmaster(notice, self._notice_recipients[notice], envelope, content, results)
        except SpoolError as exc:
            self._log.warning(f"{envelope.queue_id}: postmaster {notice.value} lost: {exc}")

    async def _tell_postmaster(
        self, notice: Notice, to: str, envelope: Envelope, content: Content | None, results: Results
    ) -> None:
        address = Address.of(to)
        recipient = Recipient(address if address.domain else Address(address.local, self._origin), original=to)
        queue_id = await self._send(notice, recipient, envelope, content, results, is_copy=True)
        self._log.info(f"{envelope.queue_id}: postmaster {notice.value}: {queue_id}")

    # -- what they are told -----------------------------------------------------------------------------------------

    async def _send(
        self,
        notice: Notice,
        recipient: Recipient,
        envelope: Envelope,
        content: Content | None,
        results: Results,
        *,
        is_copy: bool,
    ) -> str:
        """Build one notification and make it durable; returns its queue ID."""
        now = self._clock()
        queue_id = self._next_queue_id(now)
        is_utf8 = envelope.is_smtputf8
        may_return_all = notice is Notice.FAILURE and envelope.ret != "HDRS" and not is_copy
        returned = await self._returned(envelope, content, may_return_all=may_return_all)
        words = self._texts[notice]
        text = "" if is_copy else words.text
        text += "\r\n".join(_paragraph(r, status) for r, status in results)
        mime_head, body = multipart_report(
            text,
            self._report(notice, envelope, results),
            returned,
            boundary=f"{envelope.queue_id}.{int(now)}/{self._host[:30]}",
            is_utf8=is_utf8,
            charset="us-ascii" if is_copy else words.charset,
        )
        message_id = f"<{time.strftime('%Y%m%d%H%M%S', time.gmtime(now))}.{queue_id}@{self._host}>"
        fields = {
            "From": words.sender,
            "Subject": words.postmaster_subject if is_copy else words.subject,
            "To": recipient.address.quoted,
            "Auto-Submitted": "auto-replied",
            "Message-ID": message_id,
        }
        head = self._head(fields, queue_id, now, is_utf8=is_utf8) + mime_head
        notification = Content(head, body)
        self._cleanup.info(f"{queue_id}: message-id={message_id}")
        await self._submitter.submit(
            Envelope(
                queue_id=queue_id,
                sender=self._double_bounce if is_copy else Address.NULL,
                recipients=[recipient],
                arrival=now,
                size_bytes=notification.size_bytes,
                client=ClientInfo(name="localhost", address="127.0.0.1", source="LOCAL"),
                encoding="7BIT" if body.isascii() and head.isascii() else "8BITMIME",
                # Only needed for what is in it: an ASCII report must reach a host without the extension.
                is_smtputf8=is_utf8 and not (head.isascii() and str(recipient.address).isascii()),
                has_long_lines=envelope.has_long_lines and not (returned is None or returned.is_headers_only),
                message_id=message_id,
                trace=envelope.trace,
                origin="bounce",
            ),
            notification,
        )
        return queue_id

    def _head(self, fields: dict[str, str], queue_id: str, now: float, *, is_utf8: bool) -> bytes:
        lines = (
            f"Received: by {self._host} ({self._mail_name})",
            f"\tid {queue_id}; {_date(now)}",
            f"Date: {_date(now)}",
            *(f"{name}: {value}" for name, value in fields.items()),
        )
        return "".join(f"{line}\r\n" for line in lines).encode("utf-8" if is_utf8 else "ascii", "replace")

    def _report(self, notice: Notice, envelope: Envelope, results: Results) -> Report:
        until = _date(envelope.arrival + self._lifetime_s) if notice is Notice.DELAY else ""
        return Report(
            reporting_mta=self._host,
            arrival=_date(envelope.arrival),
            recipients=tuple(_recipient_report(notice, r, status, until) for r, status in results),
            envid=envelope.envid,
            queue_id=envelope.queue_id,
            sender=envelope.sender.quoted,
        )

    async def _returned(self, envelope: Envelope, content: Content | None, *, may_return_all: bool) -> Returned | None:
        """The third part: the whole message if it is wanted and within ``bounce_size_limit``, else its header."""
        if content is None:
            return None
        kind = "utf-8" if envelope.is_smtputf8 else "ascii"
        head = f"Return-Path: <{envelope.sender.quoted}>\r\n".encode(kind, "replace") + content.head
        if may_return_all and content.size_bytes <= self._size_limit:
            body = content.body
            if isinstance(body, BodyFile):
                try:
                    body = await asyncio.to_thread(self._read, body)
                except OSError as exc:
                    self._log.warning(f"{envelope.queue_id}: cannot return the body: {exc.strerror}")
                    return Returned(head[: self._size_limit], is_headers_only=True)
            return Returned(head + content.separator + body)
        return Returned(head[: head.rfind(b"\n", 0, self._size_limit) + 1], is_headers_only=True)

    def _read(self, body: BodyFile) -> bytes:
        with open(os.path.join(self._spool_directory, body.path), "rb") as file:
            file.seek(body.offset)
            return file.read(body.size_bytes)


def _date(timestamp: float) -> str:
    local = time.localtime(timestamp)
    return date_time(timestamp, local.tm_gmtoff, local.tm_zone)


def _original(recipient: Recipient) -> str:
    """The address the sender used, when it is not the one reported on."""
    return recipient.original if recipient.original != str(recipient.address) else ""


def _paragraph(recipient: Recipient, status: Status) -> str:
    return recipient_text(recipient.address.quoted, _original(recipient), status.text or "delivery failed")


def _recipient_report(notice: Notice, recipient: Recipient, status: Status, until: str) -> RecipientReport:
    host = status.relay.partition("[")[0] if status.remote_reply else ""
    return RecipientReport(
        address=recipient.address.quoted,
        action=_action(notice, status),
        status=status.dsn,
        # RFC 3464 §2.3.1: only when the sender gave ORCPT, or the address was changed on the way
        original=recipient.orcpt or (f"rfc822;{_original(recipient)}" if _original(recipient) else ""),
        remote_mta=host,
        diagnostic=(status.remote_reply or status.text).replace("\n", " "),
        is_remote=bool(status.remote_reply),
        will_retry_until=until,
    )


def _action(notice: Notice, status: Status) -> ReportAction:
    if notice is Notice.DELAY:
        return ReportAction.DELAYED
    if status.outcome is Outcome.EXPANDED:
        return ReportAction.EXPANDED
    if status.outcome is Outcome.SENT:
        # A next hop that took it over reports on from there; without one the mail has arrived (RFC 3464 §2.3.3).
        return ReportAction.DELIVERED if status.relay == "none" else ReportAction.RELAYED
    return ReportAction.FAILED
