"""Log lines of smtpd in Postfix's form: pflogsumm, fail2ban and people read them. Source: smtpd(8) as observed."""

from __future__ import annotations

from gateway.model.reply import Reply
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict

STAGE_VERBS = {
    "connect": "CONNECT", "helo": "HELO", "mail": "MAIL", "rcpt": "RCPT", "predata": "DATA", "data": "END-OF-MESSAGE",
}  # fmt: skip
LOGGED_VERBS = frozenset({"MAIL", "RCPT", "DATA", "BDAT", "END-OF-MESSAGE", "VRFY", "EHLO", "HELO"})


def client_line(session: Session) -> str:
    """``QID: client=name[addr]``, with what XFORWARD told."""
    forward = session.forward
    line = f"{session.queue_id}: client={session.client.label}"
    if session.sasl_username:
        line += f", sasl_username={session.sasl_username}"
    if forward is not None:
        if forward.ident:
            line += f", orig_queue_id={forward.ident}"
        if forward.has_client:
            line += f", orig_client={forward.name or 'unknown'}[{forward.address or 'unknown'}]"
    return line


def reject_line(session: Session, stage: str, reply: Reply) -> str:
    """``NOQUEUE: reject: RCPT from name[addr]: 554 5.7.1 text; from=<s> to=<r> proto=ESMTP helo=<h>``."""
    return (
        f"{session.queue_id or 'NOQUEUE'}: reject: {stage} from {session.client.label}: {reply.line}{_context(session)}"
    )


def noted_line(session: Session, stage: str, verdict: Verdict) -> str:
    """``QID: hold: RCPT from name[addr]: text; from=…`` for an access(5) action that was noted.

    Args:
        stage: hook name. verdict: WARN with a code is what warn_if_reject made of a refusal.
    """
    what, text = verdict.action.value.lower(), verdict.text or verdict.argument or verdict.reason
    if verdict.action is Action.WARN and verdict.code:
        what, text = "reject_warning", f"{verdict.code} {verdict.enhanced} {text}"
    where = STAGE_VERBS.get(stage, stage.upper())
    return f"{session.queue_id or 'NOQUEUE'}: {what}: {where} from {session.client.label}: {text}{_context(session)}"


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
