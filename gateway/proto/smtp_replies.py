"""The replies an SMTP server session gives by itself.

Texts are what Postfix 3.7 says in the same place, so that log digesters and people recognise them. Source: RFC 5321
§4.2, RFC 2034.
"""

from __future__ import annotations

from gateway.model.reply import Reply

OK = Reply(250, "Ok", "2.0.0")
BYE = Reply(221, "Bye", "2.0.0")
GO_AHEAD = Reply(354, "End data with <CR><LF>.<CR><LF>")

BAD_SYNTAX = Reply(500, "Error: bad syntax", "5.5.2")
BAD_UTF8 = Reply(500, "Error: bad UTF-8 syntax", "5.5.2")
LINE_TOO_LONG = Reply(500, "Error: line too long", "5.5.2")
UNRECOGNIZED = Reply(500, "Error: command not recognized", "5.5.2")
NOT_IMPLEMENTED = Reply(502, "Error: command not implemented", "5.5.1")
NO_AUTH = Reply(503, "Error: authentication not enabled", "5.5.1")
NOT_SMTP = Reply(221, "Error: I can break rules, too. Goodbye.", "2.7.0", close=True)
UNSYNCHRONIZED = Reply(554, "Error: SMTP protocol synchronization", "5.5.0", close=True)
NOT_AUTHORIZED = Reply(550, "Error: insufficient authorization", "5.7.0")

NEED_HELO = Reply(503, "Error: send HELO/EHLO first", "5.5.1")
NEED_MAIL = Reply(503, "Error: need MAIL command", "5.5.1")
NEED_RCPT = Reply(503, "Error: need RCPT command", "5.5.1")
NO_VALID_RCPT = Reply(554, "Error: no valid recipients", "5.5.1")
NESTED_MAIL = Reply(503, "Error: nested MAIL command", "5.5.1")
IN_TRANSACTION = Reply(503, "Error: MAIL transaction in progress", "5.5.1")
RCPT_AFTER_BDAT = Reply(503, "Error: RCPT after BDAT", "5.5.1")
DATA_AFTER_BDAT = Reply(503, "Error: DATA after BDAT", "5.5.1")

BAD_SENDER = Reply(501, "Bad sender address syntax", "5.1.7")
BAD_RECIPIENT = Reply(501, "Bad recipient address syntax", "5.1.3")
BAD_SIZE = Reply(501, "Bad message size syntax", "5.5.4")
BAD_BDAT = Reply(521, "Syntax: BDAT count [LAST]", "5.5.4", close=True)
NO_CHUNKING = Reply(521, "Error: command not implemented", "5.5.1", close=True)
NO_DSN = Reply(501, "DSN support is disabled", "5.7.1")
TOO_MANY_RECIPIENTS = Reply(452, "Error: too many recipients", "4.5.3")

SIZE_TOO_BIG = Reply(552, "Message size exceeds fixed limit", "5.3.4")
MESSAGE_TOO_BIG = Reply(552, "Error: message file too big", "5.3.4")
CHUNK_TOO_BIG = Reply(552, "Chunk exceeds message size limit", "5.3.4")
HAS_NUL = Reply(554, "Error: NUL octet in message", "5.6.0")


def syntax(usage: str, enhanced: str = "5.5.4") -> Reply:
    """501 with the usage of a command."""
    return Reply(501, f"Syntax: {usage}", enhanced)


def unsupported(option: str) -> Reply:
    """555 for an ESMTP parameter that is not known or has no such value."""
    return Reply(555, f"Unsupported option: {option}", "5.5.4")


def bare_newline(code: int, hostname: str, name: str, *, close: bool = False) -> Reply:
    """What a bare ``LF`` or ``CR`` earns under smtpd_forbid_bare_newline = reject."""
    return Reply(code, f"{hostname} Error: bare <{name}> received", "5.5.2", close=close)


def too_many_errors(hostname: str) -> Reply:
    """421 at smtpd_hard_error_limit."""
    return Reply(421, f"{hostname} Error: too many errors", "4.7.0")


def access_denied(client_label: str) -> Reply:
    """What every command but QUIT gets after a banner that was a refusal."""
    return Reply(503, f"Error: access denied for {client_label}", "5.7.0")
