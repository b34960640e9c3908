"""Restrictions that ask nobody: permit, reject, defer and their kin. Source: postconf(5), smtpd_client_restrictions."""

from __future__ import annotations

import asyncio

import msgspec

from gateway.model.errors import ConfigError
from gateway.model.restriction import Restriction
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions.place import BuiltIn, Place
from gateway.restrictions.replies import refuse

OK = Verdict(Action.OK)
_AFTER_RCPT = frozenset({"smtpd_data_restrictions", "smtpd_end_of_data_restrictions"})


def _permit(_place: Place) -> Restriction:
    return lambda _session: OK


def _refusing(code_parameter: str, enhanced: str, text: str) -> BuiltIn:
    def factory(place: Place) -> Restriction:
        code, subject = place.integer(code_parameter), place.subject
        return lambda session: refuse(code, enhanced, subject.refusal(session, text))

    return BuiltIn(factory)


def _conditional(action: Action) -> BuiltIn:
    text = f"{action.value.lower()} requested"

    def factory(place: Place) -> Restriction:
        subject = place.subject
        return lambda session: msgspec.structs.replace(
            refuse(450, "4.7.0", subject.refusal(session, text)), action=action
        )

    return BuiltIn(factory)


def _sleep(place: Place) -> Restriction:
    (text,) = place.arguments
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"sleep must be followed by a number of seconds, not {text}", parameter=place.parameter)
    seconds = int(text)

    async def sleep(_session: Session) -> None:
        await asyncio.sleep(seconds)

    return sleep


def _reject_unauth_pipelining(place: Place) -> Restriction:
    subject = place.subject

    def check(session: Session) -> Verdict | None:
        if not session.had_pipelining_violation:
            return None
        text = subject.refusal(session, "Improper use of SMTP command pipelining")
        return refuse(503, "5.5.0", text)

    return check


def _reject_plaintext_session(place: Place) -> Restriction:
    code = place.integer("plaintext_reject_code")

    def check(session: Session) -> Verdict | None:
        return None if session.tls_protocol else refuse(code, "4.7.1", "Session encryption is required")

    return check


def _reject_multi_recipient_bounce(place: Place) -> Restriction:
    code, subject = place.integer("multi_recipient_bounce_reject_code"), place.subject
    # At RCPT the one that is judged is not counted yet.
    allowed = 1 if place.parameter in _AFTER_RCPT else 0

    def check(session: Session) -> Verdict | None:
        if session.sender is None or session.sender or session.rcpt_count <= allowed:
            return None
        return refuse(code, "5.5.3", subject.refusal(session, "Multi-recipient bounce"))

    return check


def _permit_sasl_authenticated(place: Place) -> Restriction:
    # Without it nobody has logged in here, whatever XCLIENT says: as with Postfix.
    if not place.materials.config.boolean("smtpd_sasl_auth_enable"):
        return lambda _session: None
    return lambda session: OK if session.sasl_username else None


GENERIC = {
    "permit": BuiltIn(_permit),
    "reject": _refusing("reject_code", "5.7.1", "Access denied"),
    "defer": _refusing("defer_code", "4.3.2", "Try again later"),
    "defer_if_permit": _conditional(Action.DEFER_IF_PERMIT),
    "defer_if_reject": _conditional(Action.DEFER_IF_REJECT),
    "sleep": BuiltIn(_sleep, arguments=1),
    "reject_unauth_pipelining": BuiltIn(_reject_unauth_pipelining),
    "reject_plaintext_session": BuiltIn(_reject_plaintext_session),
    "reject_multi_recipient_bounce": BuiltIn(_reject_multi_recipient_bounce),
    "permit_sasl_authenticated": BuiltIn(_permit_sasl_authenticated),
}
