"""What every part of a server session leans on: octets in and out, counts, refusals, the end.

Owns the buffers and their bounds; knows no command. :class:`gateway.proto.smtp_server.ServerSession` is built on it.
Source: smtpd(8); RFC 5321 §3.8.
"""

from __future__ import annotations

from gateway.model.reply import Reply
from gateway.proto import smtp_events as events
from gateway.proto.reply_wire import kept_wire, wire
from gateway.proto.smtp_events import NEED_DATA, Event, Wait
from gateway.proto.smtp_intake import Intake
from gateway.proto.smtp_rules import ROWS, UNKNOWN, State
from gateway.proto.smtp_settings import SmtpdSettings

MAX_BUFFERED = 65536
"""Octets the shell may leave unread here: above them it stops reading (:attr:`ServerSession.may_receive`)."""

_HANGUP_CODES = frozenset({421, 521})  # RFC 5321 §3.8, RFC 7504 §3, access(5)
_SKIP_LIMIT = 10_240_000  # octets of refused chunks a session may make us read when messages have no limit
END_OF_MESSAGE = "END-OF-MESSAGE"
"""The verb of a refusal after the last octet, as Postfix logs it."""

_SUMMARIZED = tuple((row.verb, row.verb.lower()) for row in (*ROWS, UNKNOWN))
_BETWEEN_COMMANDS = frozenset({State.GREETED, State.IDLE, State.MAIL, State.RCPT})


