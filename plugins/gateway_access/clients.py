"""Access tables asked about the client: its names and address, its HELO, its login. Source: postconf(5),
smtpd_client_restrictions, smtpd_helo_restrictions.
"""

from __future__ import annotations

from gateway.maps.access_lookup import domain_keys, first_found, network_keys
from gateway.maps.address_lookup import Key
from gateway.model.errors import TableError
from gateway.model.restriction import CLIENT, HELO, Restriction, RestrictionContext, Subject
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway_access.answer import SERVER_ERROR, judge_of, never_permitting, style_of, table_of

REVERSE_CLIENT = Subject("Unverified Client host", lambda session: session.client.reverse_name)
LOGIN = Subject("SASL login name", lambda session: session.sasl_username)


def check_client_access(context: RestrictionContext) -> Restriction:
    """Client name and its parent domains, then address and its networks."""
    table, judge, style = table_of(context), judge_of(context, CLIENT), style_of(context)

    async def check(session: Session) -> Verdict | None:
        client = session.client
        try:
            found = await first_found(table, domain_keys(client.name, style)) or await first_found(
                table, network_keys(client.address)
            )
        except TableError as error:
            return await judge(session, client.name, SERVER_ERROR, str(error))
        return await judge(session, *found) if found else None

    return check


def check_reverse_client_hostname_access(context: RestrictionContext) -> Restriction:
    """The name that the address has, verified or not, and its parents, then address and networks; never permits."""
    table, judge, style = table_of(context), never_permitting(context, REVERSE_CLIENT), style_of(context)

    async def check(session: Session) -> Verdict | None:
        client = session.client
        try:
            found = await first_found(table, domain_keys(client.reverse_name, style)) or await first_found(
                table, network_keys(client.address)
            )
        except TableError as error:
            return await judge(session, client.reverse_name, SERVER_ERROR, str(error))
        return await judge(session, *found) if found else None

    return check


def check_helo_access(context: RestrictionContext) -> Restriction:
    """HELO name and its parent domains."""
    table, judge, style = table_of(context), judge_of(context, HELO), style_of(context)

    async def check(session: Session) -> Verdict | None:
        name = session.helo
        if not name:
            return None
        try:
            found = await first_found(table, domain_keys(name, style))
        except TableError as error:
            return await judge(session, name, SERVER_ERROR, str(error))
        return await judge(session, *found) if found else None

    return check


def check_sasl_access(context: RestrictionContext) -> Restriction:
    """The login name as a whole; nothing without ``smtpd_sasl_auth_enable``, as with Postfix."""
    table, judge = table_of(context), judge_of(context, LOGIN)
    if not has_logins(context):
        return lambda _session: None

    async def check(session: Session) -> Verdict | None:
        login = session.sasl_username
        if not login:
            return None
        try:
            found = await first_found(table, (Key(login),))
        except TableError as error:
            return await judge(session, login, SERVER_ERROR, str(error))
        return await judge(session, *found) if found else None

    return check


def has_logins(context: RestrictionContext) -> bool:
    """Whether clients may log in here, or a proxy may say that they have (XCLIENT LOGIN)."""
    return context.text("smtpd_sasl_auth_enable").lower() == "yes"
