"""The client session against scripted octets: whole, at every byte split, and at every cell of the table."""

from __future__ import annotations

import itertools

import pytest

from gateway.model.errors import LocalProtocolError, RemoteProtocolError
from gateway.proto.server_reply import ServerReply
from gateway.proto.smtp_client import RULES, ClientSession, ClientState, Verb

EHLO_REPLY = b"250-mx.example Hello\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 DSN\r\n"


def drain(session: ClientSession) -> list[ServerReply]:
    return list(iter(session.next_event, None))


def ready(*, is_lmtp: bool = False, keywords: bytes = EHLO_REPLY) -> ClientSession:
    """A session between transactions."""
    session = ClientSession(is_lmtp=is_lmtp)
    session.receive_data(b"220 mx.example ESMTP\r\n")
    session.send(Verb.LHLO if is_lmtp else Verb.EHLO, b"me.example")
    session.receive_data(keywords)
    drain(session)
    session.data_to_send()
    return session


def envelope(session: ClientSession, recipients: int = 2) -> None:
    session.send(Verb.MAIL, b"FROM:<a@b>")
    for at in range(recipients):
        session.send(Verb.RCPT, b"TO:<r%d@c>" % at)
    session.send(Verb.DATA)


def test_greeting_and_hello() -> None:
    session = ClientSession()
    assert session.state is ClientState.GREETING
    assert session.waiting_for is Verb.CONNECT
    session.receive_data(b"220 mx.example ESMTP\r\n")
    assert drain(session) == [ServerReply(220, "220 mx.example ESMTP")]
    assert session.state is ClientState.HELLO
    session.send(Verb.EHLO, b"me.example")
    assert session.data_to_send() == b"EHLO me.example\r\n"
    assert session.data_to_send() == b""
    session.receive_data(EHLO_REPLY)
    assert session.state is ClientState.IDLE
    assert session.may_begin
    assert session.capabilities.name == "mx.example"
    assert session.capabilities.has_pipelining
    assert session.capabilities.size_limit == 1000
    assert not session.capabilities.has_smtputf8


def test_ehlo_refused_then_helo() -> None:
    session = ClientSession()
    session.receive_data(b"220 old\r\n")
    session.send(Verb.EHLO, b"me")
    session.receive_data(b"502 what?\r\n")
    assert session.state is ClientState.HELLO
    session.send(Verb.HELO, b"me")
    session.receive_data(b"250 old.example at your service\r\n")
    assert session.state is ClientState.IDLE
    assert not session.capabilities.is_esmtp
    assert session.capabilities.name == "old.example"


def test_greeting_refused() -> None:
    session = ClientSession()
    session.receive_data(b"554 go away\r\n")
    assert session.state is ClientState.CLOSED
    assert drain(session)[0].code == 554


