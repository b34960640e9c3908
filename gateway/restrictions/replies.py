"""Refusals in Postfix's words: codes that agree with each other, text that is safe on the wire.

Source: RFC 3463 §2 (the class of an enhanced code is that of the reply code), RFC 5321 §4.5.3.1.5 (512 octets).
"""

from __future__ import annotations

import re

from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict

TEXT_LIMIT = 480  # room for the codes, blanks and CRLF in 512 octets
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_CLOSING = frozenset({421, 521})


def printable(text: str) -> str:
    """The text as it may stand in a reply line: one line, control characters as blanks, at most 480 characters."""
    return _UNPRINTABLE.sub(" ", text)[:TEXT_LIMIT]


def refuse(code: int, enhanced: str, text: str, *, reason: str = "") -> Verdict:
    """A REJECT or DEFER, whichever ``code`` is; the class of ``enhanced`` follows the code."""
    return Verdict(
        Action.REJECT if code >= 500 else Action.DEFER,
        printable(text),
        code,
        f"{code // 100}{enhanced[1:]}",
        reason,
        close=code in _CLOSING,
    )


def lookup_failure(name: str, reason: str) -> Verdict:
    """A table that main.cf needs has no answer now."""
    return refuse(451, "4.3.0", f"<{name}>: Temporary lookup failure", reason=reason)


def server_error(reason: str) -> Verdict:
    """Our own fault: try again later, when somebody has read the log."""
    return refuse(451, "4.3.5", "Server configuration error", reason=reason)


def judged_name(session: Session) -> str:
    """The address that is being judged, for messages that must name one."""
    return str(session.recipient or session.sender or "")
