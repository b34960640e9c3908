"""DNS block lists and allow lists: reject_rbl_client, reject_rhsbl_*, permit_dnswl_client, permit_rhswl_client.

Built in, and loaded like any stranger's plugin. A block list that does not answer blocks nobody; an allow list that
does not answer makes a later rejection temporary. Nothing that is listed nowhere costs more than one DNS question for
each list and connection. Source: postconf(5), RFC 5782.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from gateway.hooks import hookimpl
from gateway.model.errors import ConfigError
from gateway.model.restriction import (
    CLIENT,
    HELO,
    RECIPIENT,
    SENDER,
    Factory,
    Restriction,
    RestrictionContext,
    RestrictionKind,
    Subject,
)
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions.replies import refuse
from gateway_rbl.dns_list import DnsList, address_key, domain_key
from gateway_rbl.reply import UNAVAILABLE, Blocked, Replies

REVERSE_CLIENT = Subject("Unverified Client host", lambda session: session.client.reverse_name)
_AFTER_RCPT = frozenset({"smtpd_data_restrictions", "smtpd_end_of_data_restrictions"})


class Target(msgspec.Struct, frozen=True):
    """What a restriction looks for in a list.

    Args:
        subject: what it is called in replies.
        what: gives it; empty or ``unknown`` when the session has none.
        key: turns it into what stands before the list's domain; empty when it cannot be listed.
    """

    subject: Subject
    what: Callable[[Session], str]
    key: Callable[[str], str]

    def find(self, session: Session) -> tuple[str, str] | None:
        """The thing, and the key to ask for; None when there is nothing to ask."""
        what = self.what(session)
        if not what or what.lower() == "unknown":
            return None
        key = self.key(what)
        return (what, key) if key else None


ADDRESS = Target(CLIENT, lambda session: session.client.address, address_key)
NAME = Target(CLIENT, lambda session: session.client.name, domain_key)
REVERSE_NAME = Target(REVERSE_CLIENT, lambda session: session.client.reverse_name, domain_key)
HELO_NAME = Target(HELO, lambda session: session.helo, domain_key)
FROM = Target(SENDER, lambda session: str(session.sender or ""), domain_key)
TO = Target(RECIPIENT, lambda session: str(session.recipient or ""), domain_key)


@hookimpl
def restrictions(register: Callable[[str, RestrictionKind], None]) -> None:
    """Add the restrictions, ``reject_rbl`` and ``reject_maps_rbl`` of old among them."""
    for name, target in (
        ("reject_rbl_client", ADDRESS),
        ("reject_rbl", ADDRESS),
        ("reject_rhsbl_client", NAME),
        ("reject_rhsbl_reverse_client", REVERSE_NAME),
        ("reject_rhsbl_helo", HELO_NAME),
        ("reject_rhsbl_sender", FROM),
        ("reject_rhsbl_recipient", TO),
    ):
        register(name, RestrictionKind(blocking(target), arguments=1, is_bounded=True, tables=("rbl_reply_maps",)))
    register("reject_maps_rbl", RestrictionKind(reject_maps_rbl, is_bounded=True, tables=("rbl_reply_maps",)))
    for name, target in (("permit_dnswl_client", ADDRESS), ("permit_rhswl_client", NAME)):
        register(name, RestrictionKind(permitting(target), arguments=1, is_bounded=True))


def blocking(target: Target) -> Factory:
    """A restriction that refuses what is in its list."""

    def factory(context: RestrictionContext) -> Restriction:
        return _block(context, target, (_argument(context),))

    return factory


def reject_maps_rbl(context: RestrictionContext) -> Restriction:
    """The lists of ``maps_rbl_domains``, one after the other."""
    context.warn(f'{context.parameter}: reject_maps_rbl is obsolete: write "reject_rbl_client domain" for each list')
    try:
        lists = tuple(map(DnsList.parse, context.words("maps_rbl_domains")))
    except ConfigError as error:
        raise ConfigError(error.message, parameter="maps_rbl_domains") from error
    return _block(context, ADDRESS, lists)


def _argument(context: RestrictionContext) -> DnsList:
    (spec,) = context.arguments
    dns_list = DnsList.parse(spec)
    if "." not in dns_list.domain:
        context.warn(f'{context.parameter}: {context.name} takes "{spec}" for the domain name of its list')
    return dns_list


def _block(context: RestrictionContext, target: Target, lists: tuple[DnsList, ...]) -> Restriction:
    replies = Replies(context)

    async def check(session: Session) -> Verdict | None:
        found = target.find(session)
        if found is None:
            return None
        what, key = found
        for dns_list in lists:
            answer = await dns_list.ask(context, session, key)
            if dns_list.covers(answer):
                return await replies.refusal(session, Blocked(target.subject, what, dns_list, answer))
        return None

    return check


def permitting(target: Target) -> Factory:
    """A restriction that permits what is in its list, but at RCPT no recipient whom strangers must not relay to."""

    def factory(context: RestrictionContext) -> Restriction:
        dns_list, may_relay = _argument(context), _relay_check(context)

        async def check(session: Session) -> Verdict | None:
            found = target.find(session)
            if found is None or not await may_relay(session):
                return None
            what, key = found
            answer = await dns_list.ask(context, session, key)
            reason = f"{context.name} {dns_list.spec}: {answer.query}"
            if answer.is_failure:
                text = f"<{what}>: {CLIENT.label} rejected: {UNAVAILABLE}"
                return msgspec.structs.replace(refuse(450, "4.7.1", text, reason=reason), action=Action.DEFER_IF_REJECT)
            return Verdict.ok(reason) if dns_list.covers(answer) else None

        return check

    return factory


def _relay_check(context: RestrictionContext) -> Callable[[Session], Awaitable[bool]]:
    """Tells whether a permission would leave reject_unauth_destination as it is."""
    is_after_rcpt = context.parameter in _AFTER_RCPT

    async def may_permit(session: Session) -> bool:
        recipient = session.recipient
        return is_after_rcpt or not recipient or (await context.resolve(recipient)).is_authorized

    return may_permit
