"""Mappings in running processes, and in a private Postfix beside them: SMTP, sendmail, bounces, tables that fail."""

from __future__ import annotations

import smtplib
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import missing
from peers.faulty_proxy import FaultyProxy, State
from peers.gateway import GatewayInstance
from peers.instance import MailInstance
from peers.key_recorder import KeyRecorder
from peers.lookup_cases import as_options, free_ports
from peers.ports import LOOPBACK, wait_for
from peers.postfix import PostfixInstance
from peers.sinks import RecordingSink

from gateway.config.lines import read_lines

MAILMAN = Path(__file__).parents[1] / "config" / "mailman"
MAPPINGS = (
    "virtual_alias_maps", "virtual_alias_domains", "canonical_maps", "sender_canonical_maps",
    "sender_canonical_classes", "recipient_bcc_maps", "sender_bcc_maps", "recipient_delimiter", "owner_request_special",
    "mydestination",
    "append_dot_mydomain", "relocated_maps",
)  # fmt: skip
KINDS = [GatewayInstance, pytest.param(PostfixInstance, marks=pytest.mark.peer("postfix"))]
Arrived = set[tuple[str, str, str]]
"""(subject, sender, recipient) of each."""


def mailman_settings() -> dict[str, str]:
    """The parameters of the mailing list host that change addresses."""
    pairs = (line.partition("=") for line in read_lines(str(MAILMAN / "main.cf")))
    settings = {name.strip(): value.strip() for name, _, value in pairs}
    return {name: settings[name] for name in MAPPINGS} | {
        "myhostname": settings["myhostname"],
        "mydomain": settings["mydomain"],
        "myorigin": settings["myhostname"],
    }


def arrived(sink: RecordingSink, count: int) -> Arrived:
    """What came, once ``count`` recipients got something."""
    wait_for(lambda: sum(len(each.recipients) for each in sink.messages) >= count, f"{count} recipients")
    found = set()
    for message in sink.messages:
        subject = message.content.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode()
        found |= {(subject, message.sender, recipient) for recipient in message.recipients}
    return found


def everything_to(sink: RecordingSink) -> dict[str, str]:
    """Settings under which all mail goes to a sink."""
    return {
        "local_transport": f"smtp:[{LOOPBACK}]:{sink.port}",
        "relayhost": f"[{LOOPBACK}]:{sink.port}",
        "smtpd_reject_unlisted_recipient": "no",
    }


def lists(kind: type[MailInstance]) -> tuple[Arrived, bytes]:
    """What becomes of mail to mailing lists, and the contents of all of it."""
    files = {name: (MAILMAN / name).read_text() for name in ("canonical", "virtual", "relocated")}
    with RecordingSink() as sink:
        instance = kind(mailman_settings() | everything_to(sink), files=files)
        instance.write_configuration()
        instance.command("postmap", f"hash:{instance.config_directory / 'virtual'}")
        with instance, smtplib.SMTP(LOOPBACK, instance.port, timeout=20) as client:
            client.sendmail(
                "old@example.org", ["announce+x@old-lists.example.org"], "Subject: alias\r\nFrom: robot\r\n"
            )
            client.sendmail("", ["anyone@old-lists.example.org"], "Subject: catch-all\r\nFrom: a@far.example\r\n")
            client.sendmail("", ["archive@lists.example.org", "robot"], "Subject: copy\r\nTo: root, robot+x\r\n")
            found = arrived(sink, 6)
            instance.wait_until_empty()
        return found, b"".join(message.content for message in sink.messages)


def notifications(kind: type[MailInstance]) -> tuple[Arrived, bytes, bytes]:
    """What is sent when one message bounces, and success is to be reported of another to an alias; and both reports."""
    settings = {
        "transport_maps": "inline:{ { bad.example = error:5.1.1 gone } }",
        "virtual_alias_maps": "inline:{ { sender@a.example = real@b.example, second@b.example },"
        " { list@b.example = c@d.example, e@d.example } }",
        "canonical_maps": "inline:{ { pretty@a.example = sender@a.example } }",
        "recipient_canonical_maps": "inline:{ { s@y.example = S.Y@y.example } }",
        "always_bcc": "log@b.example",
    }
    with RecordingSink() as sink, kind(everything_to(sink) | settings) as instance:
        with smtplib.SMTP(LOOPBACK, instance.port, timeout=20) as client:
            client.sendmail("pretty@a.example", ["nobody@bad.example"], "Subject: lost\r\n")
            client.mail("s@y.example")
            assert client.docmd("RCPT TO:<list@b.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@b.example")[0] == 250
            assert client.data(b"Subject: alias\r\n\r\ntext\r\n")[0] == 250
        found = arrived(sink, 7)
        instance.wait_until_empty()
        bounce, report = (
            next(message.content for message in sink.messages if to in message.recipients)
            for to in ("real@b.example", "S.Y@y.example")
        )
        return found, bounce, report


