"""The session: every cell of the table, every split of the octets, replies, limits, ends of the connection."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from gateway.model.address import Address
from gateway.model.errors import LocalProtocolError
from gateway.model.reply import Reply
from gateway.proto import smtp_events as events
from gateway.proto import smtp_replies as replies
from gateway.proto.reply_wire import wire
from gateway.proto.smtp_events import NEED_DATA, PAUSED
from gateway.proto.smtp_rules import COMMAND_STATES, ROWS, RULES, State
from gateway.proto.smtp_server import MAX_BUFFERED, ServerSession
from gateway.proto.smtp_settings import SmtpdSettings

SETTINGS = SmtpdSettings(hostname="mx.example", xclient_allowed=True, xforward_allowed=True)
OK = Reply(250, "Ok", "2.0.0")
NO = Reply(554, "No", "5.7.1")


def started(settings: SmtpdSettings = SETTINGS, octets: bytes = b"") -> ServerSession:
    session = ServerSession(settings, "client.example[192.0.2.1]")
    session.greet(Reply(220, "mx.example ESMTP"))
    session.data_to_send()
    talk(session, octets)
    session.data_to_send()
    return session


def talk(session: ServerSession, octets: bytes = b"", answer: Reply = OK) -> list[events.Event]:
    """Hand over octets and answer every question alike; returns the events."""
    if octets:
        session.receive_data(octets)
    seen: list[events.Event] = []
    while (event := session.next_event()) is not NEED_DATA:
        assert not isinstance(event, events.Wait)
        seen.append(event)
        if isinstance(event, events.Hangup):
            break
        if isinstance(event, events.QUESTIONS):
            session.reply(answer)
    return seen


IN_STATE = {
    State.GREETED: b"",
    State.IDLE: b"EHLO c.example\r\n",
    State.MAIL: b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n",
    State.RCPT: b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\n",
    State.BDAT: b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\nBDAT 1\r\nx",
}
COMMANDS = {
    "HELO": (b"HELO c.example", events.Hello), "EHLO": (b"EHLO c.example", events.Hello),
    "MAIL": (b"MAIL FROM:<q@b.example>", events.Mail), "RCPT": (b"RCPT TO:<q@y.example>", events.Rcpt),
    "DATA": (b"DATA", events.DataBegin), "BDAT": (b"BDAT 1 LAST\r\nx", events.DataBegin),
    "RSET": (b"RSET", events.Reset), "NOOP": (b"NOOP", events.Noop), "VRFY": (b"VRFY x@y.example", events.Verify),
    "QUIT": (b"QUIT", events.Quit), "XCLIENT": (b"XCLIENT NAME=x.example", events.Xclient),
    "XFORWARD": (b"XFORWARD NAME=x.example", events.Xforward),
    "STARTTLS": (b"STARTTLS", events.Refused), "AUTH": (b"AUTH PLAIN", events.Refused),
    "ETRN": (b"ETRN y.example", events.Refused), "LHLO": (b"LHLO c.example", events.Unknown),
}  # fmt: skip


@pytest.mark.parametrize(("state", "verb"), list(itertools.product(COMMAND_STATES, COMMANDS)))
def test_every_cell(state: State, verb: str) -> None:
    """A verb is refused with the table's reply and changes nothing, or becomes its event and leads where it says."""
    session = started(octets=IN_STATE[state])
    assert session.state is state
    line, kind = COMMANDS[verb]
    row = next(row for row in ROWS if row.verb == verb)
    illegal = row.illegal.get(state)
    session.had_pipelining_violation = True  # or BDAT without EHLO tells of its octets first
    seen = talk(session, line + (b"" if verb == "BDAT" else b"\r\n"))
    first = seen[0]
    if illegal is not None:
        assert isinstance(first, events.Refused)
        assert first.reply == illegal
        assert first.verb == verb
        ended = verb == "BDAT" and state is State.MAIL
        assert first.ends_transaction is ended
        assert session.state is (State.IDLE if ended else state)
    elif verb == "BDAT":
        wanted = (events.DataBegin,) if state is State.RCPT else ()
        assert tuple(type(event) for event in seen) == (*wanted, events.BodyChunk, events.BodyEnd)
        assert session.state is State.IDLE
    else:
        assert type(first) is kind
        home = State.GREETED if state is State.GREETED else State.IDLE
        after = {"RSET": home, "QUIT": State.CLOSED}.get(verb, row.then or state)
        assert session.state is (state if verb == "LHLO" else after)


QUESTION_CELLS = [
    (state, row.verb)
    for state, row in itertools.product(COMMAND_STATES, ROWS)
    if state not in row.illegal
    and COMMANDS[row.verb][1] in events.QUESTIONS
    and (state, row.verb) != (State.BDAT, "BDAT")
]


