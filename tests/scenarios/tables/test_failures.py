"""Tables that fail under a running gateway: temporary errors, nothing lost, nothing wrongly taken, and the end of it.

Behind a proxy each server is down, silent or talks nonsense (:mod:`peers.faulty_proxy`). One gateway has for each kind of
table a listener for each use, and all tables in ``transport_maps``.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from conftest import missing
from peers.faulty_proxy import FaultyProxy, State
from peers.gateway import GatewayInstance
from peers.lookup_cases import as_options, filled, free_ports
from peers.ports import LOOPBACK, wait_for
from peers.sinks import RecordingSink
from peers.table_servers import SERVED

KNOWN, UNKNOWN = "known@relay.example", "unknown@relay.example"
LISTED, FAR = "someone@listed.example", "someone@far.example"
DEADLINE_S = 1.0
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


KINDS = [
    pytest.param(kind, marks=[pytest.mark.peer(served.program)] if served.program else [])
    for kind, served in SERVED.items()
]
FAULTS = [State.DOWN, State.SILENT, State.NONSENSE]


@dataclass
class Server:
    """One kind of table.

    Args:
        spec: of the table; ``{dir}`` is the gateway's directory.
        text: of the table's file.
        proxy: in front of its server.
    """

    spec: str
    text: str
    proxy: FaultyProxy


@dataclass
class Servers:
    """What is asked, by kind of table, and the next hop."""

    by_kind: dict[str, Server]
    sink: RecordingSink


@dataclass
class Site:
    """A gateway, and everything it asks."""

    gateway: GatewayInstance
    servers: Servers
    ports: dict[tuple[str, str], int]

    def rcpt(self, kind: str, use: str, recipient: str, sender: str = "") -> str:
        """What one RCPT gets, in a session of its own."""
        with smtplib.SMTP(LOOPBACK, self.ports[kind, use], timeout=30) as smtp:
            smtp.ehlo("client.example")
            smtp.mail(sender)
            code, text = smtp.rcpt(recipient)
            return f"{code} {text.decode()}"

    def replies(self, kind: str) -> dict[tuple[str, str], str]:
        """What the recipients of each use get, all asked at the same time."""
        asked = [(use, recipient) for use in USES for recipient in {USES[use].taken, USES[use].refused}]
        with ThreadPoolExecutor(len(asked)) as pool:
            return dict(zip(asked, pool.map(lambda each: self.rcpt(kind, *each), asked), strict=True))

    def submit(self, recipient: str) -> None:
        """Hand over a message, without a table being asked."""
        with smtplib.SMTP(LOOPBACK, self.gateway.port, timeout=30) as smtp:
            smtp.sendmail("sender@a.example", [recipient], "Subject: routed\r\n\r\ntext\r\n")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    directory = tmp_path_factory.mktemp("failures")
    kinds = [kind for kind, served in SERVED.items() if not served.program or not missing(served.program)]
    with ExitStack() as stack:
        sink = stack.enter_context(RecordingSink())

        def start(kind: str) -> Server:
            served = SERVED[kind]
            proxy = stack.enter_context(FaultyProxy(served.start(stack, content(kind, sink.port), directory)))
            name = served.name(proxy.port).format(file=f"{{dir}}/conf/{kind}.cf")
            return Server(f"{kind}:{name}", served.text(proxy.port), proxy)

        with ThreadPoolExecutor(len(kinds)) as pool:
            yield Servers(dict(zip(kinds, pool.map(start, kinds), strict=True)), sink)


@contextmanager
def running(servers: Servers, plugins: dict[str, str]) -> Iterator[Site]:
    """A gateway with a listener for each use of each table, all in one process."""
    places = [(kind, use) for kind in servers.by_kind for use in USES]
    ports = dict(zip(places, free_ports(len(places)), strict=True))
    services = []
    for (kind, use), port in ports.items():
        options = as_options(filled(USES[use].settings, {"spec": servers.by_kind[kind].spec}))
        services.append(f"{LOOPBACK}:{port} inet n - n - - smtpd {options}")
    settings = BASE | {"transport_maps": " ".join(server.spec for server in servers.by_kind.values())}
    files = {f"{kind}.cf": server.text for kind, server in servers.by_kind.items()}
    with GatewayInstance(settings, services=services, files=files, plugins=plugins) as gateway:
        yield Site(gateway, servers, ports)


@pytest.fixture(scope="module")
def site(servers: Servers) -> Iterator[Site]:
    with running(servers, {"hurry": SHORT_DEADLINE}) as started:
        yield started


@pytest.fixture(scope="module")
def patient(servers: Servers) -> Iterator[Site]:
    """With the deadlines that everybody has."""
    with running(servers, {}) as started:
        yield started


def expected(*, fails: bool) -> dict[tuple[str, str], str]:
    found = {}
    for name, use in USES.items():
        found[name, use.refused] = use.failure if fails else use.refusal
        found[name, use.taken] = use.failure if fails else "250 2.1.5"
    return found


def codes(replies: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    return {place: re.sub(r"(\d+ [\d.]+).*", r"\1", reply) for place, reply in replies.items()}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.value)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_taken_or_refused_for_good_while_a_table_fails(site: Site, kind: str, fault: State) -> None:
    server, gateway, sink = site.servers.by_kind[kind], site.gateway, site.servers.sink
    spec = server.spec.replace("{dir}", str(gateway.directory))
    seen, delivered = len(gateway.log_text()), len(sink.messages)

    def logged(text: str) -> bool:
        return text in gateway.log_text()[seen:]

    assert codes(site.replies(kind)) == expected(fails=False)
    server.proxy.state = fault
    try:
        assert codes(site.replies(kind)) == expected(fails=True)
        site.submit(moved(kind))
        wait_for(lambda: logged("status=deferred"), "a deferred message")
        wait_for(lambda: logged(f"warning: table {spec}: "), "a warning that names the table")
    finally:
        server.proxy.state = State.UP
    wait_for(lambda: codes(site.replies(kind)) == expected(fails=False), "the table's answers")
    gateway.command("postqueue", "-f")
    sink.wait_for(delivered + 1)
    assert sink.messages[-1].recipients == (moved(kind),)
    wait_for(lambda: logged(f"table {spec}: answers again"), "the end of the failure in the log")
    gateway.wait_until_empty()


WAITING = 40
MOST_CONNECTIONS = 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_table_holds_nobody_else_and_answers_late(patient: Site, kind: str) -> None:
    proxy = patient.servers.by_kind[kind].proxy
    assert patient.rcpt(kind, "recipients", KNOWN).startswith("250")
    already, others = proxy.connections, [other for other in patient.servers.by_kind if other != kind]
    with ThreadPoolExecutor(WAITING) as pool:
        proxy.state, proxy.held = State.SILENT, 0
        try:
            asked = (KNOWN, UNKNOWN) * (WAITING // 2)
            replies = pool.map(lambda recipient: patient.rcpt(kind, "recipients", recipient), asked)
            wait_for(lambda: proxy.held, "a lookup that hangs")
            for other in others:
                assert patient.rcpt(other, "recipients", KNOWN).startswith("250")
            assert proxy.connections <= already + MOST_CONNECTIONS
        finally:
            proxy.state = State.UP
        assert [reply[:3] for reply in replies] == ["250", "550"] * (WAITING // 2)


def test_lookups_outlive_a_reload(patient: Site) -> None:
    gateway, kind = patient.gateway, "socketmap"
    proxy, sink = patient.servers.by_kind[kind].proxy, patient.servers.sink
    delivered = len(sink.messages)
    with ThreadPoolExecutor(1) as pool:
        proxy.state, proxy.held = State.SILENT, 0
        try:
            reply = pool.submit(patient.rcpt, kind, "recipients", KNOWN)
            wait_for(lambda: proxy.held == 1, "a lookup of the smtpd worker")
            patient.submit(moved(kind))
            wait_for(lambda: proxy.held == 2, "a lookup of the scheduler")
            gateway.command("postgate", "reload")
            assert patient.rcpt("tcp", "recipients", KNOWN).startswith("250")
            assert not reply.done()
        finally:
            proxy.state = State.UP
        assert reply.result(20).startswith("250")
    sink.wait_for(delivered + 1)
    gateway.wait_until_empty()


# Every parameter of policy that may name a table.
CONSUMERS: dict[str, dict[str, str]] = {
    "smtpd_authorized_xclient_hosts": {},
    "smtpd_authorized_xforward_hosts": {},
    "smtpd_client_event_limit_exceptions": {},
    "local_header_rewrite_clients": {"local_header_rewrite_clients": "check_address_map fail:{name}"},
    "mynetworks": {},
    "mydestination": {},
    "virtual_alias_domains": {},
    "virtual_mailbox_domains": {},
    "relay_domains": {},
    "relay_recipient_maps": {},
    "recipient_canonical_maps": {},
    "canonical_maps": {},
    "virtual_alias_maps": {"virtual_alias_domains": ""},
    "sender_canonical_maps": {"smtpd_reject_unlisted_sender": "yes"},
    "local_recipient_maps": {"mydestination": "relay.example", "relay_domains": ""},
    "virtual_mailbox_maps": {"virtual_mailbox_domains": "relay.example", "relay_domains": ""},
    "check_client_access": {"smtpd_client_restrictions": "check_client_access fail:{name}"},
    "check_helo_access": {"smtpd_helo_restrictions": "check_helo_access fail:{name}"},
    "check_sender_access": {"smtpd_sender_restrictions": "check_sender_access fail:{name}"},
    "check_recipient_access": {"smtpd_recipient_restrictions": "check_recipient_access fail:{name}, permit"},
}


def attempt(port: int) -> str:
    """The first reply that is no yes, of those to one message; the last when all are."""
    with smtplib.SMTP(timeout=20) as smtp:
        code, text = smtp.connect(LOOPBACK, port)
        for command in (
            "EHLO client.example",
            "MAIL FROM:<sender@relay.example>",
            f"RCPT TO:<{KNOWN}>",
            "DATA",
            ".",
        ):
            if code >= 400:
                break
            code, text = smtp.docmd(command)
        return f"{code} {text.decode()}"


def test_no_use_of_a_table_takes_failure_for_not_found() -> None:
    ports = dict(zip(CONSUMERS, free_ports(len(CONSUMERS)), strict=True))
    services = []
    for name, settings in CONSUMERS.items():
        options = as_options(filled(settings, {"name": name}) if any("fail:" in text for text in settings.values())
                             else settings | {name: f"fail:{name}"})  # fmt: skip
        services.append(f"{LOOPBACK}:{ports[name]} inet n - n - - smtpd {options}")
    with GatewayInstance(BASE, services=services) as gateway:
        for name, port in ports.items():
            assert attempt(port).startswith("4"), name
            gateway.wait_for_log(f"table fail:{name}: ")
        assert gateway.queue_size() == 0
        assert "internal_error" not in gateway.log_text()
        assert "panic" not in gateway.log_text()