FAILING: dict[str, dict[str, str]] = {
    "canonical_maps": {},
    "sender_canonical_maps": {},
    "recipient_canonical_maps": {},
    "virtual_alias_maps": {},
    "sender_bcc_maps": {},
    "recipient_bcc_maps": {},
    "masquerade_exceptions": {"masquerade_domains": "a.example"},
}
ENDLESS = {"virtual_alias_maps": "inline:{ { r@b.example = s@b.example }, { s@b.example = r@b.example } }"}


def failures(kind: type[MailInstance]) -> dict[str, str]:
    """What a message gets under each failing table, and under aliases without end; nothing may be left of it."""
    setups = {name: {name: "fail:x", **more} for name, more in FAILING.items()} | {"endless": ENDLESS}
    ports = dict(zip(setups, free_ports(len(setups)), strict=True))
    services = []
    for name, port in ports.items():
        options = as_options(setups[name])
        services.append(f"{LOOPBACK}:{port} inet n - n - - smtpd -o cleanup_service_name=c{name} {options}")
        services.append(f"c{name} unix n - n - 0 cleanup {options}")
    base = {"mydestination": "", "smtpd_reject_unlisted_recipient": "no", "local_header_rewrite_clients": ""}
    with RecordingSink() as sink:
        with kind(base | {"relayhost": f"[{LOOPBACK}]:{sink.port}"}, services=services) as instance:
            replies = {name: _attempt(port) for name, port in ports.items()}
            assert instance.queue_size() == 0
        assert sink.messages == []
    return replies


def _attempt(port: int) -> str:
    with smtplib.SMTP(LOOPBACK, port, timeout=30) as client:
        client.ehlo("client.example")
        client.mail("s@host.a.example")
        client.rcpt("r@b.example")
        code, text = client.data(b"Subject: x\r\n\r\ntext\r\n")
        return f"{code} {text.decode()}"


def rows(kind: type[MailInstance]) -> Arrived:
    """What listeners make of the same recipient: which of their settings, and of their cleanup services', count."""
    first, second = free_ports(2)
    services = [
        f"{LOOPBACK}:{first} inet n - n - - smtpd -o virtual_alias_maps= -o always_bcc=never@b.example",
        f"{LOOPBACK}:{second} inet n - n - - smtpd -o cleanup_service_name=plain",
        "plain unix n - n - 0 cleanup -o virtual_alias_maps= -o always_bcc=log@b.example",
    ]
    settings = {"virtual_alias_maps": "inline:{ { alias@a.example = real@a.example } }"}
    with RecordingSink() as sink, kind(everything_to(sink) | settings, services=services) as instance:
        for port in (first, second):
            with smtplib.SMTP(LOOPBACK, port, timeout=20) as client:
                client.sendmail("s@a.example", ["alias@a.example"], f"Subject: {port == second}\r\n")
        found = arrived(sink, 3)
        instance.wait_until_empty()
        return found


RUNS: tuple[Callable[[type[MailInstance]], Any], ...] = (lists, notifications, failures, rows)