class SessionBase:
    """State of one connection, and its bookkeeping.

    Args:
        settings: limits and switches of this client.
        client_label: ``name[address]``, for the one reply that names the client.

    Attributes:
        state: where the session stands.
        is_esmtp: EHLO or LHLO was accepted.
        had_pipelining_violation: the client spoke before its turn (reject_unauth_pipelining).
        recipient_count: accepted recipients of the transaction.
        error_count: errors since the last accepted message (smtpd_soft_error_limit).
        counts: verb of the table to [accepted, all]; ``UNKNOWN`` for the others.
    """

    __slots__ = (
        "_after_skip", "_buffer", "_client_label", "_count", "_early", "_eof", "_hangup", "_home", "_intake",
        "_junk_count", "_out", "_overlong_bytes", "_overshoot", "_pos", "_question", "_replies_due", "_rule",
        "_skip_left", "_skipped_bytes", "_throttle", "counts", "error_count", "had_pipelining_violation", "is_esmtp",
        "is_smtputf8", "recipient_count", "settings", "state",
    )  # fmt: skip

    def __init__(self, settings: SmtpdSettings, client_label: str = "unknown[unknown]") -> None:
        self.settings, self._client_label = settings, client_label
        self.state = self._home = self._after_skip = State.START
        self.is_esmtp = self.is_smtputf8 = self.had_pipelining_violation = self._eof = False
        self.counts: dict[str, list[int]] = {}
        self._rule, self._count = UNKNOWN, [0, 0]
        self.error_count = self._junk_count = self._overlong_bytes = self._skip_left = self._skipped_bytes = 0
        self.recipient_count = self._overshoot = self._replies_due = 0
        self._buffer, self._pos, self._out = b"", 0, b""
        self._throttle = 0  # 1: a reply is to be held back; 2: the shell was told
        self._question: events.Question | None = None
        self._early: events.EarlyInput | None = None
        self._hangup: events.Hangup | None = None
        self._intake: Intake | None = None

    def receive_data(self, data: bytes) -> None:
        """Take octets from the client. Nothing is looked at before the next ``next_event``."""
        if self._question is not None and type(self._question) is not events.BodyEnd:
            rule = self._rule
            if (rule.must_be_last or not self.is_esmtp) and not self.had_pipelining_violation:
                self._note_early_input(rule.verb, data)
        self._buffer = self._buffer[self._pos :] + data if self._pos < len(self._buffer) else data
        self._pos = 0

    def receive_eof(self) -> None:
        """The client closed its side: what is in the buffer is still served, then comes Hangup."""
        self._eof = True

    def data_to_send(self) -> bytes:
        """Octets for the client; empty while a Throttle is to be waited out."""
        if self._throttle:
            return b""
        out, self._out = self._out, b""
        return out

    def become(self, settings: SmtpdSettings, client_label: str) -> None:
        """The client is another one from now on, with its own rights (XCLIENT); for the shell, before it replies."""
        self.settings, self._client_label = settings, client_label

    def hang_up(self, reply: Reply, reason: str = "") -> None:
        """End the session from outside (timeout, shutdown) with a last reply, typically 421."""
        self._question = None
        self._say(reply)
        self._close(reply, reason)

    # -- what the shell may look at ----------------------------------------------------------------------------------

    @property
    def may_receive(self) -> bool:
        """False when enough is buffered: stop reading until events have consumed it."""
        return len(self._buffer) - self._pos < MAX_BUFFERED

    @property
    def unsent_bytes(self) -> int:
        """Octets that wait in ``data_to_send``."""
        return len(self._out)

    @property
    def is_drained(self) -> bool:
        """Between two commands, nothing left to look at: ``next_event`` would say NEED_DATA. A cheap way to know."""
        return (
            self._pos >= len(self._buffer)
            and self.state in _BETWEEN_COMMANDS
            and not (self.error_count or self._eof or self._early or self._question)
        )

    @property
    def has_helo(self) -> bool:
        """HELO or EHLO was accepted."""
        return self._home is State.IDLE

    @property
    def summary(self) -> str:
        """Commands as the "disconnect from" log line ends: ``ehlo=1 mail=1 rcpt=0/1 commands=2/3``."""
        words = ""
        accepted = total = 0
        for verb, name in _SUMMARIZED:
            count = self.counts.get(verb)
            if count is not None:
                good, every = count
                accepted += good
                total += every
                words += f"{name}={every} " if good == every else f"{name}={good}/{every} "
        return f"{words}commands={total}" if accepted == total else f"{words}commands={accepted}/{total}"

    @property
    def place(self) -> str:
        """Where the client is, as "lost connection after" log lines have it."""
        if self._intake is not None and self._question is None:
            return f"{self._rule.verb} ({self._intake.size_bytes} bytes)"
        if type(self._question) is events.BodyEnd:
            return END_OF_MESSAGE
        return self._rule.verb if self.counts else "CONNECT"

    # -- for the commands ----------------------------------------------------------------------------------------------

    def _starved(self) -> Event | Wait:
        if not self._eof:
            return NEED_DATA
        self.state = State.CLOSED
        self._hangup = events.Hangup(None, "lost connection")
        return self._hangup

    def _note_early_input(self, verb: str, data: bytes) -> None:
        self.had_pipelining_violation = True
        self._early = events.EarlyInput.after(verb, data)

    def _count_junk(self) -> None:
        self._junk_count += 1
        if self._junk_count > self.settings.junk_command_limit + 1:  # as Postfix counts
            self.error_count += 1

    def _refuse(self, reply: Reply, verb: str, argument: str = "", *, ends_transaction: bool = False) -> events.Refused:
        self.error_count += 1
        self._say(reply)
        return events.Refused(reply, verb, argument, ends_transaction)

    def _say(self, reply: Reply, *, is_unique: bool = False) -> None:
        """Queue a reply; 421, 521 and replies that ask for it end the session."""
        self._out += wire(reply) if is_unique else kept_wire(reply)
        if self.error_count > self.settings.soft_error_limit:
            self._throttle = 1
        if reply.close or reply.code in _HANGUP_CODES:
            self._close(reply)

    def _close(self, reply: Reply, reason: str = "") -> None:
        self._forget()
        self._question = None
        self.state = State.CLOSED
        self._hangup = events.Hangup(reply, reason)
        self._buffer, self._pos = b"", 0

    def _next_hangup(self) -> Event:
        assert self._hangup is not None
        return self._hangup

    def _forget(self) -> None:
        """Back to between transactions: nothing of the old one remains (RFC 5321 §4.1.1.5)."""
        self.state = self._home
        self.recipient_count = self._overshoot = self._replies_due = 0
        self.is_smtputf8 = False
        self._intake = None

    def _skip(self, size_bytes: int) -> bool:
        """Read over octets on their way; False when there are more of them now than one message may have."""
        self._skipped_bytes += size_bytes
        self._skip_left, self._after_skip = size_bytes, self.state
        self.state = State.SKIP
        return self._skipped_bytes <= (self.settings.message_size_limit or _SKIP_LIMIT)

    def _next_skip(self) -> Event | Wait | None:
        available = len(self._buffer) - self._pos
        if available < self._skip_left:
            self._skip_left -= available
            self._buffer, self._pos = b"", 0
            return self._starved()
        self._pos += self._skip_left
        self.state = self._after_skip
        return None
