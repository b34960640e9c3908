"""The client's side of one SMTP or LMTP connection, without any I/O.

Owns what may be sent when, which reply belongs to which command, and what the conversation's state is after a reply.
Never waits, never logs, never decides whether a message is delivered. The shell writes ``data_to_send()``, feeds
``receive_data()``, and takes replies with ``next_event()``.

Two states are kept. ``state`` is what holds if every command under way succeeds: PIPELINING needs it, to allow RCPT
before MAIL was answered. ``_settled`` follows the replies. When the last reply is in, the settled state is the state:
a refused MAIL has rolled back the RCPT and DATA that were sent after it, without a rule for each mixture.

Replies are matched to commands by order alone (RFC 2920 §3.1). A 421 answers everything that is still under way,
because the server hangs up (RFC 5321 §3.8). Source: RFC 5321 §3, §4.1.1; RFC 2920; RFC 2033 (LMTP).
STARTTLS belongs between HELLO and IDLE: a row of :data:`RULES` that goes back to HELLO and drops the capabilities.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from gateway.model.errors import LocalProtocolError, RemoteProtocolError
from gateway.proto.capabilities import Capabilities
from gateway.proto.server_reply import ServerReply
from gateway.proto.smtp_client_reply import ReplyReader


class ClientState(Enum):
    """Where the conversation is."""

    GREETING = "waiting for the greeting"
    HELLO = "greeted, not introduced"
    IDLE = "between transactions"
    MAIL = "sender given"
    RCPT = "recipient given"
    BODY = "server waits for content"
    CLOSED = "over"

    __hash__ = object.__hash__  # Enum's own is Python code, and tables are asked several times a command


class Verb(Enum):
    """What a reply may answer. The value is the command; two of them are no command of their own."""

    CONNECT = b""
    EHLO = b"EHLO"
    HELO = b"HELO"
    LHLO = b"LHLO"
    XFORWARD = b"XFORWARD"
    MAIL = b"MAIL"
    RCPT = b"RCPT"
    DATA = b"DATA"
    END = b"."
    RSET = b"RSET"
    QUIT = b"QUIT"

    __hash__ = object.__hash__


class Rule(NamedTuple):
    """One row: where the verb is legal, the state after success, the state after failure (None: stays)."""

    states: frozenset[ClientState]
    then: ClientState
    failed: ClientState | None


_S = ClientState
RULES: dict[Verb, Rule] = {
    Verb.CONNECT: Rule(frozenset(), _S.HELLO, _S.CLOSED),
    Verb.EHLO: Rule(frozenset({_S.HELLO, _S.IDLE}), _S.IDLE, _S.HELLO),
    Verb.HELO: Rule(frozenset({_S.HELLO, _S.IDLE}), _S.IDLE, _S.HELLO),
    Verb.LHLO: Rule(frozenset({_S.HELLO, _S.IDLE}), _S.IDLE, _S.HELLO),
    Verb.XFORWARD: Rule(frozenset({_S.IDLE}), _S.IDLE, None),
    Verb.MAIL: Rule(frozenset({_S.IDLE}), _S.MAIL, _S.IDLE),
    Verb.RCPT: Rule(frozenset({_S.MAIL, _S.RCPT}), _S.RCPT, None),
    Verb.DATA: Rule(frozenset({_S.RCPT}), _S.BODY, None),
    Verb.END: Rule(frozenset({_S.BODY}), _S.IDLE, _S.IDLE),
    Verb.RSET: Rule(frozenset({_S.IDLE, _S.MAIL, _S.RCPT}), _S.IDLE, None),
    Verb.QUIT: Rule(frozenset(_S) - {_S.BODY, _S.CLOSED}, _S.CLOSED, _S.CLOSED),
}
_LAST_OF_GROUP = frozenset({Verb.CONNECT, Verb.EHLO, Verb.HELO, Verb.LHLO, Verb.DATA, Verb.QUIT})  # RFC 2920 §3.1


class ClientSession:
    """One connection's conversation.

    Args:
        is_lmtp: LHLO in place of EHLO, and a reply for each accepted recipient after the content (RFC 2033 §4.2).
        discard_keywords: EHLO keywords to overlook, upper-case.
    """

    __slots__ = ("_accepted", "_discard", "_out", "_reader", "_replies", "_settled", "_waiting", "capabilities",
                 "has_sent_end", "is_lmtp", "state")  # fmt: skip

    def __init__(self, *, is_lmtp: bool = False, discard_keywords: Iterable[str] = ()) -> None:
        self.is_lmtp = is_lmtp
        self.state = self._settled = ClientState.GREETING
        self.capabilities = Capabilities()
        self.has_sent_end = False
        self._discard = frozenset(discard_keywords)
        self._reader = ReplyReader()
        self._waiting: deque[Verb] = deque((Verb.CONNECT,))
        self._replies: deque[ServerReply] = deque()
        self._out: list[bytes] = []
        self._accepted = 0

    @property
    def waiting_for(self) -> Verb | None:
        """The verb that the next reply answers; None when every command has its reply."""
        return self._waiting[0] if self._waiting else None

    @property
    def replies_due(self) -> int:
        """Replies that the server still owes."""
        return len(self._waiting)

    @property
    def accepted_recipients(self) -> int:
        """Recipients of the transaction that got a 2xx so far."""
        return self._accepted

    @property
    def may_begin(self) -> bool:
        """True when a new transaction may start at once: nothing under way, nothing left over, nobody hanging up."""
        return self.state is ClientState.IDLE and not self._waiting and not self._reader.is_inside

    def send(self, verb: Verb, argument: bytes = b"") -> None:
        """Queue a command for :meth:`data_to_send`. END is the dot line: content goes before it, by the shell.

        Raises:
            LocalProtocolError: not legal in this state, not legal before the replies under way, or an argument that
                would smuggle a second line. The state is what it was.
        """
        rule = RULES[verb]
        if self.state not in rule.states:
            raise LocalProtocolError(f"{verb.name} while {self.state.value}")
        if self._waiting and (
            self._waiting[-1] in _LAST_OF_GROUP or verb is Verb.END or not self.capabilities.has_pipelining
        ):
            raise LocalProtocolError(f"{verb.name} before the reply to {self._waiting[-1].name}")
        if b"\n" in argument or b"\r" in argument or b"\0" in argument:
            raise LocalProtocolError(f"line break in the argument of {verb.name}")
        self._out.append(b"%b %b\r\n" % (verb.value, argument) if argument else verb.value + b"\r\n")
        self.state = rule.then
        if verb is Verb.END:
            self.has_sent_end = True
            self._waiting.extend([verb] * (self._accepted if self.is_lmtp else 1))
            return
        if verb is Verb.MAIL:
            self._accepted = 0
            self.has_sent_end = False
        self._waiting.append(verb)

    def data_to_send(self) -> bytes:
        """Octets of the commands queued since the last call."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def receive_data(self, data: bytes) -> None:
        """Take octets from the server.

        Raises:
            RemoteProtocolError: they are no replies, or replies to nothing. The session is over.
        """
        if self.state is ClientState.CLOSED and not self._waiting:
            return  # whatever follows 421 or the reply to QUIT
        try:
            for reply in self._reader.feed(data):
                self._take(reply)
        except RemoteProtocolError:
            self.state = ClientState.CLOSED
            raise

    def next_event(self) -> ServerReply | None:
        """The next reply, in the order of the commands; None: more data is needed."""
        return self._replies.popleft() if self._replies else None

    def _take(self, reply: ServerReply) -> None:
        if not self._waiting:
            self._take_unasked(reply)
            return
        verb = self._waiting.popleft()
        rule = RULES[verb]
        is_success = reply.code // 100 == (3 if verb is Verb.DATA else 2)
        if is_success:
            self._settled = rule.then
            if verb is Verb.RCPT:
                self._accepted += 1
            elif verb is Verb.EHLO or verb is Verb.LHLO:
                self.capabilities = Capabilities.of(reply.text[4:].partition("\n")[0], reply.keywords, self._discard)
            elif verb is Verb.HELO:
                self.capabilities = Capabilities(reply.text[4:].partition(" ")[0])
        elif rule.failed is not None:
            self._settled = rule.failed
        self._replies.append(reply)
        if reply.code == 421:
            self._hang_up(reply)
        elif not self._waiting:
            self.state = self._settled

    def _take_unasked(self, reply: ServerReply) -> None:
        """A server may give up while content is on its way, or on an idle connection; nothing else goes unasked."""
        if self.state is ClientState.BODY and reply.code >= 400:
            self._waiting.extend([Verb.END] * (self._accepted if self.is_lmtp else 1))
            self._hang_up(reply)
        elif reply.code == 421:
            self.state = ClientState.CLOSED
        elif self.state is not ClientState.CLOSED:
            raise RemoteProtocolError(f"reply to nothing: {reply.line[:200]}")

    def _hang_up(self, reply: ServerReply) -> None:
        self._replies.extend([reply] * len(self._waiting))
        self._waiting.clear()
        self.state = self._settled = ClientState.CLOSED
