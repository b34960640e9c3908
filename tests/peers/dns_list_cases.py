"""Made-up clients, envelopes and DNS lists: what Postfix and the gateway are told alike about DNS block lists.

Each case has a client of its own, so that what one remembers of an earlier case answers nothing; the lists answer for it
in every way that lists do. The same seed gives the same cases.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from dataclasses import dataclass

from peers.dns_server import NXDOMAIN, REFUSED, SERVFAIL, Fault, Zone

RESTRICTIONS: dict[str, dict[str, str]] = {
    "client": {"smtpd_recipient_restrictions": "reject_rbl_client a.example"},
    "filters": {
        "smtpd_recipient_restrictions": "reject_rbl_client a.example=127.0.0.[2;4..8;11],"
        " reject_rbl b.example=127.[0..1].0.3, reject_rbl_client a.example=[127].0.0.12"
    },
    "client name": {"smtpd_recipient_restrictions": "reject_rhsbl_client n.example=127.0.0.[2..8]"},
    "reverse name": {"smtpd_recipient_restrictions": "reject_rhsbl_reverse_client n.example"},
    "helo": {"smtpd_recipient_restrictions": "reject_rhsbl_helo n.example"},
    "sender": {"smtpd_recipient_restrictions": "reject_rhsbl_sender n.example"},
    "recipient": {"smtpd_recipient_restrictions": "reject_rhsbl_recipient n.example"},
    "all of them": {
        "smtpd_client_restrictions": "reject_rbl_client a.example, reject_rhsbl_client n.example=127.0.0.[2;3]",
        "smtpd_helo_restrictions": "reject_rhsbl_helo n.example=127.0.0.[2;3]",
        "smtpd_sender_restrictions": "reject_rhsbl_sender n.example=127.0.0.[2;3], reject_rhsbl_reverse_client n.example",
        "smtpd_recipient_restrictions": "reject_rhsbl_recipient n.example",
    },
    "allow address": {
        "smtpd_relay_restrictions": "",
        "smtpd_recipient_restrictions": "permit_dnswl_client a.example=127.0.0.[2..6], reject_unauth_destination,"
        " reject_rbl_client b.example, permit_dnswl_client b.example, reject",
    },
    "allow name": {
        "smtpd_client_restrictions": "permit_rhswl_client n.example, reject_rbl_client a.example, defer",
        "smtpd_recipient_restrictions": "permit_rhswl_client n.example=127.0.0.[3..9], reject",
    },
    "warnings": {
        "smtpd_client_restrictions": "warn_if_reject reject_rbl_client a.example, warn_if_reject permit_dnswl_client"
        " b.example=0.0.0.0, reject_rhsbl_sender n.example",
    },
    "template": {
        "smtpd_recipient_restrictions": "reject_rbl_client a.example, reject_rhsbl_sender n.example,"
        " reject_rhsbl_recipient n.example",
        "default_rbl_reply": "$rbl_code 5.1.1 $client $client_address $client_name $reverse_client_name $helo_name"
        " [$rbl_class] $rbl_domain (${rbl_reason?{r $rbl_reason}:{no reason}}) $rbl_txt $rbl_what $recipient"
        " $recipient_name $recipient_domain $sender $sender_name $sender_domain $server_name $$",
        "maps_rbl_reject_code": "450",
        "smtpd_expansion_filter": r"\40abcdefghijklmnopqrstuvwxyz.@[]<>-_0123456789:\\",
    },
    "tables": {
        "smtpd_recipient_restrictions": "reject_rbl_client a.example, reject_rbl_client b.example=127.0.0.3,"
        " reject_rhsbl_client n.example, reject_rhsbl_helo n.example=127.0.0.[2]",
        "rbl_reply_maps": "texthash:{dir}/conf/replies",
    },
    "obsolete": {
        "smtpd_recipient_restrictions": "reject_maps_rbl",
        "maps_rbl_domains": "b.example=127.0.0.4, a.example",
    },
}  # fmt: skip
"""Settings of the services that are compared."""

REPLIES = """\
a.example           521 5.7.1 ${client_name} go away${rbl_reason:, for no reason}
b.example=127.0.0.3 450 $nobody
n.example           none of yours
"""
"""The table of ``rbl_reply_maps``: a good template, a bad name, a reply without a code."""

_ANSWERS = [2, 2, 2, 3, 3, 4, 6, 9, 11, 12]
_TEXTS = [
    [], [], ['"https://list.example/why"'], ['"one"', '"two"'], ['"tab\\009, \\195\\164 and \\255"'], ['""'],
    ['"$rbl_domain ${x} %s"'], ['"' + "long " * 12 + '"'],
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One connection; ``helo`` and envelope as they are sent."""

    service: str
    address: str
    name: str
    reverse_name: str
    helo: str
    sender: str
    recipients: tuple[str, ...]

    @property
    def xclient(self) -> str:
        """The XCLIENT command that makes the connection this client's."""
        prefix = "IPV6:" if ":" in self.address else ""
        return f"XCLIENT ADDR={prefix}{self.address} NAME={self.name} REVERSE_NAME={self.reverse_name}"