@pytest.mark.parametrize(("state", "verb"), QUESTION_CELLS)
def test_a_refusal_by_policy_changes_no_state(state: State, verb: str) -> None:
    session = started(octets=IN_STATE[state])
    line, _ = COMMANDS[verb]
    talk(session, line + (b"" if verb == "BDAT" else b"\r\n"), answer=NO)
    assert session.data_to_send() == b"554 5.7.1 No\r\n"
    # A BDAT that was refused ends the transaction: RFC 3030 §2. XCLIENT is refused as a new connection is.
    assert session.state is {"BDAT": State.IDLE, "XCLIENT": State.DENIED}.get(verb, state)


DIALOGUES = {
    "data": b"EHLO c\r\nMAIL FROM:<a@b.example> SIZE=9\r\nRCPT TO:<x@y.example> NOTIFY=NEVER\r\nDATA\r\n"
    b"A: b\r\n\r\n..x\r\n.\r.\r\n.y\r\n.\r\nQUIT\r\n",
    "bdat": b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\nBDAT 7\r\nab\r\n\r\n\rBDAT 4 LAST\r\n\n.\r\nQUIT\r\n",
    "refused": b"EHLO c\r\nFOO\r\nMAIL FROM:<\r\nBDAT 6\r\nQUIT\r\nMAIL FROM:<a@b.example>\r\nDATA\r\nRSET\r\nQUIT\r\n",
    "empty": b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n.\r\nQUIT\r\n",
    "bare": b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<x@y.example>\r\nDATA\r\na\n.\nb\r\n.\r\nNOOP\r\nQUIT\r\n",
}


def outcome(octets: tuple[bytes, ...], settings: SmtpdSettings) -> tuple[list[object], bytes]:
    session = started(settings)
    seen: list[object] = []
    body, out = b"", b""
    for piece in octets:
        for event in talk(session, piece):
            if isinstance(event, events.BodyChunk):
                body += event.data
            elif isinstance(event, events.BodyEnd):
                seen.append((event, body))
                body = b""
            elif not isinstance(event, events.EarlyInput):  # that one is about timing
                seen.append(event)
        out += session.data_to_send()
        if session.state is State.CLOSED:
            break
    return seen, out


@pytest.mark.parametrize("name", DIALOGUES)
@pytest.mark.parametrize("mode", ["reject", "normalize"])
def test_every_split_gives_the_same_events(name: str, mode: str) -> None:
    octets = DIALOGUES[name]
    settings = msgspec.structs.replace(SETTINGS, forbid_bare_newline=type(SETTINGS.forbid_bare_newline)(mode))
    whole = outcome((octets,), settings)
    assert any(isinstance(event, events.Hangup) for event in whole[0])
    for cut in range(1, len(octets)):
        assert outcome((octets[:cut], octets[cut:]), settings) == whole
    assert outcome(tuple(octets[i : i + 1] for i in range(len(octets))), settings) == whole


def test_events_carry_what_was_said() -> None:
    session = started()
    seen = talk(session, b"EHLO c.example\r\n")
    seen += talk(session, b"MAIL FROM:<A@B.Example> SIZE=9 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=x+2By\r\n")
    seen += talk(session, b'RCPT TO:<"x y"@z.example> NOTIFY=success,delay ORCPT=rfc822;x+2By@z\r\n')
    assert seen == [
        events.Hello("c.example", True),
        events.Mail(
            Address("A", "b.example"),
            {"SIZE": "9", "BODY": "8bitmime", "SMTPUTF8": "", "RET": "hdrs", "ENVID": "x+2By"},
            9, "<A@B.Example>", "8BITMIME", True, "HDRS", "x+y",
        ),
        events.Rcpt(
            Address("x y", "z.example"), {"NOTIFY": "success,delay", "ORCPT": "rfc822;x+2By@z"},
            '<"x y"@z.example>', ("SUCCESS", "DELAY"), "rfc822;x+y@z",
        ),
    ]  # fmt: skip


