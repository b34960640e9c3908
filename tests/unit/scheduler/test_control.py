from __future__ import annotations

import asyncio
import base64
import os
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
from peers.scheduling import CONTENT, SchedulerRig, message

from gateway.model.address import Address
from gateway.model.content import BodyFile, Content
from gateway.scheduler import control
from gateway.scheduler.control import ControlServer


async def ask(path: str, *requests: Any) -> list[dict[str, Any]]:
    """Send requests as the tools do, and read until the server closes."""
    reader, writer = await asyncio.open_unix_connection(path)
    for request in requests:
        writer.write(request if isinstance(request, bytes) else msgspec.json.encode(request) + b"\n")
    writer.write_eof()
    answers = [msgspec.json.decode(line) for line in (await asyncio.wait_for(reader.read(), 5)).splitlines()]
    writer.close()
    return answers


def serve(
    tmp_path: Path, body: Callable[[SchedulerRig, str], Coroutine[Any, Any, None]], **settings: str
) -> SchedulerRig:
    async def main() -> SchedulerRig:
        rig = SchedulerRig({"queue_directory": str(tmp_path), **settings})
        server = ControlServer(rig.config, rig.scheduler, rig.store, log=rig.log.logger("qmgr"))
        await server.start()
        try:
            await body(rig, str(tmp_path / "public/qmgr"))
        finally:
            await server.close()
            await rig.stop(0)
        return rig

    return asyncio.run(main())


def test_listing_has_the_fields_of_postqueue_j(tmp_path: Path) -> None:
    async def body(rig: SchedulerRig, path: str) -> None:
        envelope = message("A1", "u@a.example", "v@a.example", due=rig.clock.now + 100)
        envelope.recipients[0].reason = "connect to a.example: Connection refused"
        rig.store.add(envelope)
        rig.store.add(message("A2", "u@a.example", sender="", is_held=True))
        rig.transport.gates["b.example"] = asyncio.Event()
        rig.send("A3", "u@b.example")
        answers = await ask(path, {"op": "showq"})
        assert answers[0] == {
            "queue_name": "deferred",
            "queue_id": "A1",
            "arrival_time": 1795354176,
            "message_size": 24,
            "forced_expire": False,
            "sender": "me@here.example",
            "recipients": [
                {"address": "u@a.example", "delay_reason": "connect to a.example: Connection refused"},
                {"address": "v@a.example"},
            ],
        }
        assert [(a["queue_name"], a["sender"]) for a in answers[1:3]] == [
            ("hold", "MAILER-DAEMON"), ("active", "me@here.example"),
        ]  # fmt: skip
        assert answers[3] == {"end": True, "count": 3, "size": 72}
        for queue, count in (("hold", 1), ("active", 1), ("deferred", 1)):
            assert (await ask(path, {"op": "showq", "queue": queue}))[-1]["count"] == count

    serve(tmp_path, body)


def test_long_listings_come_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PAGE", 10)

    async def body(rig: SchedulerRig, path: str) -> None:
        for number in range(95):
            rig.store.add(message(f"A{number:02}", "u@a.example"))
        answers = await ask(path, {"op": "showq"})
        assert [a["queue_id"] for a in answers[:-1]] == [f"A{number:02}" for number in range(95)]

    serve(tmp_path, body)


def test_changes(tmp_path: Path) -> None:
    async def body(rig: SchedulerRig, path: str) -> None:
        for name in ("A1", "A2", "A3"):
            rig.store.add(message(name, "u@a.example", due=rig.clock.now + 100))
        assert await ask(path, {"op": "hold", "queue_ids": ["A1", "A2", "NONE"]}) == [{"count": 2}]
        assert await ask(path, {"op": "release", "queue_ids": ["A1"]}, {"op": "delete", "queue_ids": ["A3"]}) == [
            {"count": 1},
            {"count": 1},
        ]
        assert await ask(path, {"op": "requeue", "queue_ids": "ALL"}) == [{"count": 2}]
        assert await ask(path, {"op": "flush"}, {"op": "flush_site", "site": "a.example"}) == [{"count": 2}] * 2
        assert await ask(path, {"op": "deliver_now", "queue_id": "A1"}) == [{"count": 1}]
        await rig.idle()
        status = (await ask(path, {"op": "status"}))[0]
        assert (status["active"], status["deferred"], status["hold"]) == (0, 1, 0)

    rig = serve(tmp_path, body)
    assert rig.lines("qmgr")[:3] == [
        "qmgr: 2 messages placed on hold", "qmgr: A1: released from hold", "qmgr: A3: removed",
    ]  # fmt: skip


