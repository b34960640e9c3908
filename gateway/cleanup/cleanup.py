"""The way of one message from its last octet to the spool.

Order: access(5) actions, envelope completion, address mappings, Received, missing headers, the ``queue`` stage, then
the spool. All of it is applied once and stored; nothing here is repeated at delivery.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import gmtime, strftime, time
from typing import BinaryIO, Protocol

from gateway.cleanup.collector import BodySink
from gateway.cleanup.draft import Draft
from gateway.cleanup.edits import drop_headers, header_line, prepend
from gateway.cleanup.head import examine, truncate_headers
from gateway.cleanup.head_facts import HeadFacts
from gateway.cleanup.header_addresses import header_rewriters
from gateway.cleanup.mappings import Mappings
from gateway.cleanup.received import HeaderDate, received_header, received_local
from gateway.cleanup.recipients import DuplicateFilter
from gateway.cleanup.virtual_aliases import EndlessAlias
from gateway.config import Config
from gateway.config.receive_options import receive_options
from gateway.hooks import Message
from gateway.hooks.chain import Chain
from gateway.maps import Tables
from gateway.maps.rewriting import Rewriting
from gateway.model.address import Address
from gateway.model.content import BodyFile, Content
from gateway.model.delivery import Outcome, Status
from gateway.model.envelope import Envelope, Recipient
from gateway.model.errors import SpoolError, TableError
from gateway.model.ledger import LedgerEntry
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.observe import MailLog
from gateway.spool.body import remove_body

_EXPANDED = Status(Outcome.EXPANDED, "2.0.0", "alias expanded")


class Submitter(Protocol):
    """Where finished messages go: the spool's store, or its client in another process."""

    def submit(self, envelope: Envelope, content: Content) -> Awaitable[None]:
        """Done when the message is on disk. Raises SpoolFull, SpoolUnavailable, SpoolError."""


class Reporter(Protocol):
    """Who tells senders what became of their mail: :class:`gateway.transport.bounce.Bouncer`."""

    def delivered(
        self, envelope: Envelope, content: Content, results: Sequence[tuple[Recipient, Status]]
    ) -> Awaitable[None]:
        """Report success. Raises SpoolError."""


