"""The table as a table."""

from __future__ import annotations

from gateway.proto.smtp_rules import COMMAND_STATES, ROWS, UNKNOWN, State


def test_rows_speak_of_command_states_only() -> None:
    for row in (*ROWS, UNKNOWN):
        assert set(row.illegal) < set(COMMAND_STATES), row.verb
        assert all(reply.code in {503, 554} for reply in row.illegal.values())


def test_what_a_session_answers_itself_and_what_ends_a_group() -> None:
    assert {row.verb for row in ROWS if row.answer} == {"RSET", "NOOP", "QUIT"}
    assert {row.verb for row in ROWS if row.must_be_last} == {"HELO", "EHLO", "LHLO", "DATA", "NOOP", "VRFY", "XCLIENT"}
    assert {row.verb for row in ROWS if row.is_junk} == {"HELO", "EHLO", "LHLO", "RSET", "NOOP", "VRFY", "ETRN"}


def test_only_quit_closes() -> None:
    assert [row.verb for row in ROWS if row.then is State.CLOSED] == ["QUIT"]
