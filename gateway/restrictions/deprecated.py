"""Restrictions that Postfix 3.7 still carries out, without documenting them: it warns at their use, we do at load."""

from __future__ import annotations

from gateway.maps.network import parse_address
from gateway.model.restriction import HELO, RECIPIENT, Restriction
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.restrictions.generic import OK
from gateway.restrictions.place import BuiltIn, Place
from gateway.restrictions.replies import refuse

_NUMERIC = frozenset("0123456789.:")


def _permit_naked_ip_address(place: Place) -> Restriction:
    """Permits who says HELO with an address and no brackets; a malformed one is refused."""
    place.warn(
        f"{place.parameter}: permit_naked_ip_address permits whoever says HELO 1.2.3.4; it is deprecated: use"
        " permit_mynetworks or permit_sasl_authenticated"
    )
    code = place.integer("invalid_hostname_reject_code")

    def check(session: Session) -> Verdict | None:
        name = session.helo
        if not name or not _NUMERIC.issuperset(name):
            return None
        if parse_address(name) is not None:
            return OK
        return refuse(code, "5.5.2", HELO.refusal(session, "invalid ip address"))

    return check


def _check_relay_domains(place: Place) -> Restriction:
    """Permits recipients whose destination is ours, and refuses all others."""
    place.warn(f"{place.parameter}: check_relay_domains is deprecated: use reject_unauth_destination")
    code = place.integer("relay_domains_reject_code")

    async def check(session: Session) -> Verdict | None:
        recipient = session.recipient
        if recipient and (await place.resolve(recipient)).is_authorized:
            return OK
        return refuse(code, "5.7.1", RECIPIENT.refusal(session, "Relay access denied")) if recipient else None

    return check


DEPRECATED = {
    "permit_naked_ip_address": BuiltIn(_permit_naked_ip_address),
    "check_relay_domains": BuiltIn(_check_relay_domains),
}
