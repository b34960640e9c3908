"""Restrictions on the client and its HELO. Source: smtpd_client_restrictions, smtpd_helo_restrictions."""

from __future__ import annotations

from gateway.maps.network import parse_address
from gateway.model.restriction import HELO, Restriction
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.net.resolver import DnsNotFound, DnsTemporary
from gateway.restrictions.generic import OK
from gateway.restrictions.hostname import is_address_literal, is_fully_qualified, is_hostname
from gateway.restrictions.place import BuiltIn, Place
from gateway.restrictions.replies import refuse
from gateway.restrictions.tempfail import tempfail


def _permit_mynetworks(place: Place) -> Restriction:
    networks = place.materials.networks

    async def check(session: Session) -> Verdict | None:
        client = session.client
        return OK if await networks.matches(client.name, client.address) else None

    return check


def _permit_inet_interfaces(place: Place) -> Restriction:
    own = place.materials.own_addresses
    return lambda session: OK if parse_address(session.client.address) in own else None


def _reject_unknown_client_hostname(place: Place) -> Restriction:
    code = place.integer("unknown_client_reject_code")

    def check(session: Session) -> Verdict | None:
        client = session.client
        if client.name_code == 2:
            return None
        text = f"Client host rejected: cannot find your hostname, [{client.address}]"
        return refuse(code if client.name_code == 5 else 450, "4.7.25", text)

    return check


def _reject_unknown_reverse_client_hostname(place: Place) -> Restriction:
    code = place.integer("unknown_client_reject_code")

    def check(session: Session) -> Verdict | None:
        client = session.client
        if client.reverse_code == 2:
            return None
        text = f"Client host rejected: cannot find your reverse hostname, [{client.address}]"
        return refuse(code if client.reverse_code == 5 else 450, "4.7.1", text)

    return check


def _bad_literal(session: Session, code: int) -> Verdict | None:
    if is_address_literal(session.helo):
        return None
    return refuse(code, "5.5.2", HELO.refusal(session, "invalid ip address"))


def _reject_invalid_helo_hostname(place: Place) -> Restriction:
    code = place.integer("invalid_hostname_reject_code")

    def check(session: Session) -> Verdict | None:
        name = session.helo
        if not name or is_hostname(name) or parse_address(name):
            return None
        if name.startswith("["):
            return _bad_literal(session, code)
        return refuse(code, "5.5.2", HELO.refusal(session, "Invalid name"))

    return check


def _reject_non_fqdn_helo_hostname(place: Place) -> Restriction:
    code, invalid_code = place.integer("non_fqdn_reject_code"), place.integer("invalid_hostname_reject_code")

    def check(session: Session) -> Verdict | None:
        name = session.helo
        if not name or is_fully_qualified(name):
            return None
        if name.startswith("["):
            return _bad_literal(session, invalid_code)
        return refuse(code, "5.5.2", HELO.refusal(session, "need fully-qualified hostname"))

    return check


def _reject_unknown_helo_hostname(place: Place) -> Restriction:
    code, invalid_code = place.integer("unknown_hostname_reject_code"), place.integer("invalid_hostname_reject_code")
    on_tempfail = tempfail(place, "unknown_helo_hostname_tempfail_action")
    resolver = place.materials.resolver

    async def check(session: Session) -> Verdict | None:
        name = session.helo
        if not name:
            return None
        if name.startswith("["):
            return _bad_literal(session, invalid_code)
        text = HELO.refusal(session, "Host not found")
        try:
            try:
                await resolver.addresses(name)
            except DnsNotFound:
                await resolver.mx(name)
        except DnsNotFound as error:
            return refuse(code, "4.7.1", text, reason=str(error))
        except DnsTemporary as error:
            return on_tempfail(refuse(450, "4.7.1", text, reason=str(error)))
        return None

    return check


CLIENT = {
    "permit_mynetworks": BuiltIn(_permit_mynetworks),
    "permit_inet_interfaces": BuiltIn(_permit_inet_interfaces),
    "reject_unknown_client_hostname": BuiltIn(_reject_unknown_client_hostname),
    "reject_unknown_reverse_client_hostname": BuiltIn(_reject_unknown_reverse_client_hostname),
    "reject_invalid_helo_hostname": BuiltIn(_reject_invalid_helo_hostname),
    "reject_non_fqdn_helo_hostname": BuiltIn(_reject_non_fqdn_helo_hostname),
    "reject_unknown_helo_hostname": BuiltIn(_reject_unknown_helo_hostname),
}
