"""The policy side of one SMTP connection: events in, replies out.

Each question of the session passes its restriction list first and the plugins of its stage second; the rest follows
from the answer. Nothing here touches the wire. After every end of a transaction, however it came,
``Session.reset`` forgets all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from gateway.hooks.chain import call_observer
from gateway.model.envelope import ClientInfo, Recipient
from gateway.model.errors import SpoolError, SpoolFull
from gateway.model.reply import Reply
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.proto import smtp_events as ev
from gateway.server import reports
from gateway.server.client_name import identify, safe_helo, told_client
from gateway.server.intake import Intake
from gateway.server.service import SmtpdService

OK = Reply(250, "Ok", "2.0.0")
MAIL_OK = Reply(250, "Ok", "2.1.0")
RCPT_OK = Reply(250, "Ok", "2.1.5")
DATA_OK = Reply(354, "End data with <CR><LF>.<CR><LF>")
UNKNOWN_COMMAND = Reply(500, "Error: command not recognized", "5.5.2")
SPOOL_FULL = Reply(452, "Insufficient system storage", "4.3.1")
Answer = Reply | Coroutine[Any, Any, Reply]
SPOOL_ERROR = Reply(451, "Error: queue file write error", "4.3.0")


class Conversation:
    """One client, from connect to disconnect.

    Args:
        service: what all sessions of the listener share.
        session: what policy sees.
    """

    __slots__ = ("_counted_as", "_helo_notes", "_intake", "_mail", "is_counted", "service", "session")

    def __init__(self, service: SmtpdService, session: Session) -> None:
        self.service, self.session = service, session
        self.is_counted, self._counted_as = False, ""  # XCLIENT may change the address in between
        self._helo_notes: list[Verdict] = []  # of plugins; the engine knows its own
        self._intake: Intake | None = None
        self._mail: ev.Mail | None = None

    # --- connection --------------------------------------------------------------------------------------------------

    async def greet(self) -> Reply:
        """Name the client, count it, judge it; the reply is the banner or a refusal."""
        service, session = self.service, self.session
        given = session.client
        session.client = await identify(given.address, given.port, service.resolver, service.hosts)
        service.log.info(f"connect from {session.client.label}")
        if not await service.trusted_clients.matches(session.client.name, session.client.address):
            self.is_counted = True
            client = session.client
            self._counted_as = client.address
            if excess := service.limits.connected(client.address):
                service.log.warning(f"{excess} from {client.label} for service {service.name}")
                text = f"{service.hostname} Error: too many connections from {client.address}"
                return Reply(421, text, "4.7.0", close=True)
        return await self._judge_connection()

    async def _judge_connection(self) -> Reply:
        if "connect" in self.service.asked:
            verdict = await self._judge("connect", (self.session,))
            if verdict is not None and verdict.is_refusal:
                return self._refuse("CONNECT", verdict, 554)
        return self.service.banner

    def lost(self, summary: str) -> None:
        """The connection is gone: tell observers, let go of everything.

        Args:
            summary: commands of the connection, as the "disconnect from" line ends.
        """
        self._end_transaction()
        self._observe("disconnect")
        if self.is_counted:
            self.service.limits.disconnected(self._counted_as)
        self.service.log.info(f"disconnect from {self.session.client.label} {summary}")

    # --- content -----------------------------------------------------------------------------------------------------

    def take_content(self, data: bytes) -> None:
        """Octets of the message."""
        if self._intake is not None:
            self._intake.feed(data)

    # --- notices -----------------------------------------------------------------------------------------------------

    def notice(self, event: ev.Notice) -> None:
        """Hear what the session has answered by itself."""
        match event:
            case ev.Reset():
                self._end_transaction()
            case ev.Refused():
                self._refused(event)
            case ev.EarlyInput(verb=verb, data=data):
                self.session.had_pipelining_violation = True
                self.service.log.info(
                    f"improper command pipelining after {verb} from {self.session.client.label}: {data}"
                )

    def _refused(self, event: ev.Refused) -> None:
        reply, session = event.reply, self.session
        if event.verb in reports.LOGGED_VERBS:
            self.service.log.info(reports.reject_line(session, event.verb, reply))
        if event.ends_transaction:
            self._end_transaction()

    # --- questions ---------------------------------------------------------------------------------------------------

    def answer(self, event: ev.Question) -> Answer:
        """Judge one event: the reply for the session, or a coroutine that gives it where somebody has to be asked."""
        return _ANSWERS[type(event)](self, event)

    def _hello(self, event: ev.Hello) -> Answer:
        if "helo" in self.service.asked:
            return self._judged_hello(event)
        self._end_transaction()
        session = self.session
        session.helo, session.is_esmtp = safe_helo(event.name), event.is_esmtp
        session.protocol = "ESMTP" if event.is_esmtp else "SMTP"
        return self.service.hello_reply

    async def _judged_hello(self, event: ev.Hello) -> Reply:
        verb = "EHLO" if event.is_esmtp else "HELO"
        session = self.session
        previous = session.helo, session.is_esmtp
        session.helo, session.is_esmtp = safe_helo(event.name), event.is_esmtp
        noted, sender = list(session.connection_actions), session.sender
        session.sender = None  # what is noted now belongs to the connection, not to the mail that this may end
        try:
            verdict = await self._judge_hello(event.name)
        finally:
            session.sender = sender
        if verdict is not None and verdict.is_refusal:
            # A refused HELO changes nothing (RFC 5321 §4.1.1.1), not even a transaction that is under way.
            reply = self._refuse(verb, verdict)
            session.helo, session.is_esmtp = previous
            session.connection_actions[:] = noted
            return reply
        self._end_transaction()
        session.protocol = "ESMTP" if event.is_esmtp else "SMTP"  # not before it is accepted, as in Postfix's log
        return self.service.hello_reply

    async def _judge_hello(self, name: str) -> Verdict | None:
        """Ask restrictions and plugins; what an earlier HELO noted is forgotten, however many there are."""
        session = self.session
        session.ledger[:] = [entry for entry in session.ledger if entry.stage != "helo"]
        for noted in self._helo_notes:
            if noted in session.connection_actions:
                session.connection_actions.remove(noted)
        verdict = await self._restrict("helo")
        already = len(session.connection_actions)
        if verdict is None and self.service.chains["helo"]:
            verdict = await self._ask_plugins("helo", (session, name))
        self._helo_notes = session.connection_actions[already:]
        return verdict

    def _mail_from(self, event: ev.Mail) -> Answer:
        service, session = self.service, self.session
        if self.is_counted and not service.limits.message(session.client.address):
            reply = Reply(450, "Error: too much mail from " + session.client.address, "4.7.1")
            return self._logged("MAIL", reply)
        if not service.has_room(event.size):
            return self._logged("MAIL", SPOOL_FULL)
        session.sender, session.mail_params, session.size_bytes = event.address, event.params, event.size
        if "mail" in service.asked:
            return self._judged_mail(event)
        self._mail = event
        return MAIL_OK

    async def _judged_mail(self, event: ev.Mail) -> Reply:
        verdict = await self._judge("mail", (self.session, event.address, event.params))
        if verdict is not None and verdict.is_refusal:
            reply = self._refuse("MAIL", verdict)
            self._end_transaction()
            return reply
        self._mail = event
        return MAIL_OK

    async def _rcpt_to(self, event: ev.Rcpt) -> Reply:
        service, session = self.service, self.session
        if self.is_counted and not service.limits.recipient(session.client.address):
            reply = Reply(450, "Error: too many recipients from " + session.client.address, "4.7.1")
            return self._logged("RCPT", reply)
        session.recipient, session.rcpt_params = event.address, event.params
        try:
            verdict = await self._judge("rcpt", (session, event.address, event.params), str(event.address))
            if verdict is not None and verdict.is_refusal:
                return self._refuse("RCPT", verdict)
        finally:
            session.recipient, session.rcpt_params = None, {}
        if not session.queue_id:
            session.queue_id = service.next_queue_id(service.clock())
            service.log.info(reports.client_line(session))
        session.recipients.append(Recipient(event.address, orcpt=event.orcpt, notify=event.notify))
        session.rcpt_count += 1
        return RCPT_OK

    def _data(self, event: ev.DataBegin) -> Answer:
        return self._judged_data(event) if "predata" in self.service.asked else self._begin_message()

    async def _judged_data(self, event: ev.DataBegin) -> Reply:
        verdict = await self._judge("predata", (self.session,))
        if verdict is None or not verdict.is_refusal:
            return self._begin_message()
        reply = self._refuse("BDAT" if event.is_bdat else "DATA", verdict)
        if event.is_bdat:
            self._end_transaction()
        return reply

    def _begin_message(self) -> Reply:
        assert self._mail is not None
        self._intake = Intake(self.service, self.session, self._mail, self._note)
        return DATA_OK

    async def _end_of_data(self, event: ev.BodyEnd) -> Reply:
        try:
            reply = await self._queue(event)
        finally:
            # After a refused end of data nothing of the transaction may remain (RFC 5321 §4.1.1.4).
            self._end_transaction()
        return reply

    async def _queue(self, event: ev.BodyEnd) -> Reply:
        session, intake = self.session, self._intake
        assert intake is not None
        session.size_bytes = event.size_bytes
        try:
            verdict = await self._restrict("data")
            if verdict is None:
                verdict = await intake.finish(event)
        except SpoolError as exc:
            self.service.log.warning(f"{session.queue_id}: {exc}")
            return self._logged("END-OF-MESSAGE", SPOOL_FULL if isinstance(exc, SpoolFull) else SPOOL_ERROR)
        if verdict is not None and verdict.is_refusal:
            return self._refuse("END-OF-MESSAGE", verdict)
        return Reply(250, f"Ok: queued as {session.queue_id}", "2.0.0")

    async def _verify(self, event: ev.Verify) -> Reply:
        """VRFY goes the way of RCPT, without joining an envelope (RFC 5321 §3.5.3: 252 when unsure)."""
        session = self.session
        session.recipient, session.command = event.address, "VRFY"
        try:
            verdict = await self._restrict("rcpt")
        finally:
            session.recipient, session.command = None, ""
        if verdict is not None and verdict.is_refusal:
            return self._refuse("VRFY", verdict)
        return Reply(252, event.argument, "2.0.0")

    async def _unknown(self, event: ev.Unknown) -> Reply:
        self._observe("unknown", event.verb, event.line)
        return UNKNOWN_COMMAND

    async def _xclient(self, event: ev.Xclient) -> Reply:
        """Become another client: a new connection for every rule (XCLIENT_README)."""
        session, given = self.session, event.attributes
        session.client = told_client(session.client, given)
        session.helo = safe_helo(given.get("HELO") or "")
        session.protocol = given.get("PROTO") or "SMTP"
        if "DESTADDR" in given:
            session.server_address = given["DESTADDR"] or ""
        if "DESTPORT" in given:
            session.server_port = given["DESTPORT"] or ""
        session.sasl_username = given.get("LOGIN") or ""
        self._end_transaction()
        session.connection_actions.clear()
        session.command = "XCLIENT"
        try:
            return await self._judge_connection()
        finally:
            session.command = ""

    async def _xforward(self, event: ev.Xforward) -> Reply:
        """Remember where the mail came from before the filter, for logs and the next hop (XFORWARD_README)."""
        given, old = event.attributes, self.session.forward or ClientInfo(name="", source="")

        def value(key: str, before: str, missing: str) -> str:
            return (given[key] or missing) if key in given else before

        self.session.forward = ClientInfo(
            name=value("NAME", old.name, "unknown"), address=value("ADDR", old.address, "unknown"),
            port=value("PORT", old.port, "unknown"), helo=value("HELO", old.helo, ""),
            protocol=value("PROTO", old.protocol, ""), ident=value("IDENT", old.ident, ""),
            source=value("SOURCE", old.source, ""),
        )  # fmt: skip
        return OK

    # --- what every answer needs -------------------------------------------------------------------------------------

    async def _judge(self, stage: str, arguments: tuple[Any, ...], recipient: str = "") -> Verdict | None:
        """The restriction list of a stage first, then its plugins: the first refusal, or what ends the stage."""
        verdict = await self._restrict(stage)
        if verdict is None and self.service.chains[stage]:
            verdict = await self._ask_plugins(stage, arguments, recipient)
        return verdict

    async def _restrict(self, stage: str) -> Verdict | None:
        """Evaluate the restriction list of a stage, and show its ledger entries to the ``verdict`` observers."""
        judge = self.service.judges[stage]
        if judge is None:
            return None
        session, observers = self.session, self.service.observers["verdict"]
        if not observers:
            return await judge(session)
        seen = len(session.ledger)
        verdict = await judge(session)
        for entry in session.ledger[seen:]:
            for plugin, function in observers:
                call_observer(self.service.runtime, plugin, "verdict", function, (session, entry))
        return verdict

    async def _ask_plugins(self, stage: str, arguments: tuple[Any, ...], recipient: str = "") -> Verdict | None:
        chain, session = self.service.chains[stage], self.session

        def note(verdict: Verdict) -> None:
            self._note(stage, verdict)

        verdict = await chain.run(arguments, session=session, ledger=session.ledger, note=note, recipient=recipient)
        if verdict is not None and verdict.action is Action.DISCARD:
            self._note(stage, verdict)
        return verdict

    def _note(self, stage: str, verdict: Verdict) -> None:
        """Keep a plugin's action for the end of the message; the engine of restrictions keeps its own."""
        session = self.session
        noted = session.connection_actions if session.sender is None else session.actions
        noted.append(verdict)
        self.service.log.info(reports.noted_line(session, stage, verdict))

    def _refuse(self, stage: str, verdict: Verdict, default_code: int = 554) -> Reply:
        """Turn a refusal into a reply, and log it."""
        code = verdict.code or (default_code if verdict.action is Action.REJECT else 450)
        enhanced = verdict.enhanced or f"{code // 100}.7.1"
        if self.service.soft_bounce and code >= 500:
            code, enhanced = code - 100, "4" + enhanced[1:]
        close = verdict.close or code in (421, 521)
        return self._logged(stage, Reply(code, verdict.text or "Access denied", enhanced, close), verdict.reason)

    def _logged(self, stage: str, reply: Reply, reason: str = "") -> Reply:
        self.service.log.info(reports.reject_line(self.session, stage, reply))
        if reason:
            self.service.log.debug(f"{self.session.queue_id or 'NOQUEUE'}: reason: {reason}")
        return reply

    def _observe(self, hook: str, *arguments: object) -> None:
        for plugin, function in self.service.observers[hook]:
            call_observer(self.service.runtime, plugin, hook, function, (self.session, *arguments))

    def _end_transaction(self) -> None:
        session = self.session
        if session.sender is not None:
            if self.service.observers["reset"]:
                self._observe("reset")
            session.reset()
            del session.ledger[:]
        session.forward = None
        if self._intake is not None:
            self._intake.abort()
            self._intake = None
        self._mail = None


_ANSWERS: dict[type[Any], Callable[[Conversation, Any], Answer]] = {
    ev.Hello: Conversation._hello,
    ev.Mail: Conversation._mail_from,
    ev.Rcpt: Conversation._rcpt_to,
    ev.DataBegin: Conversation._data,
    ev.BodyEnd: Conversation._end_of_data,
    ev.Verify: Conversation._verify,
    ev.Unknown: Conversation._unknown,
    ev.Xclient: Conversation._xclient,
    ev.Xforward: Conversation._xforward,
}
