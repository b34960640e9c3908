"""What main.cf decides about an SMTP server session: limits and switches, read once, shared by all sessions.

Owns the EHLO keyword list that follows from them. Names and defaults are Postfix's (``smtpd_`` left out).
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cached_property

import msgspec


class BareNewline(Enum):
    """Values of smtpd_forbid_bare_newline. None of them lets anything but ``<CR><LF>.<CR><LF>`` end a message."""

    NO = "no"
    NORMALIZE = "normalize"
    REJECT = "reject"
    NOTE = "note"

    @classmethod
    def of(cls, text: str) -> BareNewline:
        """Read the parameter's value; ``yes`` is Postfix's alias for normalize. Raises ValueError."""
        word = text.lower()
        return cls.NORMALIZE if word == "yes" else cls(word)


class SmtpdSettings(msgspec.Struct, frozen=True, dict=True, kw_only=True):
    """Limits and switches of a session. ``msgspec.structs.replace`` makes the variant for one client.

    Args:
        hostname: myhostname, for texts.
        line_length_limit: octets of a command line (line_length_limit).
        message_size_limit: octets of a message; 0: no limit (message_size_limit).
        recipient_limit, recipient_overshoot_limit: recipients a message; 452s beyond it before they count as errors.
        soft_error_limit, hard_error_limit: errors before each reply is delayed; before 421.
        error_sleep_s: that delay (smtpd_error_sleep_time).
        junk_command_limit: HELO, NOOP, VRFY, RSET … without mail before each counts as an error.
        noop_commands, forbidden_commands: verbs upper-case.
        forbidden_pattern: verbs that start so are forbidden too; by default what is no letter, as in Postfix 3.7.
        discard_ehlo_keywords: keywords lower-case that EHLO shall not show.
        disable_vrfy: disable_vrfy_command.
        helo_required: smtpd_helo_required.
        forbid_bare_newline, forbid_bare_newline_reject_code: see :class:`BareNewline`; 521 also hangs up.
        forbid_nul: refuse a message with NUL octets (554 5.6.0); ours, Postfix lets them pass.
        forbid_unauth_pipelining: hang up on :class:`~gateway.proto.smtp_events.EarlyInput`.
        strict_rfc821_envelopes: paths must be in angle brackets.
        allow_min_user: a local part may start with a minus.
        smtputf8_enable, strict_smtputf8: RFC 6531.
        is_lmtp: LHLO, and one reply per recipient (RFC 2033).
        xclient_allowed, xforward_allowed: this client may use them.
        starttls_allowed, auth_allowed: room for a later day; off.
    """

    hostname: str = "localhost"
    line_length_limit: int = 2048
    message_size_limit: int = 10_240_000
    recipient_limit: int = 1000
    recipient_overshoot_limit: int = 1000
    soft_error_limit: int = 10
    hard_error_limit: int = 20
    error_sleep_s: float = 1.0
    junk_command_limit: int = 100
    noop_commands: frozenset[str] = frozenset()
    forbidden_commands: frozenset[str] = frozenset({"CONNECT", "GET", "POST"})
    forbidden_pattern: re.Pattern[str] | None = re.compile("[^A-Z]", re.IGNORECASE)
    discard_ehlo_keywords: frozenset[str] = frozenset()
    disable_vrfy: bool = False
    helo_required: bool = False
    forbid_bare_newline: BareNewline = BareNewline.REJECT
    forbid_bare_newline_reject_code: int = 550
    forbid_nul: bool = True
    forbid_unauth_pipelining: bool = False
    strict_rfc821_envelopes: bool = False
    allow_min_user: bool = False
    smtputf8_enable: bool = True
    strict_smtputf8: bool = False
    is_lmtp: bool = False
    xclient_allowed: bool = False
    xforward_allowed: bool = False
    starttls_allowed: bool = False
    auth_allowed: bool = False

    @cached_property
    def keywords(self) -> tuple[str, ...]:
        """EHLO keyword lines in Postfix's order, without the discarded ones."""
        lines = [
            "PIPELINING",
            f"SIZE {self.message_size_limit}" if self.message_size_limit else "SIZE",
            "" if self.disable_vrfy else "VRFY",
            "STARTTLS" if self.starttls_allowed else "",
            "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT" if self.xclient_allowed else "",
            "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT" if self.xforward_allowed else "",
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "DSN",
            "SMTPUTF8" if self.smtputf8_enable else "",
            "CHUNKING",
        ]
        return tuple(line for line in lines if line and line.split()[0].lower() not in self.discard_ehlo_keywords)
