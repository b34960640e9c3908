"""Log lines of smtpd in Postfix's form: pflogsumm, fail2ban and people read them. Source: smtpd(8) as observed."""

from __future__ import annotations

from gateway.model.reply import Reply
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict

LOGGED_VERBS = frozenset({"MAIL", "RCPT", "DATA", "BDAT", "END-OF-MESSAGE", "VRFY", "EHLO", "HELO"})
_ORDER = (
    "helo", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "bdat", "rset", "noop", "vrfy", "etrn",
    "quit", "xclient", "xforward",
)  # fmt: skip
_KNOWN = frozenset(_ORDER)


class CommandCount:
    """Commands of one connection: accepted and all, by verb."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}

    def add(self, verb: str, is_accepted: bool) -> None:
        """Count one command, verb in lower case."""
        counts = self._counts
        entry = counts.get(verb)
        if entry is None:
            key = verb if verb in _KNOWN else "data" if verb == "end-of-message" else "unknown"
            entry = counts.setdefault(key, [0, 0])
        entry[0] += is_accepted
        entry[1] += 1

    def summary(self) -> str:
        """`` ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4``, or empty when there was no command."""
        if not self._counts:
            return " commands=0/0"
        parts = [f" {verb}={_ratio(*self._counts[verb])}" for verb in (*_ORDER, "unknown") if verb in self._counts]
        accepted = sum(entry[0] for entry in self._counts.values())
        total = sum(entry[1] for entry in self._counts.values())
        return "".join(parts) + f" commands={_ratio(accepted, total)}"


def _ratio(accepted: int, total: int) -> str:
    return str(total) if accepted == total else f"{accepted}/{total}"


def client_line(session: Session) -> str:
    """``QID: client=name[addr]``, with what XFORWARD told."""
    forward = session.forward
    line = f"{session.queue_id}: client={session.client.label}"
    if session.sasl_username:
        line += f", sasl_username={session.sasl_username}"
    if forward is not None:
        if forward.ident:
            line += f", orig_queue_id={forward.ident}"
        line += f", orig_client={forward.name}[{forward.address}]"
    return line


def reject_line(session: Session, stage: str, reply: Reply) -> str:
    """``NOQUEUE: reject: RCPT from name[addr]: 554 5.7.1 text; from=<s> to=<r> proto=ESMTP helo=<h>``."""
    return (
        f"{session.queue_id or 'NOQUEUE'}: reject: {stage} from {session.client.label}: {reply.line}{_context(session)}"
    )


def action_line(session: Session, verdict: Verdict) -> str:
    """The line for an access(5) action that changes the fate of the message, empty for others."""
    if verdict.action not in (Action.HOLD, Action.DISCARD, Action.FILTER, Action.REDIRECT, Action.BCC, Action.PREPEND):
        return ""
    what = verdict.action.value.lower()
    detail = verdict.argument or verdict.text
    return f"{session.queue_id}: {what}: END-OF-MESSAGE from {session.client.label}: {detail}{_context(session)}"


def _context(session: Session) -> str:
    parts = []
    if session.sender is not None:
        parts.append(f"from=<{session.sender.quoted}>")
    if session.recipient is not None:
        parts.append(f"to=<{session.recipient.quoted}>")
    elif len(session.recipients) == 1:
        parts.append(f"to=<{session.recipients[0].address.quoted}>")
    parts.append(f"proto={session.protocol}")
    if session.helo:
        parts.append(f"helo=<{session.helo}>")
    return "; " + " ".join(parts)
