"""Who may use which sender address: reject_sender_login_mismatch and its kin.

``smtpd_sender_login_maps`` gives for a sender address the logins that own it. A client that is logged in may use what
it owns; one that is not may use what nobody owns. Without ``smtpd_sasl_auth_enable`` there are no logins, and the
restrictions are ignored with a warning, as Postfix does. Source: postconf(5), smtpd_sender_login_maps,
smtpd_sender_restrictions.
"""

from __future__ import annotations

import re

import msgspec

from gateway.model.errors import TableError
from gateway.model.restriction import SENDER, Factory, Restriction, RestrictionContext
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.restrictions.replies import lookup_failure, refuse
from gateway_access.clients import has_logins

LOGIN_MAPS = "smtpd_sender_login_maps"
_SEPARATORS = re.compile(r"[, \t\r\n]+")


class Rule(msgspec.Struct, frozen=True):
    """Which senders one restriction looks at.

    Args:
        binds_logins: clients that are logged in must own the address.
        binds_strangers: others must not use an address with an owner.
        spares_unowned: an address that nobody owns is anybody's, logged in or not.
    """

    binds_logins: bool = True
    binds_strangers: bool = True
    spares_unowned: bool = False


_RULES = {
    "reject_sender_login_mismatch": Rule(),
    "reject_authenticated_sender_login_mismatch": Rule(binds_strangers=False),
    "reject_unauthenticated_sender_login_mismatch": Rule(binds_logins=False),
    "reject_known_sender_login_mismatch": Rule(spares_unowned=True),
}


def sender_login_restrictions() -> dict[str, Factory]:
    """The four restrictions by name."""
    return {name: _factory(rule) for name, rule in _RULES.items()}


def _factory(rule: Rule) -> Factory:
    def factory(context: RestrictionContext) -> Restriction:
        # Without tables nobody owns anything, and who is logged in may send as nobody: as with Postfix.
        owners_of = context.address_question(LOGIN_MAPS) or _nobody
        if not has_logins(context):
            context.warn(f"{context.parameter}: {context.name} is ignored: smtpd_sasl_auth_enable = no")
            return _ignored

        async def check(session: Session) -> Verdict | None:
            sender, login = session.sender, session.sasl_username
            if not sender or not (rule.binds_logins if login else rule.binds_strangers):
                return None
            try:
                owners = await owners_of((await context.resolve(sender)).address)
            except TableError as error:
                return lookup_failure(str(sender), str(error))
            if owners is None:
                if not login or rule.spares_unowned:
                    return None
            elif not login:
                return refuse(553, "5.7.1", SENDER.refusal(session, "not logged in"))
            elif owns(login, owners):
                return None
            return refuse(553, "5.7.1", SENDER.refusal(session, f"not owned by user {login}"))

        return check

    return factory


def _ignored(_session: Session) -> None:
    return None


async def _nobody(_address: str) -> str | None:
    return None


def owns(login: str, owners: str) -> bool:
    """Whether a login is among owners separated by commas and white space; case does not matter."""
    folded = login.casefold()
    return any(owner.casefold() == folded for owner in _SEPARATORS.split(owners) if owner)
