"""Access tables asked about the client: its names and address, its HELO, its login. Source: postconf(5),
smtpd_client_restrictions, smtpd_helo_restrictions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from gateway.maps.access_lookup import domain_keys, network_keys
from gateway.maps.address_lookup import Key
from gateway.model.restriction import CLIENT, HELO, Restriction, RestrictionContext, Subject
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway_access.answer import Judge, answer_of, judge_of, never_permitting, style_of, table_of

REVERSE_CLIENT = Subject("Unverified Client host", lambda session: session.client.reverse_name)
LOGIN = Subject("SASL login name", lambda session: session.sasl_username)


def check_client_access(context: RestrictionContext) -> Restriction:
    """Client name and its parent domains, then address and its networks."""
    return _check(context, judge_of(context, CLIENT), lambda session: session.client.name)


def check_reverse_client_hostname_access(context: RestrictionContext) -> Restriction:
    """The name that the address has, verified or not, and its parents, then address and networks; never permits."""
    return _check(context, never_permitting(context, REVERSE_CLIENT), lambda session: session.client.reverse_name)


def _check(context: RestrictionContext, judge: Judge, name_of: Callable[[Session], str]) -> Restriction:
    """A check of one of the client's names and of its address."""
    table, style = table_of(context), style_of(context)

    async def check(session: Session) -> Verdict | None:
        name = name_of(session)
        keys = chain(domain_keys(name, style), network_keys(session.client.address))
        return await answer_of(table, judge, session, name, keys)

    return check


def check_helo_access(context: RestrictionContext) -> Restriction:
    """HELO name and its parent domains."""
    table, judge, style = table_of(context), judge_of(context, HELO), style_of(context)

    async def check(session: Session) -> Verdict | None:
        # Without a name there are no keys: nothing is said before HELO.
        return await answer_of(table, judge, session, session.helo, domain_keys(session.helo, style))

    return check


def check_sasl_access(context: RestrictionContext) -> Restriction:
    """The login name as a whole; nothing without ``smtpd_sasl_auth_enable``, as with Postfix."""
    table, judge = table_of(context), judge_of(context, LOGIN)
    if not has_logins(context):
        return lambda _session: None

    async def check(session: Session) -> Verdict | None:
        login = session.sasl_username
        return await answer_of(table, judge, session, login, (Key(login),)) if login else None

    return check


def has_logins(context: RestrictionContext) -> bool:
    """Whether clients may log in here, or a proxy may say that they have (XCLIENT LOGIN)."""
    return context.text("smtpd_sasl_auth_enable").lower() == "yes"
