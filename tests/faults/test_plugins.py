"""A plugin that raises, hangs, blocks, exits or returns nonsense: 451 for its own session, nothing for any other.

The gateway has a single smtpd worker, so that the session that fails and the session that must not notice share a
process. The plugin is ``faulty_plugin.py``.
"""

from __future__ import annotations

import smtplib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.kill_rounds import FAST_RETRY
from peers.gateway import GatewayInstance
from peers.sinks import RecordingSink

PLUGIN = (Path(__file__).parent / "faulty_plugin.py").read_text(encoding="utf-8")
FAULTS = ("raise", "hang", "block", "nonsense", "exit", "exitlater", "cancel", "badcode")
_QUICK = ("raise", "nonsense", "exit", "exitlater", "cancel", "badcode")
SENDER_STAGES = ("mail", "rcpt", "predata", "data", "queue")
# A call that blocks costs a second and a half each: not at every stage.
CASES = [(fault, stage) for stage in SENDER_STAGES for fault in _QUICK]
CASES += [("hang", stage) for stage in SENDER_STAGES] + [("block", "rcpt"), ("block", "data")]
_CONTENT = b"Subject: plugin\r\nX-Case: %s\r\n\r\nhello\r\n"


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway with the faulty plugin, and its next hop."""

    gateway: GatewayInstance
    sink: RecordingSink

    def connect(self, source: str = "127.0.0.1") -> smtplib.SMTP:
        client = smtplib.SMTP(timeout=10, source_address=(source, 0))
        client.connect("127.0.0.1", self.gateway.port)
        return client


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    settings = FAST_RETRY | {"plugin_timeout": "1s", "plugin_breaker_failures": "0", "smtpd_workers": "1"}
    with RecordingSink() as sink:
        settings["relayhost"] = f"[127.0.0.1]:{sink.port}"
        with GatewayInstance(settings, plugins={"faulty": PLUGIN}) as gateway:
            pids = gateway.pids()
            yield Place(gateway, sink)
            assert gateway.pids() == pids, "a process ended"


@pytest.fixture
def bystander(place: Place) -> Iterator[smtplib.SMTP]:
    """A session in the middle of a transaction when the fault happens; afterwards it must still be whole."""
    with place.connect() as client:
        client.ehlo("bystander.example")
        client.mail("bystander@a.example")
        client.rcpt("recipient@b.example")
        yield client
        assert client.data(_CONTENT % b"bystander")[0] == 250


def _transaction(client: smtplib.SMTP, sender: str) -> list[tuple[int, bytes]]:
    """MAIL, RCPT, DATA, content; stops at the first refusal."""
    replies = [client.mail(sender)]
    if replies[-1][0] == 250:
        replies.append(client.rcpt("recipient@b.example"))
    if replies[-1][0] == 250:
        replies.append(client.docmd("DATA"))
    if replies[-1][0] == 354:
        client.send(_CONTENT % sender.encode() + b".\r\n")
        replies.append(client.getreply())
    return replies


@pytest.mark.parametrize(("fault", "stage"), CASES, ids=lambda value: value)
def test_a_failing_stage_gives_451(place: Place, bystander: smtplib.SMTP, fault: str, stage: str) -> None:
    with place.connect() as client:
        client.ehlo("client.example")
        replies = _transaction(client, f"{fault}-{stage}@a.example")
        refused_at = {"mail": 1, "rcpt": 2, "predata": 3, "data": 4, "queue": 4}[stage]
        assert len(replies) == refused_at, replies
        code, text = replies[-1]
        assert (code, text[:5]) == (451, b"4.3.0"), replies
        # The session that met the fault goes on too.
        client.rset()
        assert _transaction(client, "healthy@a.example")[-1][0] == 250
    assert f"plugin faulty: {stage}:" in place.gateway.wait_for_log(f"plugin faulty: {stage}:")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_helo(place: Place, bystander: smtplib.SMTP, fault: str) -> None:
    with place.connect() as client:
        code, text = client.ehlo(f"{fault}.helo.example")
        assert (code, text[:5]) == (451, b"4.3.0")
        assert client.ehlo("client.example")[0] == 250
        assert _transaction(client, "healthy@a.example")[-1][0] == 250


@pytest.mark.parametrize("number", range(1, len(FAULTS) + 1), ids=lambda number: FAULTS[number - 1])
def test_a_failing_connect(place: Place, bystander: smtplib.SMTP, number: int) -> None:
    client = smtplib.SMTP(timeout=10, source_address=(f"127.0.1.{number}", 0))
    code, text = client.connect("127.0.0.1", place.gateway.port)
    client.close()
    assert code in {421, 451}, text
    assert b"4.3.0" in text


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_deliver_defers_its_message_only(place: Place, fault: str) -> None:
    sender = f"{fault}-deliver@a.example"
    with place.connect() as client:
        client.ehlo("client.example")
        assert _transaction(client, sender)[-1][0] == 250
        count = len(place.sink.messages)
        assert _transaction(client, "healthy@a.example")[-1][0] == 250
    place.sink.wait_for(count + 1, 8)
    place.gateway.wait_for_log("status=deferred")
    assert sender not in {message.sender for message in place.sink.messages}
    assert sender in {message["sender"] for message in place.gateway.queue()}


def test_a_hanging_plugin_delays_nobody_else(place: Place) -> None:
    with place.connect() as stuck, place.connect() as other:
        stuck.ehlo("client.example")
        stuck.mail("hang-rcpt@a.example")
        waiting = threading.Thread(target=stuck.rcpt, args=("recipient@b.example",))
        start = time.monotonic()
        waiting.start()
        other.ehlo("client.example")
        assert _transaction(other, "healthy@a.example")[-1][0] == 250
        took = time.monotonic() - start
        assert waiting.is_alive(), "the plugin did not hang"
        waiting.join(10)
        assert took < 0.9


def test_fail_open_delivers_without_the_failed_plugins_edits() -> None:
    with RecordingSink() as sink:
        settings = FAST_RETRY | {
            "plugins": "access, { {dir}/plugins/faulty.py, timeout=1s, default_action=accept }",
            "relayhost": f"[127.0.0.1]:{sink.port}",
        }
        with GatewayInstance(settings, plugins={"faulty": PLUGIN}) as gateway:
            senders = [f"raise-{stage}@a.example" for stage in (*SENDER_STAGES, "deliver")]
            with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client:
                client.ehlo("raise.helo.example")
                for sender in senders:
                    assert _transaction(client, sender)[-1][0] == 250, sender
            messages = sink.wait_for(len(senders))
            log = gateway.log_text()
    assert sorted(message.sender for message in messages) == sorted(senders)
    assert not any(b"X-Faulty" in message.content for message in messages)
    for stage in ("helo", *SENDER_STAGES, "deliver"):
        assert f"plugin faulty: {stage}: RuntimeError: as told" in log, stage
