"""What an SMTP server session tells its shell: one frozen value an event.

Three kinds. *Questions* (:data:`QUESTIONS`) wait for ``ServerSession.reply``. *Notices* tell what the session has
already answered, for logs, counters and plugins. *Content* carries the message. Text is str with surrogateescape for
octets that are not UTF-8; content is bytes. Source: RFC 5321, RFC 3461, RFC 3030, XCLIENT_README, XFORWARD_README.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from gateway.model.address import Address
from gateway.model.reply import Reply


class Wait(Enum):
    """Why there is no event now."""

    NEED_DATA = "the peer has to speak"
    PAUSED = "a question waits for reply()"


NEED_DATA = Wait.NEED_DATA
PAUSED = Wait.PAUSED


class Hello(msgspec.Struct, frozen=True, gc=False):
    """HELO, EHLO or LHLO. A positive reply's text is the server's name; the session adds the EHLO keywords itself."""

    name: str
    is_esmtp: bool


class Mail(msgspec.Struct, frozen=True, gc=False):
    """MAIL FROM, after syntax.

    Args:
        address: reverse-path; ``Address.NULL`` for ``<>``.
        params: ESMTP parameters, keys upper-case, values as sent; do not change it.
        size: SIZE= in octets, 0 when not given (RFC 1870).
        raw: the path as the client wrote it, with its brackets.
        encoding: BODY=: ``7BIT``, ``8BITMIME`` or empty.
        is_smtputf8: SMTPUTF8 was asked for (RFC 6531).
        ret: ``FULL``, ``HDRS`` or empty (RFC 3461 §4.3).
        envid: ENVID, xtext-decoded, or empty (RFC 3461 §4.4).
    """

    address: Address
    params: dict[str, str]
    size: int = 0
    raw: str = ""
    encoding: str = ""
    is_smtputf8: bool = False
    ret: str = ""
    envid: str = ""


class Rcpt(msgspec.Struct, frozen=True, gc=False):
    """RCPT TO, after syntax.

    Args:
        address: forward-path; the domain is empty for ``postmaster`` (RFC 5321 §4.1.1.3).
        params: as in :class:`Mail`.
        raw: the path as the client wrote it, with its brackets.
        notify: ``NEVER``, or some of ``SUCCESS FAILURE DELAY``; empty: not given (RFC 3461 §4.1).
        orcpt: ``type;address`` with the address xtext-decoded, or empty (RFC 3461 §4.2).
    """

    address: Address
    params: dict[str, str]
    raw: str = ""
    notify: tuple[str, ...] = ()
    orcpt: str = ""


class DataBegin(msgspec.Struct, frozen=True, gc=False):
    """DATA, or the first BDAT of a transaction. Any positive reply means "go ahead"; the session writes the 354.

    A refusal leaves the transaction as it is after DATA, and ends it after BDAT, whose octets are on their way already.
    """

    is_bdat: bool = False


class BodyChunk(msgspec.Struct, frozen=True, gc=False):
    """Octets of the message: dots unstuffed, lines end in CRLF; as many as arrived together. Needs no answer."""

    data: bytes


class BodyEnd(msgspec.Struct, frozen=True, gc=False):
    """The whole message is here; the reply decides its fate. LMTP: one reply for each accepted recipient, in order.

    Args:
        size_bytes: content octets, the sum of the chunks.
        has_long_lines: a line is longer than 998 octets without its CRLF (RFC 5321 §4.5.3.1.6).
        is_8bit: an octet above 127 was seen.
        has_bare_lf: a line ended in LF alone and was given its CR (smtpd_forbid_bare_newline = normalize, note, no).
    """

    size_bytes: int
    has_long_lines: bool = False
    is_8bit: bool = False
    has_bare_lf: bool = False


class Verify(msgspec.Struct, frozen=True, gc=False):
    """VRFY. ``address`` is the parsed argument, ``argument`` its text."""

    argument: str
    address: Address


class Xclient(msgspec.Struct, frozen=True, gc=False):
    """XCLIENT from an authorised client; see :func:`gateway.proto.xclient.parse_attributes` for the values.

    The positive reply is a new banner (220): the session is then where it was after the first one.
    """

    attributes: dict[str, str | None]


class Xforward(msgspec.Struct, frozen=True, gc=False):
    """XFORWARD from an authorised client; None stands for ``[UNAVAILABLE]``."""

    attributes: dict[str, str | None]


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """A command that the session does not know. ``replies.UNRECOGNIZED`` is Postfix's answer."""

    verb: str
    line: str


class Reset(msgspec.Struct, frozen=True, gc=False):
    """RSET, answered: forget the transaction. An accepted HELO, EHLO or XCLIENT forgets it too, with its own event."""


class Noop(msgspec.Struct, frozen=True, gc=False):
    """NOOP or one of smtpd_noop_commands, answered."""

    verb: str = "NOOP"


class Quit(msgspec.Struct, frozen=True, gc=False):
    """QUIT, answered with 221; :class:`Hangup` follows."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The session refused a command by itself: syntax, order, limits.

    Args:
        reply: what the client was told.
        verb: the command upper-case; ``END-OF-MESSAGE`` when the message was refused after its last octet; empty when
            there was none.
        argument: the rest of the line.
        ends_transaction: sender, recipients and content so far are void: forget them.
    """

    reply: Reply
    verb: str
    argument: str = ""
    ends_transaction: bool = False


class EarlyInput(msgspec.Struct, frozen=True, gc=False):
    """The client spoke before its turn: Postfix's "improper command pipelining after VERB".

    Args:
        verb: the command after which it should have waited; ``CONNECT`` for the banner.
        data: the first octets of what came too early (at most 100), escaped as Postfix logs them.
    """

    verb: str
    data: str

    @classmethod
    def after(cls, verb: str, data: bytes) -> EarlyInput:
        """Make one of the raw octets that came too early."""
        excerpt = data[:100].decode("utf-8", "backslashreplace")
        return cls(verb, excerpt.encode("unicode_escape").decode("ascii"))


class Throttle(msgspec.Struct, frozen=True, gc=False):
    """More errors than smtpd_soft_error_limit: wait, then call ``next_event`` again.

    The reply that is due is held back by the session until then.
    """

    delay_s: float


class Hangup(msgspec.Struct, frozen=True, gc=False):
    """Write what ``data_to_send`` has, then close. Comes again on every call.

    Args:
        reply: the last one; None when the client went away without QUIT.
        reason: ``lost connection``, ``too many errors``, what ``hang_up`` was told, or empty.
    """

    reply: Reply | None
    reason: str = ""


Question = Hello | Mail | Rcpt | DataBegin | BodyEnd | Verify | Xclient | Xforward | Unknown
Notice = Reset | Noop | Quit | Refused | EarlyInput | Throttle | Hangup
Event = Question | Notice | BodyChunk
QUESTIONS = (Hello, Mail, Rcpt, DataBegin, BodyEnd, Verify, Xclient, Xforward, Unknown)


class Bdat(msgspec.Struct, frozen=True, gc=False):
    """BDAT after syntax: octets to come, and whether they are the last (RFC 3030 §2)."""

    size_bytes: int
    is_last: bool
