"""Access tables, and who may use which sender address: check_*_access, reject_*sender_login_mismatch.

Built in, and loaded like any stranger's plugin: it registers restrictions through the ``restrictions`` hook and uses
nothing that another plugin could not. What is looked up, and in which order: ``clients``, ``addresses``, ``servers``;
what a table's answer means: ``answer``; logins and sender addresses: ``sender_login``. Source: access(5), postconf(5).
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.hooks import hookimpl
from gateway.model.restriction import RestrictionKind
from gateway_access.addresses import check_recipient_access, check_sender_access
from gateway_access.clients import (
    check_client_access,
    check_helo_access,
    check_reverse_client_hostname_access,
    check_sasl_access,
)
from gateway_access.sender_login import LOGIN_MAPS, sender_login_restrictions
from gateway_access.servers import server_checks

_CHECKS = {
    "check_client_access": check_client_access,
    "check_reverse_client_hostname_access": check_reverse_client_hostname_access,
    "check_helo_access": check_helo_access,
    "check_sender_access": check_sender_access,
    "check_recipient_access": check_recipient_access,
    "check_sasl_access": check_sasl_access,
    **server_checks(),
}


@hookimpl
def restrictions(register: Callable[[str, RestrictionKind], None]) -> None:
    """Add the checks."""
    for name, factory in _CHECKS.items():
        register(name, RestrictionKind(factory, arguments=1, is_bounded=True))
    for name, factory in sender_login_restrictions().items():
        register(name, RestrictionKind(factory, is_bounded=True, tables=(LOGIN_MAPS,)))
