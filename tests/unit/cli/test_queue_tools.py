"""postqueue, mailq, postsuper, postcat: against a scheduler's socket, and against the spool of a stopped gateway."""

import asyncio
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from peers.control_socket import ControlSocket

from gateway import cli
from gateway.model.address import Address
from gateway.model.content import Content
from gateway.model.envelope import ClientInfo, Envelope, Recipient
from gateway.spool import Store

Answers = Callable[[dict[str, Any]], list[dict[str, Any]]]

ENTRY = {
    "queue_name": "active",
    "queue_id": "4jXVgN55GLzJ9cj",
    "arrival_time": 1795355088,
    "message_size": 2048,
    "forced_expire": False,
    "sender": "a@example.com",
    "recipients": [{"address": "b@example.org"}],
}


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "queue"
    directory.mkdir()
    (tmp_path / "main.cf").write_text(
        f"queue_directory = {directory}\nmail_owner = root\n"
        f"maillog_file = {tmp_path}/log\nmaillog_file_prefixes = {tmp_path}\n"
    )
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    return directory


@pytest.fixture
def scheduler(queue: Path) -> Iterator[Callable[[Answers], ControlSocket]]:
    started: list[ControlSocket] = []

    def start(answer: Answers) -> ControlSocket:
        started.append(ControlSocket(queue, answer))
        return started[-1]

    yield start
    for server in started:
        server.close()