def test_whole_transaction_pipelined() -> None:
    session = ready()
    envelope(session)
    assert session.data_to_send() == b"MAIL FROM:<a@b>\r\nRCPT TO:<r0@c>\r\nRCPT TO:<r1@c>\r\nDATA\r\n"
    assert session.state is ClientState.BODY
    session.receive_data(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    assert [reply.code for reply in drain(session)] == [250, 250, 250, 354]
    assert session.state is ClientState.BODY
    assert session.accepted_recipients == 2
    session.send(Verb.END)
    assert session.data_to_send() == b".\r\n"
    assert session.has_sent_end
    assert not session.may_begin
    session.receive_data(b"250 2.0.0 queued\r\n")
    assert session.may_begin
    session.send(Verb.MAIL, b"FROM:<>")
    assert not session.has_sent_end


SCRIPTS = {
    "all accepted": (b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", ClientState.BODY, 2),
    "one refused": (b"250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n", ClientState.BODY, 1),
    "all refused, DATA refused": (b"250 ok\r\n550 no\r\n550 no\r\n554 no valid\r\n", ClientState.MAIL, 0),
    "all refused, DATA accepted": (b"250 ok\r\n550 no\r\n550 no\r\n354 go\r\n", ClientState.BODY, 0),
    "sender refused": (b"553 no\r\n503 need mail\r\n503 need mail\r\n503 need rcpt\r\n", ClientState.IDLE, 0),
    "DATA refused": (b"250 ok\r\n250 ok\r\n250 ok\r\n451 later\r\n", ClientState.RCPT, 2),
    "DATA answered with 250": (b"250 ok\r\n250 ok\r\n250 ok\r\n250 eh\r\n", ClientState.RCPT, 2),
    "hang up at once": (b"421 4.3.2 bye\r\n", ClientState.CLOSED, 0),
    "hang up at RCPT": (b"250 ok\r\n250 ok\r\n421 bye\r\n", ClientState.CLOSED, 1),
    "many lines, bare LF": (b"250-a\n250 b\n250-x\r\n250-y\r\n250 z\r\n250 ok\r\n354 go\r\n", ClientState.BODY, 2),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_byte_split_is_the_same(name: str) -> None:
    octets, state, accepted = SCRIPTS[name]
    whole = None
    for cut in range(len(octets) + 1):
        session = ready()
        envelope(session)
        for piece in (octets[:cut], octets[cut:]):
            session.receive_data(piece)
        result = (session.state, session.accepted_recipients, drain(session), session.waiting_for)
        whole = whole or result
        assert result == whole
        assert result[:2] == (state, accepted)
        assert len(result[2]) == 4
        assert result[3] is None
    session = ready()
    envelope(session)
    for octet in octets:
        session.receive_data(bytes((octet,)))
    assert (session.state, session.accepted_recipients, drain(session), session.waiting_for) == whole


@pytest.mark.parametrize(
    "garbage", [b"hello\r\n", b"25\r\n", b"999 x\r\n", b"\r\n", b"25a ok\r\n", b"250ok" + b"x" * 5000, b"150 early\r\n"]
)
def test_garbage_after_a_reply_at_every_split(garbage: bytes) -> None:
    octets = b"250 ok\r\n" + garbage
    for cut in range(0, len(octets), max(1, len(octets) // 40)):
        session = ready()
        envelope(session)
        with pytest.raises(RemoteProtocolError):
            for piece in (octets[:cut], octets[cut:]):
                session.receive_data(piece)
        assert session.state is ClientState.CLOSED
        assert [reply.code for reply in drain(session)] == [250], "what came before the garbage counts"
        assert not session.may_begin


def test_every_cell_of_the_table() -> None:
    """A verb is sent where its row says so and nowhere else; a refused send changes nothing."""
    for state, verb in itertools.product(ClientState, Verb):
        session = ready()
        session.state = session._settled = state
        is_legal = state in RULES[verb].states
        if is_legal:
            session.send(verb)
            assert session.state is RULES[verb].then
        else:
            with pytest.raises(LocalProtocolError):
                session.send(verb)
            assert session.state is state
            assert session.data_to_send() == b""
            assert session.waiting_for is None


def test_pipelining_only_when_offered() -> None:
    session = ready(keywords=b"250 mx.example\r\n")
    session.send(Verb.MAIL, b"FROM:<a@b>")
    with pytest.raises(LocalProtocolError):
        session.send(Verb.RCPT, b"TO:<c@d>")
    session.receive_data(b"250 ok\r\n")
    session.send(Verb.RCPT, b"TO:<c@d>")
    assert session.data_to_send() == b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"


def test_nothing_follows_data_in_a_group() -> None:
    session = ready()
    envelope(session)
    with pytest.raises(LocalProtocolError):
        session.send(Verb.END)
    session.receive_data(b"250 a\r\n250 b\r\n250 c\r\n")
    with pytest.raises(LocalProtocolError):
        session.send(Verb.END)


@pytest.mark.parametrize("argument", [b"TO:<a\r\nDATA>", b"TO:<a\nb>", b"TO:<a\0b>", b"TO:<a\rb>"])
def test_no_argument_smuggles_a_line(argument: bytes) -> None:
    session = ready()
    with pytest.raises(LocalProtocolError):
        session.send(Verb.MAIL, argument)
    assert session.state is ClientState.IDLE
    assert session.data_to_send() == b""


def test_lone_dot_after_data_for_nobody() -> None:
    session = ready()
    envelope(session)
    session.receive_data(b"250 ok\r\n550 no\r\n550 no\r\n354 go\r\n")
    drain(session)
    assert session.accepted_recipients == 0
    session.send(Verb.END)
    session.receive_data(b"554 no recipients\r\n")
    assert drain(session)[0].code == 554
    assert session.may_begin


def test_reset_after_refused_recipients() -> None:
    session = ready()
    envelope(session)
    session.receive_data(b"250 ok\r\n550 no\r\n550 no\r\n503 no\r\n")
    with pytest.raises(LocalProtocolError):
        session.send(Verb.MAIL, b"FROM:<x@y>")
    session.send(Verb.RSET)
    session.receive_data(b"250 ok\r\n")
    assert session.may_begin


def test_lmtp_has_a_reply_for_each_accepted_recipient() -> None:
    session = ready(is_lmtp=True)
    envelope(session, 3)
    session.receive_data(b"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n")
    drain(session)
    session.send(Verb.END)
    session.receive_data(b"250 2.0.0 first\r\n")
    assert session.waiting_for is Verb.END
    session.receive_data(b"452 4.2.2 full\r\n")
    assert [reply.code for reply in drain(session)] == [250, 452]
    assert session.may_begin


@pytest.mark.parametrize("is_lmtp", [False, True])
def test_early_refusal_while_content_is_on_its_way(is_lmtp: bool) -> None:
    session = ready(is_lmtp=is_lmtp)
    envelope(session)
    session.receive_data(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    drain(session)
    session.receive_data(b"552 5.3.4 too big\r\n")
    assert [reply.code for reply in drain(session)] == [552] * (2 if is_lmtp else 1)
    assert session.state is ClientState.CLOSED


def test_replies_to_nothing() -> None:
    session = ready()
    session.receive_data(b"421 4.4.2 idle for too long\r\n")
    assert session.state is ClientState.CLOSED
    assert drain(session) == []
    session = ready()
    with pytest.raises(RemoteProtocolError):
        session.receive_data(b"250 what a day\r\n")
    session.receive_data(b"nonsense after the end is not looked at\r\n")
    assert session.state is ClientState.CLOSED


def test_part_of_a_reply_forbids_a_new_transaction() -> None:
    session = ready()
    session.receive_data(b"42")
    assert not session.may_begin


def test_quit() -> None:
    session = ready()
    session.send(Verb.QUIT)
    assert session.state is ClientState.CLOSED
    assert session.waiting_for is Verb.QUIT
    session.receive_data(b"221 bye\r\n")
    assert drain(session)[0].code == 221
    session.receive_data(b"250 and more\r\n")
    assert drain(session) == []
    with pytest.raises(LocalProtocolError):
        session.send(Verb.QUIT)


def test_xforward_is_a_group_with_mail() -> None:
    session = ready(keywords=b"250-mx.example\r\n250-PIPELINING\r\n250 XFORWARD NAME ADDR\r\n")
    session.send(Verb.XFORWARD, b"NAME=x")
    session.receive_data(b"501 no\r\n")
    assert session.may_begin, "a refused XFORWARD is no reason not to send"


def test_discarded_keywords() -> None:
    session = ClientSession(discard_keywords={"PIPELINING"})
    session.receive_data(b"220 x\r\n")
    session.send(Verb.EHLO, b"me")
    session.receive_data(EHLO_REPLY)
    assert not session.capabilities.has_pipelining
    assert session.capabilities.has_dsn
