"""Restrictions on sender and recipient addresses. Source: smtpd_sender_restrictions, smtpd_recipient_restrictions."""

from __future__ import annotations

from gateway.model.address import Address
from gateway.model.restriction import RECIPIENT, SENDER, Restriction, Subject
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.net.resolver import DnsNotFound, DnsTemporary, NullMx
from gateway.restrictions.generic import OK
from gateway.restrictions.hostname import is_fully_qualified
from gateway.restrictions.place import BuiltIn, Place
from gateway.restrictions.progress import progress_of
from gateway.restrictions.replies import refuse
from gateway.restrictions.tempfail import tempfail


def _address(session: Session, subject: Subject) -> Address | None:
    """The address that is judged; None for the null sender, and where there is none."""
    address = session.sender if subject is SENDER else session.recipient
    return address or None


def _is_literal(domain: str) -> bool:
    return domain.startswith("[") and domain.endswith("]")


def _non_fqdn(subject: Subject) -> BuiltIn:
    def factory(place: Place) -> Restriction:
        code = place.integer("non_fqdn_reject_code")

        def check(session: Session) -> Verdict | None:
            address = _address(session, subject)
            if address is None or _is_literal(address.domain) or is_fully_qualified(address.domain):
                return None
            return refuse(code, "4.5.2", subject.refusal(session, "need fully-qualified address"))

        return check

    return BuiltIn(factory)


def _unknown_domain(subject: Subject) -> BuiltIn:
    enhanced, null_code, null_enhanced = ("4.1.8", 550, "5.7.27") if subject is SENDER else ("4.1.2", 556, "5.1.10")

    def factory(place: Place) -> Restriction:
        code, resolver = place.integer("unknown_address_reject_code"), place.materials.resolver
        on_tempfail = tempfail(place, "unknown_address_tempfail_action")

        async def check(session: Session) -> Verdict | None:
            address = _address(session, subject)
            if address is None:
                return None
            resolved = await place.resolve(address)
            if resolved.is_final or _is_literal(resolved.domain):
                return None
            domain, text = resolved.domain, subject.refusal(session, "Domain not found")
            try:
                try:
                    await resolver.mx(domain)
                except NullMx:
                    text = subject.refusal(session, f"Domain {domain} does not accept mail (nullMX)")
                    return refuse(null_code, null_enhanced, text)
                except DnsNotFound:
                    await resolver.addresses(domain)
            except DnsNotFound as error:
                return refuse(code, enhanced, text, reason=str(error))
            except DnsTemporary as error:
                return on_tempfail(refuse(450, enhanced, text, reason=str(error)))
            return None

        return check

    return BuiltIn(factory)


def _permit_auth_destination(place: Place) -> Restriction:
    async def check(session: Session) -> Verdict | None:
        recipient = session.recipient
        return OK if recipient and (await place.resolve(recipient)).is_authorized else None

    return check


def relay_denied(session: Session, code: int) -> Verdict:
    """The refusal of a stranger's mail to a stranger."""
    return refuse(code, "5.7.1", f"<{session.recipient or ''}>: Relay access denied")


def _unauth_destination(offset: int) -> BuiltIn:
    def factory(place: Place) -> Restriction:
        code = place.integer("relay_domains_reject_code") - offset

        async def check(session: Session) -> Verdict | None:
            recipient = session.recipient
            if not recipient or (await place.resolve(recipient)).is_authorized:
                return None
            return relay_denied(session, code)

        return check

    return BuiltIn(factory)


def _reject_unlisted_sender(place: Place) -> Restriction:
    addresses = place.materials.addresses

    async def check(session: Session) -> Verdict | None:
        progress = progress_of(session)
        if not session.sender or progress.is_sender_checked:
            return None
        progress.is_sender_checked = True
        return await addresses.check(session, session.sender, SENDER)

    return check


def _reject_unlisted_recipient(place: Place) -> Restriction:
    addresses = place.materials.addresses

    async def check(session: Session) -> Verdict | None:
        progress = progress_of(session)
        if not session.recipient or progress.is_recipient_checked:
            return None
        progress.is_recipient_checked = True
        return await addresses.check(session, session.recipient, RECIPIENT)

    return check


ADDRESS = {
    "reject_non_fqdn_sender": _non_fqdn(SENDER),
    "reject_non_fqdn_recipient": _non_fqdn(RECIPIENT),
    "reject_unknown_sender_domain": _unknown_domain(SENDER),
    "reject_unknown_recipient_domain": _unknown_domain(RECIPIENT),
    "reject_unlisted_sender": BuiltIn(_reject_unlisted_sender),
    "reject_unlisted_recipient": BuiltIn(_reject_unlisted_recipient),
    "permit_auth_destination": BuiltIn(_permit_auth_destination),
    "reject_unauth_destination": _unauth_destination(0),
    "defer_unauth_destination": _unauth_destination(100),
}