def test_a_question_pauses_until_the_reply() -> None:
    session = started(octets=b"EHLO c\r\n")
    session.receive_data(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\n")
    assert isinstance(session.next_event(), events.Mail)
    assert session.next_event() is PAUSED
    session.reply(OK)
    assert isinstance(session.next_event(), events.Rcpt)
    session.reply(OK)
    assert session.next_event() is NEED_DATA
    assert session.data_to_send() == b"250 2.0.0 Ok\r\n" * 2
    with pytest.raises(LocalProtocolError):
        session.reply(OK)
    with pytest.raises(LocalProtocolError):
        session.greet(OK)


def test_the_banner_comes_first() -> None:
    session = ServerSession(SETTINGS)
    session.receive_data(b"EHLO early.example\r\n")
    assert session.next_event() is PAUSED
    session.greet(Reply(220, "mx.example"))
    assert talk(session)[:2] == [
        events.EarlyInput("CONNECT", "EHLO early.example\\r\\n"),
        events.Hello("early.example", True),
    ]
    assert session.had_pipelining_violation


def test_a_refusing_banner_leaves_only_quit() -> None:
    session = ServerSession(SETTINGS, "client.example[192.0.2.1]")
    session.greet(NO)
    session.data_to_send()
    for line in (b"EHLO c\r\n", b"FOO\r\n", b"MAIL\r\n"):
        (refused,) = talk(session, line)
        assert isinstance(refused, events.Refused)
    assert session.data_to_send() == b"503 5.7.0 Error: access denied for client.example[192.0.2.1]\r\n" * 3
    assert talk(session, b"QUIT\r\n") == [events.Quit(), events.Hangup(replies.BYE)]


@pytest.mark.parametrize("reply", [Reply(421, "Busy", "4.7.0"), Reply(521, "Never"), Reply(554, "Go", close=True)])
def test_some_banners_hang_up(reply: Reply) -> None:
    session = ServerSession(SETTINGS)
    session.greet(reply)
    assert session.next_event() == events.Hangup(reply)
    assert session.data_to_send() == wire(reply)


@pytest.mark.parametrize("reply", [Reply(421, "Busy", "4.7.0"), Reply(521, "Never"), Reply(250, "Ok", close=True)])
def test_policy_can_hang_up_anywhere(reply: Reply) -> None:
    for state in COMMAND_STATES:
        session = started(octets=IN_STATE[state])
        seen = talk(session, b"VRFY x@y.example\r\n", answer=reply)
        assert seen[-1] == events.Hangup(reply)
        assert session.next_event() == events.Hangup(reply)
        assert session.data_to_send() == wire(reply)
        session.receive_data(b"NOOP\r\n")
        assert session.next_event() == events.Hangup(reply)


def test_hang_up_from_outside() -> None:
    session = started(octets=b"EHLO c\r\n")
    session.receive_data(b"MAIL FROM:<a@b.example>\r\n")
    session.next_event()
    session.hang_up(Reply(421, "Error: timeout exceeded", "4.4.2"), "timeout")
    assert session.next_event() == events.Hangup(Reply(421, "Error: timeout exceeded", "4.4.2"), "timeout")


def test_lost_connections_are_told_after_what_was_said() -> None:
    session = started()
    session.receive_data(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT")
    session.receive_eof()
    seen = talk(session)
    assert [type(event) for event in seen] == [events.EarlyInput, events.Hello, events.Mail, events.Hangup]
    assert seen[-1] == events.Hangup(None, "lost connection")
    assert session.place == "MAIL"


def test_place_and_summary_are_postfix_s() -> None:
    session = started()
    assert session.place == "CONNECT"
    talk(session, IN_STATE[State.RCPT] + b"RCPT TO:<>\r\nFOO\r\n", answer=OK)
    assert session.place == "UNKNOWN"
    talk(session, b"DATA\r\n")
    talk(session, b"x" * 5000 + b"\r\n")
    assert session.place == "DATA (5000 bytes)"
    session.receive_data(b".\r\n")
    assert isinstance(session.next_event(), events.BodyChunk)
    assert isinstance(session.next_event(), events.BodyEnd)
    assert session.place == "END-OF-MESSAGE"
    session.reply(OK)
    assert session.summary == "ehlo=1 mail=1 rcpt=1/2 data=1 unknown=1 commands=5/6"


def test_errors_throttle_then_hang_up() -> None:
    settings = msgspec.structs.replace(SETTINGS, soft_error_limit=1, hard_error_limit=3, error_sleep_s=2.5)
    session = started(settings)
    session.receive_data(b"MAIL\r\nMAIL\r\nNOOP\r\nMAIL\r\nNOOP\r\n")
    session.had_pipelining_violation = True  # not what this is about
    assert isinstance(session.next_event(), events.Refused)
    assert session.data_to_send() != b""
    assert isinstance(session.next_event(), events.Refused)
    assert session.next_event() == events.Throttle(2.5)
    assert session.data_to_send() == b"", "the reply is held back"
    assert isinstance(session.next_event(), events.Noop)
    assert session.data_to_send() == b""
    assert session.next_event() == events.Throttle(2.5)
    assert isinstance(session.next_event(), events.Refused)
    rest = talk(session)
    assert [type(event) for event in rest] == [events.Throttle, events.Refused, events.Throttle, events.Hangup]
    hangup = rest[-1]
    assert isinstance(hangup, events.Hangup)
    assert hangup.reason == "too many errors"
    assert session.data_to_send().endswith(b"421 4.7.0 mx.example Error: too many errors\r\n")


def test_a_delivered_message_forgives_errors() -> None:
    settings = msgspec.structs.replace(SETTINGS, hard_error_limit=3)
    session = started(
        settings, b"FOO:\r\n" * 0 + b"MAIL\r\nMAIL\r\n" + IN_STATE[State.RCPT] + b"DATA\r\n.\r\nMAIL\r\nMAIL\r\n"
    )
    assert session.error_count == 2


def test_pipelining_violation_while_policy_thinks() -> None:
    session = started(octets=IN_STATE[State.RCPT])
    session.had_pipelining_violation = False
    session.receive_data(b"DATA\r\n")
    assert isinstance(session.next_event(), events.DataBegin)
    session.receive_data(b"Subject: early\r\n")
    assert session.had_pipelining_violation
    session.reply(OK)
    assert session.next_event() == events.EarlyInput("DATA", "Subject: early\\r\\n")


def test_mail_behind_the_end_of_data_is_no_violation() -> None:
    session = started()
    for octets in (b"EHLO c\r\n", IN_STATE[State.RCPT][8 + 8 :], b"DATA\r\n", b"x\r\n.\r\n"):
        session.receive_data(octets)
        while isinstance(event := session.next_event(), events.Hello | events.Mail | events.Rcpt | events.DataBegin):
            session.reply(OK)
    assert isinstance(event, events.BodyChunk)
    assert isinstance(session.next_event(), events.BodyEnd)
    session.receive_data(b"MAIL FROM:<a@b.example>\r\n")
    assert not session.had_pipelining_violation


def test_lmtp_wants_a_reply_for_each_recipient() -> None:
    session = started(msgspec.structs.replace(SETTINGS, is_lmtp=True))
    talk(session, b"LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<x@y.example>\r\nRCPT TO:<z@y.example>\r\nDATA\r\n")
    assert session.recipient_count == 2
    session.data_to_send()
    session.receive_data(b"x\r\n.\r\n")
    assert isinstance(session.next_event(), events.BodyChunk)
    assert isinstance(session.next_event(), events.BodyEnd)
    session.reply(OK)
    assert session.next_event() is PAUSED
    session.reply(NO)
    assert session.next_event() is NEED_DATA
    assert session.state is State.IDLE
    assert session.data_to_send() == b"250 2.0.0 Ok\r\n554 5.7.1 No\r\n"
    assert isinstance(talk(session, b"EHLO c\r\n")[0], events.Unknown)


def test_pipelined_chunks_are_no_recursion() -> None:
    """Thousands of chunks in one read: each is a step of the loop, none a stack frame."""
    session = started(octets=IN_STATE[State.RCPT] + b"BDAT 1\r\nx" * 7000 + b"BDAT 0 LAST\r\n")
    assert session.state is State.IDLE
    assert session.counts["BDAT"] == [7001, 7001]


def test_flow_control_is_visible() -> None:
    session = started(octets=b"EHLO c\r\n")
    session.receive_data(b"MAIL FROM:<a@b.example>\r\n" + b"NOOP\r\n")
    session.next_event()
    assert session.may_receive
    session.receive_data(b"x" * MAX_BUFFERED)
    assert not session.may_receive


def test_rows_are_found_in_both_cases() -> None:
    assert RULES[False][b"mail"] is RULES[False][b"MAIL"]
    assert b"LHLO" not in RULES[False]
    assert b"EHLO" not in RULES[True]


def test_who_is_refused_as_a_new_client_gets_no_further() -> None:
    session = started()
    session.receive_data(b"XCLIENT NAME=bad.example\r\n")
    session.next_event()
    session.reply(Reply(554, "Client host rejected", "5.7.1"))
    (refused,) = talk(session, b"EHLO h.example\r\n")
    assert isinstance(refused, events.Refused)
    assert refused.reply.text.startswith("Error: access denied")
    assert session.state is State.DENIED


def test_settings_may_change_with_xclient() -> None:
    session = started()
    session.receive_data(b"XCLIENT NAME=x.example\r\n")
    session.next_event()
    session.settings = msgspec.structs.replace(SETTINGS, xclient_allowed=False)
    session.reply(Reply(220, "again"))
    assert not session.has_helo
    (refused,) = talk(session, b"XCLIENT NAME=x.example\r\n")
    assert isinstance(refused, events.Refused)
    assert refused.reply == replies.NOT_AUTHORIZED
