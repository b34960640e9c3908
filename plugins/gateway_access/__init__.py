"""Access tables: check_client_access, check_helo_access, check_sender_access, check_recipient_access.

Built in, and loaded like any stranger's plugin: it registers four restrictions through the ``restrictions`` hook and
uses nothing that another plugin could not. Source: access(5).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from gateway.hooks import hookimpl
from gateway.maps.access_lookup import address_keys, domain_keys, first_found, network_keys
from gateway.maps.address_lookup import Extensions, Key
from gateway.maps.match_list import Subdomains
from gateway.model.errors import TableError
from gateway.model.restriction import (
    CLIENT,
    HELO,
    RECIPIENT,
    SENDER,
    LookupTable,
    Restriction,
    RestrictionContext,
    RestrictionKind,
    Subject,
)
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions.access_action import Kind, parse_action

SERVER_ERROR = "451 4.3.5 Server configuration error"
"""What a table that fails is taken to say."""

Judge = Callable[..., Awaitable[Verdict | None]]
"""``judge(session, key, value, failure="")``."""


@hookimpl
def restrictions(register: Callable[[str, RestrictionKind], None]) -> None:
    """Add the four checks."""
    for name, factory in (
        ("check_client_access", check_client_access),
        ("check_helo_access", check_helo_access),
        ("check_sender_access", check_sender_access),
        ("check_recipient_access", check_recipient_access),
    ):
        register(name, RestrictionKind(factory, arguments=1, is_bounded=True))


def check_client_access(context: RestrictionContext) -> Restriction:
    """Client name and its parent domains, then address and its networks."""
    table, judge, style = _table(context), _judge(context, CLIENT), _style(context)

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


def check_helo_access(context: RestrictionContext) -> Restriction:
    """HELO name and its parent domains."""
    table, judge, style = _table(context), _judge(context, HELO), _style(context)

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


def check_sender_access(context: RestrictionContext) -> Restriction:
    """Sender address, its domain and parents, ``user@``; the null sender by ``smtpd_null_access_lookup_key``."""
    return _address_check(context, SENDER)


def check_recipient_access(context: RestrictionContext) -> Restriction:
    """Recipient address, its domain and parents, ``user@``; a source-routed one is never permitted by the table."""
    return _address_check(context, RECIPIENT)


def _address_check(context: RestrictionContext, subject: Subject) -> Restriction:
    table, judge, style = _table(context), _judge(context, subject), _style(context)
    null_key, extensions = context.text("smtpd_null_access_lookup_key"), Extensions.of(context)

    async def check(session: Session) -> Verdict | None:
        address = session.sender if subject is SENDER else session.recipient
        if address is None:
            return None
        is_routed = False
        name, keys = null_key, iter((Key(null_key),))
        if address:
            resolved = await context.resolve(address)
            is_routed = resolved.is_routed and subject is RECIPIENT
            name, keys = resolved.address, address_keys(resolved.address, style, extensions)
        elif subject is RECIPIENT:
            return None
        try:
            found = await first_found(table, keys)
        except TableError as error:
            return await judge(session, name, SERVER_ERROR, str(error))
        verdict = await judge(session, *found) if found else None
        # Where user%host@here really goes is anybody's guess: no table may let it relay.
        return None if is_routed and verdict is not None and verdict.action is Action.OK else verdict

    return check


def _table(context: RestrictionContext) -> LookupTable:
    return context.table(context.arguments[0])


def _style(context: RestrictionContext) -> Subdomains:
    is_listed = "smtpd_access_maps" in context.words("parent_domain_matches_subdomains")
    return Subdomains.PARENT if is_listed else Subdomains.DOT


def _judge(context: RestrictionContext, subject: Subject) -> Judge:
    """Turns a table's answer into a verdict about ``subject``."""
    spec = context.arguments[0]
    reject_code, defer_code = context.integer("access_map_reject_code"), context.integer("access_map_defer_code")
    is_after_content = context.parameter == "smtpd_end_of_data_restrictions"

    async def judge(session: Session, key: str, value: str, failure: str = "") -> Verdict | None:
        action = parse_action(value)
        if action.kind is Kind.RESTRICTIONS:
            return await context.apply(action.argument, session, subject)
        if action.problem:
            context.warn(f'access table {spec} entry "{key}" {action.problem}')
        if is_after_content and action.action is Action.PREPEND:
            context.warn(f"access table {spec}: PREPEND comes too late in smtpd_end_of_data_restrictions")
            return None
        verdict = action.verdict(subject, session, reject_code=reject_code, defer_code=defer_code)
        if verdict is None or not (verdict.is_refusal or failure):
            return verdict
        return msgspec.structs.replace(verdict, reason=failure or f"{context.name} {spec}: {key}")

    return judge
