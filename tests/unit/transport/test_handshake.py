from __future__ import annotations

import asyncio

import msgspec
import pytest
from peers.smtp_sink import Script, ScriptedSink

from gateway.config import Config
from gateway.model.delivery import Outcome, Status
from gateway.transport.endpoint import Endpoint
from gateway.transport.handshake import NoSession, open_session
from gateway.transport.settings import ClientSettings

pytestmark = pytest.mark.usefixtures("both_loops")  # they differ in when they write and what they raise


def introduce(script: Script, *, best_mx_of: str = "", **values: object) -> list[bytes] | Status:
    """What the server was told, or why there is no session."""
    read = ClientSettings.read(Config.from_settings({"myhostname": "me.example"}))
    use = msgspec.structs.replace(read, **values)

    async def go() -> list[bytes] | Status:
        async with ScriptedSink(script) as sink:
            try:
                connection = await open_session(Endpoint("mx.example", "127.0.0.1", sink.port, best_mx_of), use)
            except NoSession as exc:
                return exc.status
            assert connection.is_usable
            connection.abort()
            return sink.commands

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("greeting", "values", "expected"),
    [
        (b"220 mx", {}, [b"EHLO me.example"]),
        (b"220 mx", {"always_send_ehlo": False}, [b"HELO me.example"]),
        (b"220 mx ESMTP", {"always_send_ehlo": False}, [b"EHLO me.example"]),
        (b"220 mx ESMTP", {"never_send_ehlo": True}, [b"HELO me.example"]),
        (b"220-mx\n220 ESMTP", {"helo_name": "other.example"}, [b"EHLO other.example"]),
    ],
)
def test_hello(greeting: bytes, values: dict[str, object], expected: list[bytes]) -> None:
    assert introduce(Script(greeting=greeting), **values) == expected


def test_fall_back_to_helo() -> None:
    assert introduce(Script(keywords=())) == [b"EHLO me.example", b"HELO me.example"]


def test_421_to_ehlo_is_no_reason_for_helo() -> None:
    status = introduce(Script(replies={b"EHLO": b"421 4.3.2 bye"}))
    assert isinstance(status, Status)
    assert (status.outcome, status.dsn) == (Outcome.DEFERRED, "4.3.2")


def test_meeting_myself() -> None:
    script = Script(replies={b"EHLO": b"250-ME.example hi\n250 PIPELINING"})
    status = introduce(script, best_mx_of="x.example")
    assert isinstance(status, Status)
    assert (status.outcome, status.dsn, status.text) == (
        Outcome.BOUNCED,
        "5.4.6",
        "mail for x.example loops back to myself",
    )
    assert introduce(script) == [b"EHLO me.example"], "no matter when it is not an exchanger of the domain"


def test_source_address() -> None:
    assert introduce(Script(), bind_address="127.0.0.2") == [b"EHLO me.example"]
    assert introduce(Script(), bind_address="192.0.2.1") == [b"EHLO me.example"], "as well as it can"
    status = introduce(Script(), bind_address="192.0.2.1", bind_address_enforce=True)
    assert isinstance(status, Status)
    assert status.dsn == "4.4.1"
    assert status.text.endswith("Cannot assign requested address")