def listing(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [ENTRY, {**ENTRY, "queue_id": "4x", "queue_name": "hold"}, {"end": True, "count": 2, "size": 4096}]


def test_postqueue_p_and_j_and_mailq(
    scheduler: Callable[[Answers], ControlSocket], capsys: pytest.CaptureFixture[str]
) -> None:
    scheduler(listing)
    assert cli.run("postqueue", ["-p"]) == 0
    table = capsys.readouterr().out
    assert "4jXVgN55GLzJ9cj* " in table
    assert table.endswith("-- 4 Kbytes in 2 Requests.\n")
    assert cli.run("mailq", []) == 0
    assert capsys.readouterr().out == table
    assert cli.run("postqueue", ["-j"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["queue_id"] for line in lines] == ["4jXVgN55GLzJ9cj", "4x"]
    assert lines[0] == ENTRY


@pytest.mark.parametrize(
    ("arguments", "request_sent"),
    [
        (["-f"], {"op": "flush"}),
        (["-i", "4abc"], {"op": "deliver_now", "queue_id": "4abc"}),
        (["-s", "example.org"], {"op": "flush_site", "site": "example.org"}),
    ],
)
def test_postqueue_asks_for_attempts(
    scheduler: Callable[[Answers], ControlSocket], arguments: list[str], request_sent: dict[str, str]
) -> None:
    server = scheduler(lambda request: [{"count": 1}])
    assert cli.run("postqueue", arguments) == 0
    assert server.requests == [request_sent]


def test_when_the_system_is_down_nothing_can_be_flushed(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("postqueue", ["-f"]) == 69
    assert capsys.readouterr().err == "postqueue: fatal: Cannot flush mail queue - mail system is down\n"
    assert cli.run("postqueue", ["-p"]) == 69
    assert "Queue report unavailable - mail system is down" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "status"), [([], 69), (["-p", "-f"], 64), (["-Z"], 64), (["-p", "x"], 64)])
def test_postqueue_usage(queue: Path, arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("postqueue", arguments) == status
    assert "usage: postqueue" in capsys.readouterr().err


def test_postsuper_says_what_it_did(
    scheduler: Callable[[Answers], ControlSocket],
    queue: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = scheduler(lambda request: [{"count": int(request["queue_ids"] != ["4missing"])}])
    monkeypatch.setattr(sys, "stdin", io.StringIO("4fromstdin\n\n"))
    assert (
        cli.run("postsuper", ["-h", "4first1", "-h", "4missing", "-h", "!!", "-d", "-", "-H", "ALL", "-r", "ALL"]) == 0
    )
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "postsuper: 4fromstdin: removed",
        "postsuper: Deleted: 1 message",
        "postsuper: warning: invalid mail queue id: !!",
        "postsuper: 4first1: placed on hold",
        "postsuper: Placed on hold: 1 message",
        "postsuper: Released from hold: 1 message",
        "postsuper: Requeued: 1 message",
    ]
    assert {"op": "release", "queue_ids": "ALL"} in server.requests
    assert (queue.parent / "log").read_text().count("postfix/postsuper[") == len(said)


def test_postsuper_all_can_be_bounded_to_a_queue(
    scheduler: Callable[[Answers], ControlSocket], capsys: pytest.CaptureFixture[str]
) -> None:
    server = scheduler(lambda request: listing(request) if request["op"] == "showq" else [{"count": 1}])
    assert cli.run("postsuper", ["-d", "ALL", "hold"]) == 0
    assert server.requests[-1] == {"op": "delete", "queue_ids": ["4x"]}
    assert cli.run("postsuper", ["-d", "ALL", "spam"]) == 64
    assert "unknown queue name" in capsys.readouterr().err


def test_many_queue_ids_take_few_connections(scheduler: Callable[[Answers], ControlSocket]) -> None:
    server = scheduler(lambda request: [{"count": 1}])
    ids = [f"4id{n:05d}" for n in range(1200)]
    assert cli.run("postsuper", [f"-d{queue_id}" for queue_id in ids]) == 0
    assert [request["queue_ids"] for request in server.requests] == [[queue_id] for queue_id in ids]


def test_a_refusal_is_shown(scheduler: Callable[[Answers], ControlSocket], capsys: pytest.CaptureFixture[str]) -> None:
    scheduler(lambda request: [{"error": "user joe is not allowed to do this"}])
    assert cli.run("postsuper", ["-d", "ALL"]) == 1
    assert "fatal: user joe is not allowed" in capsys.readouterr().err


def test_nonsense_from_the_socket_is_an_error(
    scheduler: Callable[[Answers], ControlSocket], capsys: pytest.CaptureFixture[str]
) -> None:
    scheduler(lambda request: [[1]])  # type: ignore[list-item]
    assert cli.run("postqueue", ["-f"]) == 1
    assert "unintelligible answer" in capsys.readouterr().err


# --- a stopped gateway -----------------------------------------------------------------------------------------------


@pytest.fixture
def stored(queue: Path) -> Path:
    async def fill() -> None:
        store = Store.open(str(queue))
        for number, is_held in ((1, False), (2, True)):
            envelope = Envelope(
                f"4stored{number}",
                Address("a", "example.com"),
                [Recipient(Address("b", "example.org"), reason="later", status="4.0.0", notify=("DELAY",))],
                arrival=1795355088.0,
                size_bytes=30,
                client=ClientInfo("c.example", "192.0.2.1", "25", helo="c"),
                is_held=is_held,
                attempts=1,
                filter="smtp:[127.0.0.1]",
            )
            await store.put(envelope, Content(b"Subject: x\r\nX: \xff\r\n", b"one\r\n\r\ntwo\r\n"))
        store.close()

    asyncio.run(fill())
    return queue


def test_the_queue_of_a_stopped_gateway(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("postqueue", ["-p"]) == 0
    done = capsys.readouterr()
    assert "4stored1  " in done.out
    assert "4stored2! " in done.out
    assert "postqueue: warning: Mail system is down -- accessing queue directly" in done.err


def test_changes_to_the_queue_of_a_stopped_gateway(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("postsuper", ["-h", "4stored1", "-H", "4stored2", "-d", "4nosuch"]) == 0
    assert "4stored1: placed on hold" in capsys.readouterr().err
    cli.run("postqueue", ["-j"])
    queues = {e["queue_id"]: e["queue_name"] for e in map(json.loads, capsys.readouterr().out.splitlines())}
    assert queues == {"4stored1": "hold", "4stored2": "deferred"}
    assert cli.run("postsuper", ["-r", "ALL"]) == 0
    assert cli.run("postsuper", ["-d", "ALL"]) == 0
    assert "Deleted: 2 messages" in capsys.readouterr().err
    cli.run("postqueue", ["-p"])
    assert capsys.readouterr().out == "Mail queue is empty\n"


def test_postcat_shows_envelope_and_octets(stored: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.run("postcat", ["-q", "4stored2"]) == 0
    out = capfdbinary.readouterr().out
    head, _, rest = out.partition(b"*** MESSAGE CONTENTS hold/4stored2 ***\n")
    assert head.startswith(b"*** ENVELOPE RECORDS hold/4stored2 ***\nmessage_size: ")
    for record in (
        b"sender: a@example.com\n", b"recipient: b@example.org\n", b"log_client_address=192.0.2.1\n",
        b"dsn_notify_flags=DELAY\n", b"content_filter: smtp:[127.0.0.1]\n", b"delivery_status: 4.0.0 later\n",
    ):  # fmt: skip
        assert record in head
    content, _, _ = rest.partition(b"*** HEADER EXTRACTED")
    assert content == b"Subject: x\nX: \xff\n\none\n\ntwo\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-hq", b"Subject: x\nX: \xff\n"),
        ("-bq", b"\none\n\ntwo\n"),
        ("-bhq", b"Subject: x\nX: \xff\n\none\n\ntwo\n"),
        ("-hvq", b"regular_text: Subject: x\nregular_text: X: \xff\n"),
    ],
)
def test_postcat_parts(stored: Path, options: str, expected: bytes, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.run("postcat", [options, "4stored1"]) == 0
    assert capfdbinary.readouterr().out == expected


def test_postcat_of_nothing(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("postcat", ["-q", "4nosuch"]) == 1
    assert "open queue file 4nosuch: No such file or directory" in capsys.readouterr().err
    assert cli.run("postcat", ["somefile"]) == 64
    assert cli.run("postcat", []) == 0


def test_a_long_queue_directory_is_no_obstacle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    (tmp_path / "main.cf").write_text(f"queue_directory = {deep}\n")
    assert len(os.fspath(deep)) > 108
    assert cli.run("postqueue", ["-c", str(tmp_path), "-f"]) == 69
    assert "mail system is down" in capsys.readouterr().err
