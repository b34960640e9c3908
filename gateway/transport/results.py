"""From what a server or the network said to a Status, in Postfix's words.

Source: RFC 3463 (codes), RFC 5321 §4.2.1, §4.5.3.1.10 (552 to RCPT); texts as Postfix's smtp(8) logs them.
"""

from __future__ import annotations

from gateway.model.delivery import Outcome, Status
from gateway.net.resolver import DnsError, DnsTemporary, NullMx
from gateway.proto.server_reply import ServerReply
from gateway.proto.smtp_client import Verb
from gateway.transport.endpoint import Endpoint

_COMMANDS = {
    Verb.MAIL: "MAIL FROM command",
    Verb.RCPT: "RCPT TO command",
    Verb.DATA: "DATA command",
    Verb.END: "end of DATA command",
}


def refused(endpoint: Endpoint, reply: ServerReply, verb: Verb) -> Status:
    """A command got something else than success: 5xx bounces, all else is deferred."""
    code, dsn = reply.code, reply.dsn
    if verb is Verb.RCPT and code == 552:
        code, dsn = 452, "4" + dsn[1:]  # RFC 5321 §4.5.3.1.10: too many recipients, from servers of RFC 821
    if code < 400:
        dsn = "4.5.0"  # 2xx or 3xx where it makes no sense
    text = f"host {endpoint.label} said: {reply.line} (in reply to {_COMMANDS[verb]})"
    outcome = Outcome.BOUNCED if code >= 500 else Outcome.DEFERRED
    return Status(outcome, dsn, text, endpoint.relay, reply.text)


def accepted(endpoint: Endpoint, reply: ServerReply, *, has_dsn: bool = False) -> Status:
    """End of data got a 2xx. ``has_dsn``: the server was given the recipient's NOTIFY (RFC 3461 §5.2)."""
    return Status(Outcome.SENT, reply.dsn, reply.line, endpoint.relay, reply.text, has_dsn)


def unwelcome(endpoint: Endpoint, reply: ServerReply, *, is_soft: bool) -> Status:
    """The greeting, or the reply to EHLO and HELO, sends us away. ``is_soft``: 5xx defers as well."""
    dsn, outcome = reply.dsn, Outcome.DEFERRED
    if reply.code >= 500:
        outcome = Outcome.DEFERRED if is_soft else Outcome.BOUNCED
        dsn = "4" + dsn[1:] if is_soft else dsn
    elif reply.code < 400:
        dsn = "4.5.0"
    return Status(
        outcome, dsn, f"host {endpoint.label} refused to talk to me: {reply.line}", endpoint.relay, reply.text
    )


def unreachable(endpoint: Endpoint, reason: str) -> Status:
    """No connection."""
    where = f"{endpoint.label}:{endpoint.port}" if endpoint.port else endpoint.label
    return Status(Outcome.DEFERRED, "4.4.1", f"connect to {where}: {reason}")


def unresolved(error: DnsError) -> Status:
    """No address to connect to: null MX 5.1.0, not found 5.4.4, no answer 4.4.3."""
    if isinstance(error, NullMx):
        return Status(Outcome.BOUNCED, "5.1.0", error.reason)
    text = f"Host or domain name not found. {error}"
    if isinstance(error, DnsTemporary):
        return Status(Outcome.DEFERRED, "4.4.3", text)
    return Status(Outcome.BOUNCED, "5.4.4", text)


def deferred(dsn: str, text: str, endpoint: Endpoint | None = None) -> Status:
    """Our own trouble, or a conversation that broke."""
    return Status(Outcome.DEFERRED, dsn, text, endpoint.relay if endpoint else "none")


def bounced(dsn: str, text: str, endpoint: Endpoint | None = None) -> Status:
    """Cannot be delivered, by our own judgement."""
    return Status(Outcome.BOUNCED, dsn, text, endpoint.relay if endpoint else "none")
