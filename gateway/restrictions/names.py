"""Which restriction names there are: the built-in ones, their old names, and Postfix's that are not here yet."""

from __future__ import annotations

from gateway.restrictions.address import ADDRESS
from gateway.restrictions.client import CLIENT
from gateway.restrictions.deprecated import DEPRECATED
from gateway.restrictions.generic import GENERIC
from gateway.restrictions.mx_backup import MX_BACKUP
from gateway.restrictions.place import BuiltIn

BUILT_IN: dict[str, BuiltIn] = {**GENERIC, **CLIENT, **ADDRESS, **MX_BACKUP, **DEPRECATED}

OLD_NAMES = {
    "reject_unknown_client": "reject_unknown_client_hostname",
    "reject_invalid_hostname": "reject_invalid_helo_hostname",
    "reject_non_fqdn_hostname": "reject_non_fqdn_helo_hostname",
    "reject_unknown_hostname": "reject_unknown_helo_hostname",
    "reject_unknown_address": "reject_unknown_sender_domain",
    "check_recipient_maps": "reject_unlisted_recipient",
}

NOT_YET = frozenset({
    "check_ccert_access", "check_etrn_access", "permit_tls_all_clientcerts", "permit_tls_clientcerts",
    "reject_unverified_recipient", "reject_unverified_sender",
})  # fmt: skip
"""Postfix's restrictions that are not available yet: named so that the error can say so."""

OF_PLUGINS = {
    "policy": frozenset({"check_policy_service"}),
    "rbl": frozenset({
        "permit_dnswl_client", "permit_rhswl_client", "reject_maps_rbl", "reject_rbl", "reject_rbl_client",
        "reject_rhsbl_client", "reject_rhsbl_helo", "reject_rhsbl_recipient", "reject_rhsbl_reverse_client",
        "reject_rhsbl_sender",
    }),
}  # fmt: skip
"""Restrictions of built-in plugins that main.cf may not load: named so that the error can say so."""

WARN_IF_REJECT = "warn_if_reject"

STOPS_STRANGERS = frozenset({
    "reject_unauth_destination", "defer_unauth_destination", "reject", "defer", "defer_if_permit",
    "check_relay_domains",
})  # fmt: skip
"""One of these must be reached by relay or recipient restrictions, or nothing keeps strangers from relaying."""
