"""The server's side of an SMTP or LMTP connection, without any I/O.

Bytes in (:meth:`ServerSession.receive_data`), events out (:meth:`ServerSession.next_event`), answers in
(:meth:`ServerSession.reply`), bytes out (:meth:`ServerSession.data_to_send`). Wrong syntax and wrong order are refused
here; policy sees only what may be. What is legal when is in :mod:`gateway.proto.smtp_rules`, syntax in
:mod:`gateway.proto.smtp_commands`, content in :mod:`gateway.proto.body_reader`. Never waits, never logs, never looks at
a clock, and never raises for what a client sends. Source: RFC 5321, RFC 2920, RFC 3030, RFC 2033, smtpd(8).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.model.errors import LocalProtocolError
from gateway.model.reply import Reply
from gateway.proto import smtp_commands as commands
from gateway.proto import smtp_events as events
from gateway.proto import smtp_replies as replies
from gateway.proto.smtp_commands import RefusedCommand, text_of
from gateway.proto.smtp_events import PAUSED, Event, Wait
from gateway.proto.smtp_intake import Intake
from gateway.proto.smtp_rules import NOOP, RULES, UNKNOWN, Rule, State
from gateway.proto.smtp_server_base import END_OF_MESSAGE, MAX_BUFFERED, SessionBase

__all__ = ["MAX_BUFFERED", "ServerSession"]


class ServerSession(SessionBase):
    """One connection.

    Call order of a shell: ``greet``; then ``next_event`` until it gives NEED_DATA or PAUSED, then write
    ``data_to_send``. A *question* (:data:`gateway.proto.smtp_events.QUESTIONS`) makes PAUSED of every further call
    until ``reply``. A step that has no event to show gives None inside, and the loop goes on: pipelined octets must not
    become recursion.

    Args and attributes: :class:`~gateway.proto.smtp_server_base.SessionBase`'s.
    """

    __slots__ = ()

    # -- the four calls, and the banner ------------------------------------------------------------------------------

    def greet(self, reply: Reply) -> None:
        """Send the banner. After a 4xx or 5xx one the client may only QUIT; 421 and 521 hang up."""
        if self.state is not State.START:
            raise LocalProtocolError("the banner was sent")
        if self._buffer:
            self._note_early_input("CONNECT", self._buffer)
        self.state = self._home = State.GREETED if reply.code < 400 else State.DENIED
        self._say(reply)

    def next_event(self) -> Event | Wait:
        """The next thing that happened, NEED_DATA, or PAUSED while a question waits for its reply."""
        while True:
            if self._question is not None:
                return PAUSED
            if self._throttle:
                self._throttle += 1
                if self._throttle == 2:
                    return events.Throttle(self.settings.error_sleep_s)
                self._throttle = 0
            if self._early is not None:
                notice, self._early = self._early, None
                return notice
            event = _NEXT[self.state](self)
            if event is not None:
                return event

    def reply(self, reply: Reply) -> None:
        """Answer the question; the state changes here. LMTP's BodyEnd takes one for each recipient.

        Raises: LocalProtocolError when nothing was asked.
        """
        question = self._question
        if question is None:
            raise LocalProtocolError("no question awaits a reply")
        self._question = None
        if reply.code >= 400:
            self.error_count += 1
        _REPLIED.get(type(question), ServerSession._replied)(self, question, reply)

    # -- commands ----------------------------------------------------------------------------------------------------

    def _next_command(self) -> Event | Wait | None:
        settings = self.settings
        if self.error_count >= settings.hard_error_limit:
            refused = self._refuse(replies.too_many_errors(settings.hostname), "")
            self._hangup = events.Hangup(refused.reply, "too many errors")
            return refused
        buffer, pos = self._buffer, self._pos
        if pos >= len(buffer):
            return self._starved()
        end = buffer.find(b"\n", pos)
        if end < 0 or end - pos > settings.line_length_limit or self._overlong_bytes:
            return self._no_line(end)
        is_bare = end == pos or buffer[end - 1] != 13
        line = buffer[pos:end] if is_bare else buffer[pos : end - 1]
        verb, _, argument = line.partition(b" ")
        rule = RULES[settings.is_lmtp].get(verb)
        if rule is None or settings.noop_commands:
            rule, argument = self._find_rule(line)
        if not self.had_pipelining_violation and end + 1 < len(buffer) and (rule.must_be_last or not self.is_esmtp):
            return self._spoke_too_early(rule, buffer[end + 1 :])
        self._pos = end + 1
        return self._run(rule, argument.strip(b" \t"), line, is_bare)

    def _run(self, rule: Rule, argument: bytes, line: bytes, is_bare: bool) -> Event | Wait | None:
        """One command line, by the table."""
        settings = self.settings
        self._rule = rule
        count = self.counts.get(rule.verb)
        if count is None:
            count = self.counts[rule.verb] = [0, 0]
        count[1] += 1
        self._count = count
        if rule.is_junk:
            self._count_junk()
        try:
            if is_bare or b"\r" in line or b"\0" in line or not line.isascii():
                commands.check_line(line, is_bare, settings)
            illegal = rule.illegal.get(self.state)
            if illegal is not None:
                raise RefusedCommand(illegal)
            event = rule.parse(argument, self)
            if self.state is State.DENIED and rule.then is not State.CLOSED:
                raise RefusedCommand(replies.access_denied(self._client_label))
        except RefusedCommand as refused:
            return self._refuse_command(refused.reply, rule, line, argument)
        if rule.answer is not None:
            return self._answer(rule.answer, event)
        if type(event) is events.Bdat:
            return self._begin_chunk(event)
        question: events.Question = event
        self._question = question
        return question

    def _answer(self, answer: Reply, event: events.Reset | events.Noop | events.Quit) -> Event:
        """RSET, NOOP and QUIT: nobody is asked."""
        self._count[0] += 1
        if type(event) is events.Reset:
            self._forget()
        self._say(answer)
        if type(event) is events.Quit:
            self._close(answer)
        return event

    def _find_rule(self, line: bytes) -> tuple[Rule, bytes]:
        """Find a verb in mixed case, before a tab, or among smtpd_noop_commands. UNKNOWN gets the whole line."""
        words = line.split(None, 1)
        name = words[0].upper() if words else b""
        if text_of(name) in self.settings.noop_commands:
            return NOOP, b""
        rule = RULES[self.settings.is_lmtp].get(name, UNKNOWN)
        return rule, line if rule is UNKNOWN else b"".join(words[1:])

    def _no_line(self, end: int) -> Event | Wait:
        """No line ends here, or one that is too long does: its octets are dropped as they come, up to a bound."""
        available = len(self._buffer) - self._pos
        if end < 0 and not self._overlong_bytes and available <= self.settings.line_length_limit:
            return self._starved()
        taken = available if end < 0 else end + 1 - self._pos
        self._overlong_bytes += taken
        self._pos += taken
        if self._overlong_bytes > MAX_BUFFERED:
            return self._refuse(msgspec.structs.replace(replies.LINE_TOO_LONG, close=True), "")
        if end < 0:
            return self._starved()
        self._overlong_bytes = 0
        return self._refuse(replies.LINE_TOO_LONG, "")

    def _spoke_too_early(self, rule: Rule, data: bytes) -> Event | Wait | None:
        """Input behind a command that had to be the last of its group (RFC 2920 §3.1), or without PIPELINING at all.

        The command is still in the buffer: it comes next, unless smtpd_forbid_unauth_pipelining hangs up.
        """
        self._note_early_input(rule.verb, data)
        if self.settings.forbid_unauth_pipelining:
            self._say(replies.UNSYNCHRONIZED)
        return None

    # -- content -----------------------------------------------------------------------------------------------------

    def _begin_chunk(self, bdat: events.Bdat) -> Event | Wait | None:
        intake = self._intake
        if intake is None:
            intake = self._intake = Intake(self.settings, is_bdat=True)
        if not intake.announce(bdat):
            return self._refuse_chunk(replies.CHUNK_TOO_BIG, bdat.size_bytes, ends_transaction=True)
        if self.state is State.RCPT:
            self._question = events.DataBegin(is_bdat=True)
            return self._question
        self.state = State.CHUNK
        return self._next_content()

    def _next_content(self) -> Event | Wait | None:
        """Octets of the message, as many as are here; then its end."""
        intake, start = self._intake, self._pos
        assert intake is not None
        if start >= len(self._buffer) and not intake.reader.is_at_end:
            return self._starved()
        data, rest = intake.reader.feed(self._buffer, start)
        if rest < 0:
            self._buffer, self._pos = b"", 0
        else:
            self._pos = rest
            self.state = State.END
        return events.BodyChunk(data) if data else None

    def _next_end(self) -> Event | Wait | None:
        """The message, or a BDAT chunk that is not its last, is complete."""
        intake = self._intake
        assert intake is not None
        refusal = intake.refusal
        if refusal is not None:
            self._forget()
            return self._refuse(refusal, END_OF_MESSAGE, ends_transaction=True)
        chunk_reply = intake.chunk_reply
        if chunk_reply is not None:
            self.state = State.BDAT
            self._count[0] += 1
            self._say(chunk_reply)
            return None
        self._replies_due = self.recipient_count if self.settings.is_lmtp else 1
        self._question = intake.end_event()
        return self._question

    def _refuse_chunk(self, reply: Reply, size_bytes: int, *, ends_transaction: bool = False) -> Event | Wait:
        """Refuse a BDAT and read over its octets. It ends a transaction even when it began none (RFC 3030 §2)."""
        if ends_transaction:
            self._forget()
        may_go_on = self._skip(size_bytes)
        return self._refuse(
            reply if may_go_on else msgspec.structs.replace(reply, close=True),
            self._rule.verb,
            ends_transaction=ends_transaction,
        )

    # -- refusals ----------------------------------------------------------------------------------------------------

    def _refuse_command(self, reply: Reply, rule: Rule, line: bytes, argument: bytes) -> Event | Wait:
        if self.state is State.DENIED and reply is not replies.NOT_SMTP:
            reply = replies.access_denied(self._client_label)
        if reply is replies.TOO_MANY_RECIPIENTS:
            self._overshoot += 1
            if self._overshoot <= self.settings.recipient_overshoot_limit:
                self.error_count -= 1  # smtpd_recipient_overshoot_limit: these are not errors yet
        if rule.verb == "BDAT" and not reply.close:
            try:
                size_bytes = commands.parse_bdat(argument, self).size_bytes
            except RefusedCommand as refused:
                reply = refused.reply
            else:
                return self._refuse_chunk(reply, size_bytes, ends_transaction=self.state is State.MAIL)
        verb = text_of(line.partition(b" ")[0]).upper() if rule is UNKNOWN else rule.verb
        return self._refuse(reply, verb, text_of(argument))

    # -- replies to questions ----------------------------------------------------------------------------------------

    def _replied(self, question: events.Question, reply: Reply) -> None:
        """Every command without a method of its own below: say it; a positive reply leads where the table says."""
        if reply.code < 400:
            self._count[0] += 1
            then = self._rule.then
            if then is not None:
                self.state = then
        self._say(reply)

    def _replied_mail(self, question: events.Mail, reply: Reply) -> None:
        self.is_smtputf8 = question.is_smtputf8
        self._replied(question, reply)

    def _replied_rcpt(self, question: events.Rcpt, reply: Reply) -> None:
        if reply.code < 400:
            self.recipient_count += 1
        self._replied(question, reply)

    def _replied_hello(self, question: events.Hello, reply: Reply) -> None:
        if reply.code < 400:
            self._home = State.IDLE
            self._forget()
            self.is_esmtp = question.is_esmtp
            if question.is_esmtp:
                reply = Reply(reply.code, "\n".join((reply.text, *self.settings.keywords)), close=reply.close)
        self._replied(question, reply)

    def _replied_xclient(self, question: events.Xclient, reply: Reply) -> None:
        if reply.code < 400:
            self._home = State.GREETED
            self.is_esmtp = False
            self._forget()
        else:
            self.state = State.DENIED  # whoever it is now was refused as by a banner
        self._replied(question, reply)

    def _replied_data(self, question: events.DataBegin, reply: Reply) -> None:
        if reply.code >= 400:
            self._replied(question, reply)
            if question.is_bdat and self.state is not State.CLOSED:
                left = self._intake.chunk_bytes if self._intake else 0
                self._forget()
                self._skip(left)
            return
        if question.is_bdat:
            self.state = State.CHUNK
            return
        self._intake = Intake(self.settings, is_bdat=False)
        self.state = State.DATA
        self._say(replies.GO_AHEAD)

    def _replied_end(self, question: events.BodyEnd, reply: Reply) -> None:
        self._replies_due -= 1
        if self._replies_due > 0:
            self._question = question
        else:
            self._forget()
        if reply.code < 400:
            self._count[0] = min(self._count[0] + 1, self._count[1])
            self.error_count = self._junk_count = 0
        self._say(reply, is_unique=True)  # it names the message


_NEXT: list[Callable[[ServerSession], Event | Wait | None]] = [ServerSession._next_command] * len(State)
_NEXT[State.START] = lambda session: PAUSED
_NEXT[State.DATA] = _NEXT[State.CHUNK] = ServerSession._next_content
_NEXT[State.SKIP] = ServerSession._next_skip
_NEXT[State.END] = ServerSession._next_end
_NEXT[State.CLOSED] = ServerSession._next_hangup

_REPLIED: dict[type[Any], Callable[[ServerSession, Any, Reply], None]] = {
    events.Mail: ServerSession._replied_mail,
    events.Rcpt: ServerSession._replied_rcpt,
    events.Hello: ServerSession._replied_hello,
    events.DataBegin: ServerSession._replied_data,
    events.BodyEnd: ServerSession._replied_end,
    events.Xclient: ServerSession._replied_xclient,
}
