"""The table that a check names, and what its answers mean. Source: access(5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import msgspec

from gateway.maps.access_lookup import first_found
from gateway.maps.address_lookup import Key
from gateway.maps.match_list import Subdomains
from gateway.model.errors import TableError
from gateway.model.restriction import LookupTable, RestrictionContext, Subject
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions.access_action import Kind, parse_action
from gateway.restrictions.replies import server_error

SERVER_ERROR = "451 4.3.5 Server configuration error"
"""What a table that fails is taken to say."""

Judge = Callable[..., Awaitable[Verdict | None]]
"""``judge(session, key, value, failure="")``."""


def table_of(context: RestrictionContext) -> LookupTable:
    """The table behind the restriction's name. Raises ConfigError."""
    return context.table(context.arguments[0])


def style_of(context: RestrictionContext) -> Subdomains:
    """How parents of a domain are written. Source: parent_domain_matches_subdomains."""
    is_listed = "smtpd_access_maps" in context.words("parent_domain_matches_subdomains")
    return Subdomains.PARENT if is_listed else Subdomains.DOT


async def answer_of(
    table: LookupTable, judge: Judge, session: Session, name: str, keys: Iterable[Key]
) -> Verdict | None:
    """What the table says of the first of the keys that it knows.

    Args:
        table: is asked.
        judge: turns its answer into a verdict; a table that has no answer now is one, too.
        session: the session.
        name: whom the keys are about, for the log.
        keys: in asking order.
    """
    try:
        found = await first_found(table, keys)
    except TableError as error:
        return await judge(session, name, SERVER_ERROR, str(error))
    return await judge(session, *found) if found else None


def judge_of(context: RestrictionContext, subject: Subject) -> Judge:
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


def never_permitting(context: RestrictionContext, subject: Subject) -> Judge:
    """The same, for what the client, or whoever writes DNS records, chooses at will: OK of a table is a 451.

    Source: postconf(5), "a result of OK is not allowed for safety reasons".
    """
    judge, spec = judge_of(context, subject), context.arguments[0]

    async def refuse_to_permit(session: Session, key: str, value: str, failure: str = "") -> Verdict | None:
        verdict = await judge(session, key, value, failure)
        if verdict is None or verdict.action is not Action.OK:
            return verdict
        context.warn(f"{context.name} {spec}: OK would let in whoever writes the name; make exceptions with DUNNO")
        return server_error(f"{context.name} {spec}: {key}: OK is not allowed here")

    return refuse_to_permit
