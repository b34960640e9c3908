"""The message of one SMTP transaction, from DATA to the spool: octets, envelope, the ``data`` stage, cleanup."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gateway.cleanup import Collector, Draft
from gateway.hooks import Message
from gateway.model.edits import Edit
from gateway.model.envelope import ClientInfo, Envelope
from gateway.model.errors import SpoolError
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.proto import smtp_events as ev
from gateway.server.service import SmtpdService


class Intake:
    """Collects one message and hands it over.

    Args:
        service: of the listener.
        session: with a complete envelope and a queue ID.
        mail: the MAIL command of the transaction.
        note: told (stage, verdict) of each action that a plugin notes.
    """

    __slots__ = ("_collector", "_error", "_mail", "_note", "_service", "_session")

    def __init__(
        self, service: SmtpdService, session: Session, mail: ev.Mail, note: Callable[[str, Verdict], None]
    ) -> None:
        queue_id = session.queue_id
        self._service, self._session, self._mail, self._note = service, session, mail, note
        self._collector: Collector | None = Collector(service.memory_limit, lambda: service.open_sink(queue_id))
        self._error: SpoolError | None = None

    def feed(self, data: bytes) -> None:
        """Take octets; a failure of the disk is remembered until the end of the message."""
        if self._collector is not None:
            try:
                self._collector.feed(data)
            except SpoolError as exc:
                self._error = exc
                self.abort()

    def abort(self) -> None:
        """Forget the message, its file included, unless the spool has it."""
        if self._collector is not None:
            self._collector.abort()
            self._collector = None

    async def finish(self, event: ev.BodyEnd) -> Verdict | None:
        """The last octet is here: judge, change, store.

        Returns:
            The refusal; None or DISCARD when the client gets its 250.

        Raises:
            SpoolError: nothing was stored, or nobody knows (SpoolUnavailable).
        """
        collector = self._collector
        if collector is None:
            raise self._error or SpoolError("content was lost")
        content = collector.finish_in_memory()
        if content is None:
            content = await collector.finish()
        draft = Draft(self._envelope(event), content)
        verdict = await self._judge(draft)
        if verdict is not None and (verdict.is_refusal or verdict.action is Action.DISCARD):
            return verdict
        # From here on the spool may own the body file, even when its answer is lost with the connection.
        self._collector = None
        try:
            verdict = await self._queue(draft)
        except BaseException as exc:
            if not draft.may_be_stored(exc):
                collector.abort()
            raise
        if verdict is not None:
            collector.abort()
        return verdict

    async def _judge(self, draft: Draft) -> Verdict | None:
        """The ``data`` stage."""
        chain = self._service.chains["data"]
        if not chain:
            return None
        session = self._session
        message = Message(draft.content, self._service.cleanup.open_body)

        def take(edits: Sequence[Edit]) -> None:
            draft.apply(edits)
            message.show(draft.content)

        def note(verdict: Verdict) -> None:
            self._note("data", verdict)

        verdict = await chain.run((session, message), session=session, ledger=session.ledger, note=note, take=take)
        if verdict is not None and verdict.action is Action.DISCARD:
            note(verdict)
        return verdict

    async def _queue(self, draft: Draft) -> Verdict | None:
        service, session, forward = self._service, self._session, self._session.forward
        if forward is not None and forward.source:
            is_local = forward.source == "LOCAL"
        elif is_local := await service.local_clients.matches(session):
            draft.envelope.client = replace(draft.envelope.client, source="LOCAL")
        return await service.cleanup.queue(
            draft,
            actions=[*session.connection_actions, *session.actions],
            session=session,
            protocol=session.protocol,
            is_local=is_local,
        )

    def _envelope(self, event: ev.BodyEnd) -> Envelope:
        session, mail, client = self._session, self._mail, self._session.client
        return Envelope(
            queue_id=session.queue_id,
            sender=mail.address,
            recipients=session.recipients,
            arrival=self._service.clock(),
            size_bytes=event.size_bytes,
            client=ClientInfo(client.name, client.address, client.port, session.helo, session.protocol),
            encoding=mail.encoding or ("8BITMIME" if event.is_8bit else ""),
            is_smtputf8=mail.is_smtputf8,
            ret=mail.ret,
            envid=mail.envid,
            has_long_lines=event.has_long_lines,
            forward=session.forward,
        )
