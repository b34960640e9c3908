"""Access tables asked about sender and recipient. Source: access(5), "EMAIL ADDRESS PATTERNS"."""

from __future__ import annotations

from gateway.maps.access_lookup import address_keys
from gateway.maps.address_lookup import Extensions, Key
from gateway.model.restriction import RECIPIENT, SENDER, Restriction, RestrictionContext, Subject
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway_access.answer import answer_of, judge_of, style_of, table_of


def check_sender_access(context: RestrictionContext) -> Restriction:
    """Sender address, its domain and parents, ``user@``; the null sender by ``smtpd_null_access_lookup_key``."""
    return _address_check(context, SENDER)


def check_recipient_access(context: RestrictionContext) -> Restriction:
    """Recipient address, its domain and parents, ``user@``; a source-routed one is never permitted by the table."""
    return _address_check(context, RECIPIENT)


def _address_check(context: RestrictionContext, subject: Subject) -> Restriction:
    table, judge, style = table_of(context), judge_of(context, subject), style_of(context)
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
        verdict = await answer_of(table, judge, session, name, keys)
        # Where user%host@here really goes is anybody's guess: no table may let it relay.
        return None if is_routed and verdict is not None and verdict.action is Action.OK else verdict

    return check