def test_content_is_shown_whatever_its_octets(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"....\xff" * 30_000)

    async def body(rig: SchedulerRig, path: str) -> None:
        rig.store.add(message("A1", "u@a.example"), Content(CONTENT.head, BodyFile("body", 149_996, offset=4)))
        envelope = message("A2", "u@a.example")
        envelope.recipients[0].address = Address("\udcff", "a.example")
        rig.store.contents["A2"] = CONTENT
        rig.store.envelope = lambda queue_id: envelope if queue_id == "A2" else message("A1", "u@a.example")  # type: ignore[method-assign]
        answers = await ask(path, {"op": "cat", "queue_id": "A1"})
        assert answers[0]["envelope"]["queue_id"] == "A1"
        assert answers[-1] == {"end": True, "count": 1}
        data = b"".join(base64.b64decode(answer["data"]) for answer in answers[1:-1])
        assert data == CONTENT.head + b"\r\n" + (b"....\xff" * 30_000)[4:]
        answers = await ask(path, {"op": "cat", "queue_id": "A2"})
        assert answers[0]["envelope"]["recipients"][0]["address"]["local"] == "?"

    serve(tmp_path, body)


@pytest.mark.parametrize(
    ("request_line", "text"),
    [
        (b"nonsense\n", "bad request"),
        (b'{"op": "explode"}\n', "unknown operation 'explode'"),
        (b'{"op": "hold", "queue_ids": "A1"}\n', "want a list of queue IDs"),
        (b'{"op": "hold", "queue_ids": 5}\n', "bad request"),
        (b'{"op": "showq", "queue": "corrupt"}\n', "there is no queue 'corrupt'"),
        (b'{"op": "cat", "queue_id": "NONE"}\n', "NONE: no such message"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(tmp_path: Path, request_line: bytes, text: str) -> None:
    async def body(rig: SchedulerRig, path: str) -> None:
        assert text in (await ask(path, request_line, {"op": "status"}))[0]["error"]
        assert (await ask(path, b"\n", {"op": "status"}))[0]["active"] == 0

    serve(tmp_path, body)


def test_requests_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REQUEST_LIMIT", 1000)

    async def body(rig: SchedulerRig, path: str) -> None:
        assert await ask(path, b'{"op": "' + b"x" * 5000 + b'"}\n') == [{"error": "request too long"}]

    serve(tmp_path, body)


def test_clients_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "CLIENT_LIMIT", 0)

    async def body(rig: SchedulerRig, path: str) -> None:
        assert await ask(path) == [{"error": "too many clients"}]

    serve(tmp_path, body)


def test_strangers_may_list_and_flush_as_configured_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_peer_uid", lambda writer: 4_000_000)

    async def body(rig: SchedulerRig, path: str) -> None:
        rig.store.add(message("A1", "u@a.example"))
        assert (await ask(path, {"op": "showq"}))[-1]["count"] == 1
        assert await ask(path, {"op": "flush"}) == [{"error": "user unknown is not allowed to do this"}]
        for op in ("hold", "release", "requeue", "delete"):
            assert "not allowed" in (await ask(path, {"op": op, "queue_ids": ["A1"]}))[0]["error"]
        assert "not allowed" in (await ask(path, {"op": "cat", "queue_id": "A1"}))[0]["error"]
        assert [e.queue_id for e in rig.store.all()] == ["A1"]

    rig = serve(tmp_path, body, authorized_flush_users="!unknown, static:anyone")
    assert rig.lines("warning: flush refused to user unknown (uid 4000000)")


def test_the_socket_replaces_an_old_one_and_goes_at_the_end(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    (deep / "public").mkdir(parents=True)
    (deep / "public/qmgr").write_text("left over")

    async def body(rig: SchedulerRig, path: str) -> None:
        directory = os.open(deep, os.O_PATH)
        answers = await ask(f"/proc/self/fd/{directory}/public/qmgr", {"op": "status"})
        os.close(directory)
        assert answers[0]["active"] == 0
        assert stat.S_IMODE((deep / "public/qmgr").stat().st_mode) == 0o666

    serve(deep, body)
    assert not (deep / "public/qmgr").exists()
