"""The queue's filesystem is full: 452 for new mail, nothing half-written, and everything goes on when there is room."""

from __future__ import annotations

import os
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.kill_rounds import FAST_RETRY
from peers.gateway import GatewayInstance
from peers.ports import wait_for
from peers.sinks import CountingSink

pytestmark = pytest.mark.peer("root")

_SMALL, _LARGE = 20_000, 600_000  # below and above content_memory_limit: in the database and in a file of its own


@contextmanager
def _small_filesystem(directory: Path) -> Iterator[Path]:
    """A tmpfs of 12 MB."""
    directory.mkdir()
    subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["/usr/bin/umount", "-l", str(directory)], check=True)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and len(folder.parts) > 2:
            folder.chmod(0o755)  # the mail owner has to walk through
    with _small_filesystem(tmp_path / "small") as directory:
        yield directory


def _fill(directory: Path) -> Path:
    """A file that takes every block that is left."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return filler


def _lines(identifier: str, size: int) -> bytes:
    return f"Subject: {identifier}\r\nX-Load-Id: {identifier}\r\n\r\n".encode() + (b"x" * 64 + b"\r\n") * (size // 66)


def _send(port: int, identifier: str, size: int) -> tuple[int, bytes]:
    """One message over a connection of its own; returns the refusal's or the acceptance's code and text."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo("client.example")
        for code, text in (client.mail("sender@a.example"), client.rcpt("recipient@b.example")):
            if code >= 400:
                return code, text
        return client.data(_lines(identifier, size))


def _wait_for_room(gateway: GatewayInstance, identifier: str, size: int) -> None:
    """Send until accepted: the gateway may look for free space only now and then, but soon."""
    wait_for(lambda: _send(gateway.port, identifier, size)[0] == 250, "room again", 5)


def _settings(mount: Path, port: int) -> dict[str, str]:
    return FAST_RETRY | {
        "queue_directory": str(mount / "queue"),
        "relayhost": f"[127.0.0.1]:{port}",
        "message_size_limit": "1000000",
    }


@pytest.mark.parametrize("size", [_SMALL, _LARGE], ids=["in-memory", "streamed"])
def test_a_full_disk_gives_452_and_recovers(mount: Path, size: int) -> None:
    with CountingSink() as sink, GatewayInstance(_settings(mount, sink.port)) as gateway:
        assert _send(gateway.port, "before", size)[0] == 250
        sink.wait_for({"before"})
        gateway.wait_until_empty()
        filler = _fill(mount)
        code, text = _send(gateway.port, "full", size)
        assert code == 452, (code, text)
        assert text.startswith(b"4.3.1"), text
        filler.unlink()
        _wait_for_room(gateway, "after", size)
        sink.wait_for({"after"})
        gateway.wait_until_empty()
        assert "full" not in sink.received
        left = [path for path in (mount / "queue").rglob("*") if path.is_file() and path.stat().st_size >= size]
        assert not any(b"X-Load-Id: full" in path.read_bytes() for path in left)


def test_everything_acknowledged_until_the_disk_was_full_is_delivered(mount: Path) -> None:
    with CountingSink() as sink, GatewayInstance(_settings(mount, sink.port)) as gateway:
        sink.close()
        acknowledged, refused = set(), []
        for number in range(400):
            identifier = f"n{number}"
            code, text = _send(gateway.port, identifier, _LARGE if number % 4 == 0 else _SMALL)
            if code == 250:
                acknowledged.add(identifier)
            else:
                refused.append((code, text))
            if len(refused) == 5:
                break
        assert len(refused) == 5, "the disk never filled"
        assert {code for code, _ in refused} <= {452, 451}, refused
        assert refused[0][0] == 452, refused
        sink.listen()
        sink.wait_for(acknowledged, 40)
        gateway.wait_until_empty(40)
        assert sink.received.keys() == acknowledged
        assert all(copies == 1 for copies in sink.received.values())
        _wait_for_room(gateway, "again", _SMALL)
        sink.wait_for({"again"})


def test_a_disk_that_fills_while_a_message_arrives(mount: Path) -> None:
    with CountingSink() as sink, GatewayInstance(_settings(mount, sink.port)) as gateway:
        with smtplib.SMTP("127.0.0.1", gateway.port, timeout=20) as client:
            client.ehlo("client.example")
            client.mail("sender@a.example")
            client.rcpt("recipient@b.example")
            assert client.docmd("DATA")[0] == 354
            content = _lines("half", _LARGE)
            client.send(content[:400_000])
            filler = _fill(mount)
            client.send(content[400_000:] + b".\r\n")
            code, text = client.getreply()
            assert code == 452, (code, text)
            # The session goes on, and knows nothing of the message it lost.
            filler.unlink()
            assert client.docmd("DATA")[0] == 503
        _wait_for_room(gateway, "next", _LARGE)
        sink.wait_for({"next"})
        gateway.wait_until_empty()
        assert "half" not in sink.received
        assert sink.received["next"] == 1