Outcomes = dict[tuple[object, object], Future[Any]]


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Outcomes]:
    """All systems do all of it at the same time: starting and stopping them takes the longest."""
    kinds = [GatewayInstance] if missing("postfix") else [GatewayInstance, PostfixInstance]
    with ThreadPoolExecutor(len(RUNS) * len(kinds)) as pool:
        yield {(run, kind): pool.submit(run, kind) for run in RUNS for kind in kinds}


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_of_mailing_lists(outcomes: Outcomes, kind: type[MailInstance]) -> None:
    found, contents = outcomes[lists, kind].result()
    copies = {each for each in found if each[2] in ("one@example.org", "two@example.org")}
    assert len(copies) == 1  # who gets it, is chance
    assert found - copies == {
        ("alias", "new@example.org", "announce+x@lists.example.org"),
        ("catch-all", "<>", "listmaster@example.org"),
        ("copy", "<>", "archive@lists.example.org"),
        ("copy", "<>", "store@example.org"),
        ("copy", "<>", "robot@lists.example.org"),
    }
    assert b"\r\nFrom: robot@lists.example.org\r\n" in contents
    assert b"\r\nTo: admin@example.org, robot+x@lists.example.org\r\n" in contents
    assert b"\tfor <announce+x@old-lists.example.org>;" in contents
    assert b"listmaster" not in contents


@pytest.mark.parametrize("kind", KINDS)
def test_notifications_are_expanded_but_not_copied_and_tell_of_expansion(
    outcomes: Outcomes, kind: type[MailInstance]
) -> None:
    found, bounce, report = outcomes[notifications, kind].result()
    assert found == {
        ("lost", "sender@a.example", "log@b.example"),
        ("Undelivered Mail Returned to Sender", "<>", "real@b.example"),
        ("Undelivered Mail Returned to Sender", "<>", "second@b.example"),
        ("alias", "s@y.example", "c@d.example"),
        ("alias", "s@y.example", "e@d.example"),
        ("alias", "s@y.example", "log@b.example"),
        ("Successful Mail Delivery Report", "<>", "S.Y@y.example"),
    }
    assert b"\r\nTo: sender@a.example\r\n" in bounce
    assert b"\r\nTo: S.Y@y.example\r\n" in report
    assert b"\r\n<list@b.example>" in report
    fields = report.partition(b"Final-Recipient: ")[2].partition(b"\r\n\r\n")[0]
    assert [line.replace(b"; ", b";") for line in fields.split(b"\r\n")[:4]] == [
        b"rfc822;list@b.example", b"Original-Recipient: rfc822;x@b.example", b"Action: expanded", b"Status: 2.0.0",
    ]  # fmt: skip
    assert fields.endswith(b"alias expanded")


@pytest.mark.parametrize("kind", KINDS)
def test_while_a_table_fails_nothing_is_taken(outcomes: Outcomes, kind: type[MailInstance]) -> None:
    assert outcomes[failures, kind].result() == {
        **dict.fromkeys(FAILING, "451 4.3.0 Error: queue file write error"),
        "endless": "451 4.6.0 Alias expansion error",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_cleanup_has_the_settings_of_its_own_row(outcomes: Outcomes, kind: type[MailInstance]) -> None:
    assert outcomes[rows, kind].result() == {
        ("False", "s@a.example", "real@a.example"),
        ("True", "s@a.example", "alias@a.example"),
        ("True", "s@a.example", "log@b.example"),
    }


def _post(gateway: GatewayInstance, recipient: str, subject: str) -> None:
    command = [gateway.program("sendmail"), "-C", str(gateway.config_directory), "-f", "s@a.example", recipient]
    subprocess.run(command, input=f"Subject: {subject}\n\n".encode(), check=True, timeout=30)


def test_local_mail_waits_for_the_table() -> None:
    """What sendmail took stays in the maildrop, and goes where the table says once it does."""
    with (
        RecordingSink() as sink,
        KeyRecorder(lambda _, key: "real@b.example" if key == "alias@b.example" else None) as recorder,
        FaultyProxy(recorder.ports["tcp"]) as proxy,
    ):
        settings = everything_to(sink) | {"virtual_alias_maps": f"tcp:{LOOPBACK}:{proxy.port}"}
        with GatewayInstance(settings) as gateway:
            proxy.state = State.DOWN
            _post(gateway, "alias@b.example", "first")
            gateway.wait_for_log("deferred: 451 4.3.0 Error: queue file write error")
            assert len(list((gateway.queue_directory / "maildrop").iterdir())) == 1
            assert sink.messages == []
            proxy.state = State.UP
            _post(gateway, "other@b.example", "second")
            found = arrived(sink, 2)
            gateway.wait_until_empty()
            assert list((gateway.queue_directory / "maildrop").iterdir()) == []
    assert found == {("first", "s@a.example", "real@b.example"), ("second", "s@a.example", "other@b.example")}