class Cleanup:
    """Finishes messages of one process under one configuration.

    Args:
        config: checked configuration of the service that takes the mail in.
        queue_chain: the ``queue`` stage.
        submitter: the spool.
        log: the process's log.
        open_sink: makes the file for a body that a plugin made too large for memory, by queue ID.
        mapped_by: has the address mappings, :func:`gateway.cleanup.cleanup_row.cleanup_config`; ``config`` by default.
        tables: opens their tables; the service's other tables should be among its own.
        reporter: tells senders who asked for it that an alias was expanded.
        clock: seconds since the epoch.

    Raises:
        ConfigError: a table cannot be opened, or a class of addresses does not exist.
    """

    def __init__(
        self,
        config: Config,
        *,
        queue_chain: Chain,
        submitter: Submitter,
        log: MailLog,
        open_sink: Callable[[str], BodySink],
        mapped_by: Config | None = None,
        tables: Tables | None = None,
        reporter: Reporter | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._chain, self._submitter, self._open_sink, self._clock = queue_chain, submitter, open_sink, clock
        self._reporter, self._log = reporter, log.logger("cleanup")
        self._content_filter = config.text("content_filter")
        self._hostname, self._mail_name = config.text("myhostname"), config.text("mail_name")
        self._origin = config.text("myorigin").lower()
        self._rewriting, self._duplicates = Rewriting(config), DuplicateFilter(config)
        self._daemon = self._rewriting.address(Address("mailer-daemon"))
        mappings = Mappings(
            mapped_by or config, tables or Tables(config), self._rewriting, self._log.warning, receive_options(config)
        )
        self._mappings = mappings if mappings else None
        self._local_headers, self._remote_headers = header_rewriters(config, self._rewriting, self._mappings)
        self._header_limit = config.integer("header_size_limit")
        self._hop_limit = config.integer("hopcount_limit")
        self._memory_limit = config.integer("content_memory_limit")
        self._drop = frozenset(word.lower().encode() for word in config.words("message_drop_headers"))
        self._add_missing = config.boolean("always_add_missing_headers")
        self._directory = config.text("queue_directory")
        self._date = HeaderDate()

    def open_body(self, body: BodyFile) -> BinaryIO:
        """Open a body file for a plugin."""
        file = open(os.path.join(self._directory, body.path), "rb")  # noqa: SIM115  # the caller closes it
        file.seek(body.offset)
        return file

    async def queue(
        self,
        draft: Draft,
        *,
        actions: Sequence[Verdict] = (),
        session: Session | None = None,
        protocol: str = "ESMTP",
        uid: int = -1,
        is_local: bool = False,
        ledger: list[LedgerEntry] | None = None,
    ) -> Verdict | None:
        """Finish one message and make it durable.

        Args:
            draft: envelope and content, ``data`` edits applied.
            actions: noted verdicts (HOLD, PREPEND, FILTER, REDIRECT, BCC, DISCARD) in order.
            session: the SMTP session, None for ``sendmail``.
            protocol: with-protocol of the Received header.
            uid: numeric user of a local submission, -1 for SMTP.
            is_local: the client is a local one (local_header_rewrite_clients): add missing headers, and complete
                addresses in the others.
            ledger: where the ``queue`` stage is written; the session's by default.

        Returns:
            None when the message is on disk, or was discarded; else the refusal.

        Raises:
            SpoolError: nothing was stored (451, 452).
        """
        facts = examine(draft.content.head)
        if facts.hops >= self._hop_limit:  # hopcount_limit
            return Verdict.reject("Error: too many hops", code=554, enhanced="5.4.6", reason=f"{facts.hops} hops")
        envelope = draft.envelope
        envelope.filter = self._content_filter
        # Before anything is mapped: what an alias stands for is nobody's business.
        recipient = envelope.recipients[0].address.quoted if len(envelope.recipients) == 1 else ""
        if actions and self._act(draft, actions):
            self._drop_file(draft)
            return None
        try:
            await self._map(draft, facts, is_local=is_local)
            trace = self._trace(envelope, recipient, protocol, uid)
            self._complete_head(draft, facts, trace, is_local=is_local)
            verdict = None
            if self._chain:
                verdict = await self._judge(draft, session, ledger)
        except (TableError, EndlessAlias) as exc:
            return self._refusal(envelope, exc)
        if verdict is not None and verdict.is_refusal:
            return verdict
        if verdict is not None and verdict.action is Action.DISCARD:
            self._log.info(f"{envelope.queue_id}: discard: {verdict.text or 'queue stage'}")
            self._drop_file(draft)
            return None
        if not envelope.recipients:
            self._log.info(f"{envelope.queue_id}: discard: no recipients left")
            self._drop_file(draft)
            return None
        await self._store(draft)
        return None

    async def _store(self, draft: Draft) -> None:
        envelope, content = draft.envelope, draft.content
        body = content.body
        if isinstance(body, bytes):
            self._drop_file(draft)  # a plugin wrote another body; the file's name may be needed for it
        if isinstance(body, bytes) and len(body) > self._memory_limit:
            sink = self._open_sink(envelope.queue_id)
            sink.write(body)
            content = Content(content.head, await sink.finish(), content.is_headless)
        envelope.size_bytes = content.size_bytes
        self._log.info(f"{envelope.queue_id}: message-id={envelope.message_id}")
        draft.is_handed_over = True
        await self._submitter.submit(envelope, content)
        if draft.expanded and self._reporter is not None:
            results = [(recipient, _EXPANDED) for recipient in draft.expanded]
            try:
                await self._reporter.delivered(envelope, content, results)
            except SpoolError as exc:  # the message is durable: this must not make the client send it again
                self._log.warning(f"{envelope.queue_id}: delivery status notification lost: {exc}")

    def _drop_file(self, draft: Draft) -> None:
        """Remove the file that the body came in: the message is not stored, or not with that body."""
        if draft.has_file:
            with suppress(OSError):  # the spool's sweep takes what is left
                remove_body(self._directory, draft.envelope.queue_id)

    def _refusal(self, envelope: Envelope, failure: TableError | EndlessAlias) -> Verdict:
        """What the client hears of a mapping that failed: nothing is stored, and it may try again."""
        self._log.warning(f"{envelope.queue_id}: {failure} -- message not accepted, try again later")
        if isinstance(failure, EndlessAlias):
            return Verdict.defer("Alias expansion error", code=451, enhanced="4.6.0", reason=str(failure))
        return Verdict.defer("Error: queue file write error", code=451, enhanced="4.3.0", reason=str(failure))

    # --- addresses ---------------------------------------------------------------------------------------------------

    async def _map(self, draft: Draft, facts: HeadFacts, *, is_local: bool) -> None:
        """Rewrite the addresses of a new message: its envelope's, and those headers' that are ours to rewrite."""
        envelope, content, mappings = draft.envelope, draft.content, self._mappings
        self._complete_envelope(envelope)
        if mappings is not None and draft.is_redirected:
            envelope.sender = await mappings.sender(envelope.sender)
        elif mappings is not None:
            draft.expanded = await mappings.map(envelope, draft.added)
        head = self._trimmed(content.head, facts)
        rewriter = self._local_headers if is_local else self._remote_headers
        if rewriter is not None:
            head = rewriter.rewrite(head) if mappings is None else await rewriter.map(head)
        draft.content = Content(head, content.body, content.is_headless)

    def _complete_envelope(self, envelope: Envelope) -> None:
        """Bring the addresses into canonical form, as they were judged (trivial-rewrite(8), local rules)."""
        canonical = self._rewriting.address
        sender = canonical(envelope.sender)
        if sender.local.lower() == self._daemon.local and sender.domain == self._daemon.domain:
            sender = Address.NULL  # who writes as the mail system wants no answer (cleanup(8), as observed)
        envelope.sender = sender
        for recipient in envelope.recipients:
            address = canonical(recipient.address)
            if address is not recipient.address:
                recipient.original = recipient.original or str(recipient.address)
                recipient.address = address
        if len(envelope.recipients) > 1:
            envelope.recipients = self._duplicates.unique(envelope.recipients)

    # --- the queue stage ---------------------------------------------------------------------------------------------

    async def _judge(self, draft: Draft, session: Session | None, ledger: list[LedgerEntry] | None) -> Verdict | None:
        """Ask the stage; addresses that it brought are mapped as those that milters add are."""
        envelope = draft.envelope
        sender, recipients = envelope.sender, list(envelope.recipients)
        verdict = await self._ask(draft, session, session.ledger if session else ledger if ledger is not None else [])
        if verdict is not None and (verdict.is_refusal or verdict.action is Action.DISCARD):
            return verdict
        self._complete_envelope(envelope)
        mappings = self._mappings
        if mappings is not None and draft.is_redirected:
            envelope.sender = await mappings.sender(envelope.sender)
        elif mappings is not None:
            await mappings.map_added(envelope, recipients)
            if envelope.sender != sender:
                await mappings.map_sender(envelope)
        return verdict

    async def _ask(self, draft: Draft, session: Session | None, ledger: list[LedgerEntry]) -> Verdict | None:
        message = Message(draft.content, self.open_body)
        noted: list[Verdict] = []

        def take(edits: Sequence[object]) -> None:
            draft.apply(edits)  # type: ignore[arg-type]  # the chain hands over Edits
            message.show(draft.content)

        verdict = await self._chain.run(
            (draft.envelope, message),
            session=session,
            ledger=ledger,
            note=noted.append,
            queue_id=draft.envelope.queue_id,
            take=take,
        )
        if noted and self._act(draft, noted):
            return Verdict.discard()
        return verdict

    def _act(self, draft: Draft, actions: Sequence[Verdict]) -> bool:
        """Carry out noted actions; True when the message is to be discarded."""
        envelope = draft.envelope
        lines: list[bytes] = []
        for verdict in actions:
            match verdict.action:
                case Action.HOLD:
                    envelope.is_held = True
                case Action.FILTER:
                    envelope.filter = verdict.argument
                case Action.REDIRECT:
                    before = str(envelope.recipients[0].address) if envelope.recipients else ""
                    envelope.recipients = [Recipient(Address.of(verdict.argument), before)]
                    draft.is_redirected = True
                case Action.BCC:
                    envelope.recipients.append(Recipient(Address.of(verdict.argument), notify=("NEVER",)))
                case Action.PREPEND:
                    lines.append(header_line(verdict.argument))
                case Action.DISCARD:
                    return True
        if lines:
            draft.content = prepend(draft.content, *lines)
        return False

    # --- headers -----------------------------------------------------------------------------------------------------

    def _trimmed(self, head: bytes, facts: HeadFacts) -> bytes:
        """The header block without what is too long or not wanted."""
        if len(head) > self._header_limit:
            head = truncate_headers(head, self._header_limit)
        if not self._drop.isdisjoint(facts.names):
            head = drop_headers(head, self._drop)
        return head

    def _trace(self, envelope: Envelope, recipient: str, protocol: str, uid: int) -> bytes:
        """The Received header."""
        date = self._date.text(envelope.arrival)
        hostname, mail_name = self._hostname, self._mail_name
        if uid >= 0:
            return received_local(envelope, hostname=hostname, mail_name=mail_name, uid=uid, date=date)
        return received_header(
            envelope, recipient=recipient, hostname=hostname, mail_name=mail_name, protocol=protocol, date=date
        )

    def _complete_head(self, draft: Draft, facts: HeadFacts, trace: bytes, *, is_local: bool) -> None:
        envelope, content = draft.envelope, draft.content
        envelope.message_id = facts.message_id
        # Postfix completes whatever it rewrites: strangers' mail too, under remote_header_rewrite_domain.
        is_completed = is_local or self._remote_headers is not None or self._add_missing
        missing = self._missing_headers(envelope, facts) if is_completed else b""
        draft.content = Content(trace + content.head + missing, content.body, content.is_headless)

    def _missing_headers(self, envelope: Envelope, facts: HeadFacts) -> bytes:
        """Message-ID, Date and From of a local message, where it has none (RFC 5322 §3.6)."""
        resent = b"resent-" if any(name.startswith(b"resent-") for name in facts.names) else b""
        prefix = "Resent-" if resent else ""
        lines = []
        if resent + b"message-id" not in facts.names:
            moment = strftime("%Y%m%d%H%M%S", gmtime(envelope.arrival))
            stamp = f"{moment}.{envelope.queue_id}@{self._hostname}"
            lines.append(f"{prefix}Message-Id: <{stamp}>")
            envelope.message_id = envelope.message_id or f"<{stamp}>"
        if resent + b"date" not in facts.names:
            lines.append(f"{prefix}Date: {self._date.text(envelope.arrival)}")
        if resent + b"from" not in facts.names:
            sender = envelope.sender.quoted or f"MAILER-DAEMON@{self._origin}"
            lines.append(f"{prefix}From: {sender}")
        return "".join(line + "\r\n" for line in lines).encode("utf-8", "surrogateescape")
