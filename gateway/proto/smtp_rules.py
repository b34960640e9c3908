"""The SMTP server's command table: what is legal when, and where it leads.

Everything that decides whether a verb may stand in a state is here, one row a verb; ``docs`` and tests read the same
table. What it cannot express: HELO before MAIL (smtpd_helo_required), who may use XCLIENT, limits, and content, which
has no verbs. Source: RFC 5321 §4.1.4, RFC 2920 §3.1 (what must end a pipelined group), RFC 3030, smtpd(8).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.model.reply import Reply
from gateway.proto import smtp_commands as commands
from gateway.proto import smtp_replies as replies


class State(IntEnum):
    """Where a session stands. An IntEnum, because states index tables once an event and Enum hashes in Python."""

    START = 0  # no banner yet
    GREETED = 1  # no HELO yet
    IDLE = 2  # between transactions
    MAIL = 3  # a sender
    RCPT = 4  # at least one recipient
    BDAT = 5  # between two BDAT chunks
    DATA = 6  # content after DATA
    CHUNK = 7  # content after BDAT
    SKIP = 8  # octets of a refused BDAT chunk
    END = 9  # the content is complete
    DENIED = 10  # the banner was a refusal
    CLOSED = 11  # nothing more is read


COMMAND_STATES = (State.GREETED, State.IDLE, State.MAIL, State.RCPT, State.BDAT)
"""States in which a line is a command of the table."""


Parser = Callable[[bytes, commands.Situation], Any]  # an event of its verb, or Bdat


class Rule(msgspec.Struct, frozen=True):
    """One row.

    Args:
        verb: as EHLO and logs have it.
        parse: argument to event, or RefusedCommand. UNKNOWN's gets the whole line.
        illegal: the refusal in each command state where the verb may not stand.
        then: the state after a positive reply; None: stay.
        answer: what the session itself says at once; None: the event is a question.
        must_be_last: the client has to wait for the reply (RFC 2920 §3.1, as Postfix enforces it).
        is_junk: counts against smtpd_junk_command_limit.
    """

    verb: str
    parse: Parser
    illegal: Mapping[State, Reply] = MappingProxyType({})
    then: State | None = None
    answer: Reply | None = None
    must_be_last: bool = False
    is_junk: bool = False


def _illegal(**refusals: Reply) -> Mapping[State, Reply]:
    return MappingProxyType({State[name]: reply for name, reply in refusals.items()})


_IDLE_ONLY = _illegal(MAIL=replies.IN_TRANSACTION, RCPT=replies.IN_TRANSACTION, BDAT=replies.IN_TRANSACTION)
_NOT_NESTED = _illegal(MAIL=replies.NESTED_MAIL, RCPT=replies.NESTED_MAIL, BDAT=replies.NESTED_MAIL)
_AFTER_MAIL = _illegal(GREETED=replies.NEED_MAIL, IDLE=replies.NEED_MAIL, BDAT=replies.RCPT_AFTER_BDAT)
_AFTER_RCPT = _illegal(GREETED=replies.NEED_RCPT, IDLE=replies.NEED_RCPT, MAIL=replies.NO_VALID_RCPT)
_DATA = MappingProxyType({**_AFTER_RCPT, State.BDAT: replies.DATA_AFTER_BDAT})

ROWS = (
    Rule("HELO", commands.parse_helo, then=State.IDLE, must_be_last=True, is_junk=True),
    Rule("EHLO", commands.parse_ehlo, then=State.IDLE, must_be_last=True, is_junk=True),
    Rule("LHLO", commands.parse_ehlo, then=State.IDLE, must_be_last=True, is_junk=True),
    Rule("STARTTLS", commands.parse_unserved),
    Rule("AUTH", commands.parse_auth),
    Rule("MAIL", commands.parse_mail, _NOT_NESTED, then=State.MAIL),
    Rule("RCPT", commands.parse_rcpt, _AFTER_MAIL, then=State.RCPT),
    Rule("DATA", commands.parse_data, _DATA, then=State.DATA, must_be_last=True),
    Rule("BDAT", commands.parse_bdat, _AFTER_RCPT, then=State.CHUNK),
    Rule("RSET", commands.parse_rset, answer=replies.OK, is_junk=True),
    Rule("NOOP", commands.parse_noop, answer=replies.OK, must_be_last=True, is_junk=True),
    Rule("VRFY", commands.parse_vrfy, must_be_last=True, is_junk=True),
    Rule("ETRN", commands.parse_unserved, is_junk=True),
    Rule("QUIT", commands.parse_quit, then=State.CLOSED, answer=replies.BYE),
    Rule("XCLIENT", commands.parse_xclient, _IDLE_ONLY, then=State.GREETED, must_be_last=True),
    Rule("XFORWARD", commands.parse_xforward, _IDLE_ONLY),
)
UNKNOWN = Rule("UNKNOWN", commands.parse_unknown)
"""The row of every verb that is not in the table."""

_SMTP_ONLY, _LMTP_ONLY = frozenset({"HELO", "EHLO"}), frozenset({"LHLO"})


def _by_octets(absent: frozenset[str]) -> Mapping[bytes, Rule]:
    rows = {row.verb.encode(): row for row in ROWS if row.verb not in absent}
    return MappingProxyType({**rows, **{verb.lower(): row for verb, row in rows.items()}})


RULES = {False: _by_octets(_LMTP_ONLY), True: _by_octets(_SMTP_ONLY)}
"""Rows by the verb's octets, upper- or lower-case; of an SMTP session, and of an LMTP session (RFC 2033 §4.1)."""
NOOP = RULES[False][b"NOOP"]
