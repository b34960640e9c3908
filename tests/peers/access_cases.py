"""Zones, tables, restriction lists and made-up clients for comparing access checks with Postfix's.

Nearly all lists end in ``reject``: nothing is relayed, and each reply says how far a case got. Every host's addresses are all
good or all bad, for Postfix asks for them in an order of its own.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import suppress

import msgspec
from peers.dns_server import SERVFAIL, Fault, Zone

ZONES: dict[str, Zone | Fault] = {
    "example": {"NS": ["ns.registry.example"]},
    "ns.registry.example": {"A": ["198.51.100.53"]},
    "plain.example": {"A": ["198.51.100.1"], "NS": ["ns.plain.example"]},
    "ns.plain.example": {"A": ["198.51.100.2"]},
    "badaddr.example": {"A": ["192.0.2.7"], "NS": ["badaddr.example"]},
    "badnet.example": {"A": ["203.0.113.99"]},
    "six.example": {"AAAA": ["2001:db8:7::1"], "NS": ["six.example"]},
    "both.example": {"A": ["198.51.100.4"], "AAAA": ["2001:db8:8::4"], "MX": ["5 both.example"]},
    "badmx.example": {"MX": ["10 mx.bad.example"], "A": ["198.51.100.5"], "NS": ["mx.bad.example"]},
    "mx.bad.example": {"A": ["198.51.100.6"]},
    "parentmx.example": {"MX": ["10 deep.mx.worse.example"], "NS": ["deep.mx.worse.example"]},
    "deep.mx.worse.example": {"A": ["198.51.100.7"]},
    "spared.example": {"MX": ["10 good.worse.example", "20 mx.bad.example"], "NS": ["good.worse.example"]},
    "good.worse.example": {"A": ["192.0.2.7"]},
    "manymx.example": {"MX": ["10 one.fine.example", "20 two.fine.example", "30 three.fine.example"]},
    "one.fine.example": {"A": ["198.51.100.8"]},
    "two.fine.example": {"A": ["192.0.2.7", "192.0.2.7"]},
    "three.fine.example": {"A": ["198.51.100.9"]},
    "allowed.example": {"MX": ["10 allowed.example"], "A": ["192.0.2.80"], "NS": ["allowed.example"]},
    "strict.example": {"MX": ["10 mx.strict.example"], "NS": ["mx.strict.example"], "A": ["192.0.2.81"]},
    "mx.strict.example": {"A": ["192.0.2.81"]},
    "soft.example": {"MX": ["10 mx.soft.example"], "NS": ["mx.soft.example"], "A": ["192.0.2.82"]},
    "null.example": {"MX": ["0 ."], "A": ["192.0.2.7"]},
    "numeric.example": {"MX": ["10 192.0.2.7"]},
    "loop.example": {"MX": ["10 localhost"], "NS": ["localhost"]},
    "alias.example": {"CNAME": ["badmx.example"]},
    "hostless.example": {"MX": ["10 nowhere.example"], "NS": ["nowhere.example"]},
    "sub.badaddr.example": {"A": ["198.51.100.11"]},
    "failing.example": SERVFAIL,
    "failinghost.example": {"MX": ["10 failing.example"], "NS": ["failing.example"]},
    "us.example": {"A": ["127.0.0.1"]},
    "backup.example": {"MX": ["10 one.fine.example", "20 us.example"]},
    "primary.example": {"MX": ["10 us.example", "20 one.fine.example"]},
    "equal.example": {"MX": ["10 us.example", "10 one.fine.example"]},
    "byname.example": {"MX": ["10 two.fine.example", "20 local.example"]},
    "foreign.example": {"MX": ["10 one.fine.example", "20 two.fine.example"]},
    "failingbackup.example": {"MX": ["10 one.fine.example", "20 failing.example"]},
}
DOMAINS = [name for name in ZONES if name.count(".") == 1] + [
    "sub.badaddr.example", "deep.sub.badaddr.example", "nosuch.example", "nosuch.invalid", "[192.0.2.7]",
    "[ipv6:2001:db8:7::1]", "[198.51.100.1]",
]  # fmt: skip
HOSTS = [domain for domain in DOMAINS if "[" not in domain]
FILES = {
    "servers": """\
