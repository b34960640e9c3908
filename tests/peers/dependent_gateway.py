"""A gateway whose policy and routes hang on tables, and what its clients get while these work and while they fail.

For each kind of table there is a listener for each use of it, all in one process, and all tables are in
``transport_maps``.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from peers.gateway import GatewayInstance
from peers.lookup_cases import as_options, filled, free_ports
from peers.ports import LOOPBACK

KNOWN, UNKNOWN = "known@relay.example", "unknown@relay.example"
LISTED, FAR = "someone@listed.example", "someone@far.example"
DEADLINE_S = 0.5
# What no test has time for: the deadline of a lookup is the longest that its servers and their time limits may need.
SHORT_DEADLINE = f"""
from gateway.hooks import hookimpl
from gateway.maps.guarded import GuardedTable
begin = GuardedTable.__init__
def begin_in_a_hurry(self, spec, table, deadline_s, failures):
    begin(self, spec, table, min(deadline_s, {DEADLINE_S}), failures)
GuardedTable.__init__ = begin_in_a_hurry
@hookimpl
def lookup_tables(register):
    pass
"""

BASE = {
    "compatibility_level": "3.6",
    "relay_domains": "relay.example",
    "relay_recipient_maps": "",
    "smtpd_workers": "1",
    "relay_transport": "discard:",
    "default_transport": "discard:",
    "smtpd_error_sleep_time": "0",
    "smtpd_hard_error_limit": "1000",
    "smtpd_soft_error_limit": "1000",
    "minimal_backoff_time": "300s",
    "queue_run_delay": "300s",
    "smtpd_client_event_limit_exceptions": "127.0.0.0/8",
    "smtpd_delay_reject": "yes",
}


_CODES = re.compile(r"(\d+ [\d.]+).*", re.DOTALL)


@dataclass(frozen=True)
class Use:
    """What a listener uses the table for, and what becomes of two recipients while the table works and while not."""

    settings: dict[str, str]
    taken: str
    refused: str
    refusal: str
    failure: str


USES = {
    "access": Use(
        {"smtpd_recipient_restrictions": "check_recipient_access {spec}, reject"},
        KNOWN, FAR, "554 5.7.1", "451 4.3.5",
    ),
    "recipients": Use({"relay_recipient_maps": "{spec}"}, KNOWN, UNKNOWN, "550 5.1.1", "451 4.3.0"),
    "domains": Use({"relay_domains": "{spec}", "mynetworks": "192.0.2.1"}, LISTED, FAR, "454 4.7.1", "451 4.3.0"),
    "networks": Use({"mynetworks": "{spec}"}, FAR, FAR, "", "451 4.3.0"),
}  # fmt: skip


def moved(kind: str) -> str:
    """A recipient whose way only the table of this kind knows."""
    return f"{kind}@moved.example"


def content(kind: str, sink_port: int) -> dict[str, str]:
    """What a table has: whole addresses, for those that are asked for nothing else."""
    return {
        KNOWN: "OK",
        "listed.example": "OK",
        LOOPBACK: "OK",
        moved(kind): f"smtp:[{LOOPBACK}]:{sink_port}",
    }


class DependentGateway(GatewayInstance):
    """The gateway.

    Args:
        specs: a table of each kind; ``{dir}`` is the gateway's directory.
        files: for the configuration directory.
        is_hurried: no lookup takes longer than :data:`DEADLINE_S`.
    """

    def __init__(self, specs: Mapping[str, str], files: Mapping[str, str], *, is_hurried: bool) -> None:
        places = [(kind, use) for kind in specs for use in USES]
        self.ports = dict(zip(places, free_ports(len(places)), strict=True))
        services = []
        for (kind, use), port in self.ports.items():
            options = as_options(filled(USES[use].settings, {"spec": specs[kind]}))
            services.append(f"{LOOPBACK}:{port} inet n - n - - smtpd {options}")
        settings = BASE | {"transport_maps": " ".join(specs.values())}
        plugins = {"hurry": SHORT_DEADLINE} if is_hurried else None
        super().__init__(settings, services=services, files=files, plugins=plugins)

    def rcpt(self, kind: str, use: str, recipient: str) -> str:
        """What one RCPT gets, in a session of its own."""
        with smtplib.SMTP(LOOPBACK, self.ports[kind, use], timeout=30) as smtp:
            smtp.ehlo("client.example")
            smtp.mail("")
            code, text = smtp.rcpt(recipient)
            return f"{code} {text.decode()}"

    def replies(self, kind: str) -> dict[tuple[str, str], str]:
        """The codes that the recipients of each use get, all asked for at the same time."""
        asked = [(use, recipient) for use in USES for recipient in {USES[use].taken, USES[use].refused}]
        with ThreadPoolExecutor(len(asked)) as pool:
            replies = pool.map(lambda each: self.rcpt(kind, *each), asked)
            return {place: _CODES.sub(r"\1", reply) for place, reply in zip(asked, replies, strict=True)}

    def submit(self, recipient: str) -> None:
        """Hand over a message, without a table being asked."""
        with smtplib.SMTP(LOOPBACK, self.port, timeout=30) as smtp:
            smtp.sendmail("sender@a.example", [recipient], "Subject: routed\r\n\r\ntext\r\n")


def expected(*, fails: bool) -> dict[tuple[str, str], str]:
    """What :meth:`DependentGateway.replies` are to be."""
    found = {}
    for name, use in USES.items():
        found[name, use.refused] = use.failure if fails else use.refusal
        found[name, use.taken] = use.failure if fails else "250 2.1.5"
    return found