class Cases:
    """As many cases of each service, and the zones that their lists need.

    Args:
        seed: of the choices. each: cases of a service.
    """

    def __init__(self, seed: int, each: int) -> None:
        self._chance = random.Random(seed)
        self.zones: dict[str, Zone | Fault] = {}
        self.cases = [self._case(service, number) for number, service in enumerate(list(RESTRICTIONS) * each)]

    def of(self, service: str) -> Iterator[Case]:
        """The cases of one service."""
        return (case for case in self.cases if case.service == service)

    def _case(self, service: str, number: int) -> Case:
        pick, chance = self._chance.choice, self._chance.random
        address = ipaddress.ip_address("2001:db8::" if chance() < 0.2 else "198.51.0.0")
        case = Case(
            service,
            str(address + number),
            f"c{number}.client.example" if chance() < 0.8 else "[UNAVAILABLE]",
            f"r{number}.client.example" if chance() < 0.8 else "[TEMPUNAVAIL]",
            pick([f"h{number}.example", f"H{number}.Example", "[192.0.2.1]", "192.0.2.1", f"-h{number}.example", f"h_{number}"]),
            pick([f"s@s{number}.example", f"S.x+y@s{number}.example", f"user{number}", "", '"a b"@' + f"s{number}.example",
                  "s@[192.0.2.1]"]),
            (f"one@d{number}.local.example", f"two@e{number}.local.example", "far@away.example"),
        )  # fmt: skip
        reverse = address + number
        keys = reverse.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
        for dns_list in ("a", "b"):
            self._list(f"{keys}.{dns_list}.example")
        named = (case.name, case.reverse_name, case.helo, case.sender.rpartition("@")[2])
        for name in (*named, *(recipient.rpartition("@")[2] for recipient in case.recipients[:2])):
            if name and name[0] not in "[-" and not name.startswith("192"):
                self._list(f"{name}.n.example")
        return case

    def _list(self, name: str) -> None:
        """What a list says of a key."""
        chance, pick = self._chance, self._chance.choice
        kind = chance.random()
        if kind < 0.35:
            return
        if kind < 0.5:
            self.zones[name.lower()] = pick([NXDOMAIN, SERVFAIL, REFUSED, {}, {"A": SERVFAIL}, {"TXT": ['"x"']}])
            return
        addresses = {f"127.{pick([0, 0, 0, 1])}.0.{pick(_ANSWERS)}": None for _ in range(pick([1, 1, 2, 3]))}
        records: Zone = {"A": list(addresses)}
        texts = pick([*_TEXTS, SERVFAIL])
        if texts:
            records = {**records, "TXT": texts}
        if kind < 0.6:
            self.zones[f"real.{name}".lower()] = records
            records = {"CNAME": [f"real.{name}"]}
        self.zones[name.lower()] = records
