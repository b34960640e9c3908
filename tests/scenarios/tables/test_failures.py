"""Tables that fail under a running gateway: temporary errors, nothing lost, nothing wrongly taken, and the end of it.

Behind a proxy each server is down, silent or talks nonsense (:mod:`peers.faulty_proxy`).
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from conftest import missing
from peers.dependent_gateway import BASE, KNOWN, UNKNOWN, DependentGateway, content, expected, moved
from peers.faulty_proxy import FaultyProxy, State
from peers.gateway import GatewayInstance
from peers.lookup_cases import as_options, filled, free_ports
from peers.ports import LOOPBACK, wait_for
from peers.sinks import RecordingSink
from peers.table_servers import SERVED

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


def gateway_for(servers: Servers, *, is_hurried: bool) -> DependentGateway:
    specs = {kind: server.spec for kind, server in servers.by_kind.items()}
    files = {f"{kind}.cf": server.text for kind, server in servers.by_kind.items()}
    return DependentGateway(specs, files, is_hurried=is_hurried)


@pytest.fixture(scope="module")
def gateway(servers: Servers) -> Iterator[DependentGateway]:
    with gateway_for(servers, is_hurried=True) as started:
        yield started


@pytest.fixture(scope="module")
def patient(servers: Servers) -> Iterator[DependentGateway]:
    """With the deadlines that everybody has."""
    with gateway_for(servers, is_hurried=False) as started:
        yield started


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.value)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_taken_or_refused_for_good_while_a_table_fails(
    gateway: DependentGateway, servers: Servers, kind: str, fault: State
) -> None:
    server, sink = servers.by_kind[kind], servers.sink
    spec = server.spec.replace("{dir}", str(gateway.directory))
    seen, delivered = len(gateway.log_text()), len(sink.messages)

    def logged(text: str) -> bool:
        return text in gateway.log_text()[seen:]

    wait_for(lambda: gateway.replies(kind) == expected(fails=False), "the table's answers")
    server.proxy.state = fault
    try:
        assert gateway.replies(kind) == expected(fails=True)
        gateway.submit(moved(kind))
        wait_for(lambda: logged("status=deferred"), "a deferred message")
        wait_for(lambda: logged(f"warning: table {spec}: "), "a warning that names the table")
    finally:
        server.proxy.state = State.UP
    wait_for(lambda: gateway.replies(kind) == expected(fails=False), "the table's answers")
    gateway.command("postqueue", "-f")
    sink.wait_for(delivered + 1)
    assert sink.messages[-1].recipients == (moved(kind),)
    wait_for(lambda: logged(f"table {spec}: answers again"), "the end of the failure in the log")
    gateway.wait_until_empty()


WAITING = 40
MOST_CONNECTIONS = 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_table_holds_nobody_else_and_answers_late(
    patient: DependentGateway, servers: Servers, kind: str
) -> None:
    proxy = servers.by_kind[kind].proxy
    assert patient.rcpt(kind, "recipients", KNOWN).startswith("250")
    already, others = proxy.connections, [other for other in servers.by_kind if other != kind]
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


def test_lookups_outlive_a_reload(patient: DependentGateway, servers: Servers) -> None:
    kind = "socketmap"
    proxy, sink = servers.by_kind[kind].proxy, servers.sink
    delivered = len(sink.messages)
    with ThreadPoolExecutor(1) as pool:
        proxy.state, proxy.held = State.SILENT, 0
        try:
            reply = pool.submit(patient.rcpt, kind, "recipients", KNOWN)
            wait_for(lambda: proxy.held == 1, "a lookup of the smtpd worker")
            patient.submit(moved(kind))
            wait_for(lambda: proxy.held == 2, "a lookup of the scheduler")
            patient.command("postgate", "reload")
            assert patient.rcpt("tcp", "recipients", KNOWN).startswith("250")
            assert not reply.done()
        finally:
            proxy.state = State.UP
        assert reply.result(20).startswith("250")
    sink.wait_for(delivered + 1)
    patient.wait_until_empty()


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