192.0.2.7           REJECT by address
203.0.113           550 5.1.8 by network
2001:db8:7          REJECT six
127.0.0.1           REJECT loop
mx.bad.example      554 5.1.1 by name
worse.example       REJECT by parent
good.worse.example  DUNNO
192.0.2.80          OK
192.0.2.81          strict
192.0.2.82          DEFER
ns.registry.example 450 4.7.9 by registry
""",
    "servers.cidr": "192.0.2.0/28 REJECT by range\n2001:db8::/32 REJECT six\n127.0.0.0/8 554 loop\n0.0.0.0/0 DUNNO\n",
    "servers.regexp": "/^(mx|deep)\\./ REJECT a name\n/^192\\.0\\.2\\./ REJECT an address\n/localhost/ REJECT local\n",
    "reverse": "unknown REJECT nobody\nbadaddr.example 550 5.1.1 hey\nworse.example REJECT\nallowed.example OK\n"
    "192.0.2 DEFER net\n2001:db8:7 REJECT six\nstrict.example strict\n",
    "names": "joe REJECT\nanna OK\nbob 451 4.1.8 later\nrestricted strict\n",
    "logins": "a@own.example joe,anna\nb@own.example Joe bob\n@dom.example joe\nlocal joe\nmany@own.example x,, y\tjoe ,\n"
    '"a b"@own.example bob\ne+x@own.example anna\ne@own.example joe\ndom.example zoe\n',
}  # fmt: skip


class Service(msgspec.Struct, frozen=True):
    """One smtpd: its settings, and what its cases vary."""

    settings: dict[str, str]
    kind: str


class Case(msgspec.Struct, frozen=True):
    """One client: what XCLIENT says of it, and what it says."""

    attributes: str
    helo: str
    sender: str
    recipient: str


def _servers(kind: str, table: str) -> Service:
    parties = ("client", "reverse_client_hostname", "helo", "sender", "recipient")
    checks = [f"check_{party}_{kind}_access {table}" for party in parties]
    return Service({"smtpd_recipient_restrictions": ", ".join([*checks, "reject"])}, "servers")


def _logins(restriction: str, **more: str) -> Service:
    settings = {"smtpd_sasl_auth_enable": "yes", "smtpd_recipient_restrictions": f"{restriction}, reject"}
    return Service(settings | more, "logins")


_TABLES = ("texthash:{dir}/conf/servers", "cidr:{dir}/conf/servers.cidr", "regexp:{dir}/conf/servers.regexp")
_MISMATCHES = [f"reject_{whose}sender_login_mismatch" for whose in ("", "authenticated_", "unauthenticated_", "known_")]
_REVERSE = "check_reverse_client_hostname_access texthash:{dir}/conf/reverse, reject"
# Takes what no table refuses: a list that does not end in reject.
OPEN_ENDED = Service(
    {"smtpd_recipient_restrictions": f"check_sender_mx_access {_TABLES[0]}, reject_unauth_destination"}, "senders"
)
SERVICES = [
    *(_servers(kind, table) for kind in ("a", "mx", "ns") for table in _TABLES),
    _servers("mx", "fail:x"),
    Service({"smtpd_recipient_restrictions": _REVERSE}, "servers"),
    *(_logins(restriction) for restriction in _MISMATCHES),
    _logins(_MISMATCHES[0], smtpd_sasl_auth_enable="no"),
    _logins(_MISMATCHES[0], smtpd_sender_login_maps="fail:x"),
    _logins(_MISMATCHES[0], smtpd_sender_login_maps=""),
    _logins("check_sasl_access texthash:{dir}/conf/names"),
    _logins("check_sasl_access texthash:{dir}/conf/names", smtpd_sasl_auth_enable="no"),
    _logins("check_sasl_access fail:x"),
    _logins("permit_sasl_authenticated"),
    _logins("permit_sasl_authenticated", smtpd_sasl_auth_enable="no"),
    Service({"smtpd_recipient_restrictions": "permit_naked_ip_address, reject"}, "helo"),
    Service({"smtpd_recipient_restrictions": "check_relay_domains"}, "recipients"),
    Service({"smtpd_recipient_restrictions": "permit_mx_backup, reject"}, "recipients"),
    Service(
        {
            "smtpd_recipient_restrictions": "permit_mx_backup, reject",
            "permit_mx_backup_networks": "198.51.100.0/24",
        },
        "recipients",
    ),
    OPEN_ENDED,
]
SETTINGS = {
    "compatibility_level": "3.6",
    "myhostname": "mx.local.example",
    "myorigin": "local.example",
    "mydestination": "local.example",
    "relay_domains": "relayed.example",
    "recipient_delimiter": "+",
    "append_dot_mydomain": "no",
    "smtpd_relay_restrictions": "",
    "smtpd_recipient_restrictions": "reject",
    "smtpd_reject_unlisted_recipient": "no",
    "smtpd_sender_login_maps": "texthash:{dir}/conf/logins",
    "smtpd_restriction_classes": "strict",
    "strict": "reject_unauth_pipelining, reject",
    "smtpd_authorized_xclient_hosts": "127.0.0.1",
    "smtpd_client_connection_rate_limit": "0",
    "smtpd_peername_lookup": "no",
}
_NUMERIC_HELO = ["192.0.2.7", "198.51.100.1", "2001:db8:7::1", "1.2.3", "::1::2", "1.2.3.4.", "unknown", "[fine]"]
_SENDERS = [
    "a@own.example", "a+ext@own.example", "b@own.example", "many@own.example", "c@own.example", "u@dom.example",
    "local@local.example", "local", "local+x@local.example", "", '"a b"@own.example', "e+x@own.example",
    "e+y@own.example", "other@elsewhere.example", "a%own.example@local.example",
]  # fmt: skip
_LOGINS = ["joe", "JOE", "anna", "bob", "zoe", "y", "restricted", "[UNAVAILABLE]", "[UNAVAILABLE]"]


def has_ipv6() -> bool:
    """Whether this kernel has IPv6 at all: without it Postfix takes ``all`` for ``ipv4``."""
    with suppress(OSError), socket.socket(socket.AF_INET6):
        return True
    return False


def _server_cases(chance: random.Random, each: int) -> Iterator[Case]:
    """One party of five is of interest at a time, so that the others do not hide it; ``each`` cases for each party."""
    pools = (HOSTS, [*HOSTS, "[UNAVAILABLE]", "[TEMPUNAVAIL]"], [*DOMAINS, *_NUMERIC_HELO], DOMAINS, DOMAINS)
    for party, pool in enumerate(pools):
        for chosen in chance.sample(pool, each):
            name, reverse, helo, sender, recipient = (
                chosen if party == at else "plain.example" for at in range(len(pools))
            )
            address = chance.choice(("192.0.2.9", "198.51.100.20", "IPV6:2001:db8:7::5"))
            yield Case(f"ADDR={address} NAME={name} REVERSE_NAME={reverse}", helo, f"s@{sender}", f"r@{recipient}")


def cases(service: Service, seed: int) -> list[Case]:
    """The cases of one smtpd, the same in each run."""
    chance = random.Random(seed)
    match service.kind:
        case "servers":
            return list(_server_cases(chance, 1 if "fail:" in str(service.settings) else 16))
        case "logins":
            pairs = [(login, sender) for login in _LOGINS[:8] for sender in _SENDERS]
            return [
                Case(f"LOGIN={login}", "host.example", sender, "r@local.example")
                for login, sender in chance.sample(pairs, 24)
            ]
        case "senders":
            return [
                Case("PORT=1", "host.example", f"s@{domain}", "r@local.example")
                for domain in DOMAINS
                if not domain.startswith(("failing", "["))
            ]
        case "helo":
            return [Case("PORT=1", helo, "s@plain.example", "r@local.example") for helo in _NUMERIC_HELO]
    domains = ["local.example", "relayed.example", "sub.relayed.example", "[127.0.0.1]", "[192.0.2.1]"]
    domains += [name for name in HOSTS if name.count(".") == 1 and name not in ("loop.example", "numeric.example")]
    recipients = [*(f"r@{domain}" for domain in domains), "r%backup.example@local.example"]
    return [Case("PORT=1", "host.example", "s@plain.example", recipient) for recipient in recipients]
