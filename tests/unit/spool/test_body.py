from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway.model.errors import SpoolError, SpoolFull
from gateway.spool import body
from gateway.spool.body import BodyWriter, body_path, old_bodies, remove_body, spool_error

QUEUE_ID = "4k9XV10000zN4"


def test_a_body_is_written_in_pieces_and_finished(tmp_path: Path) -> None:
    async def run() -> None:
        writer = BodyWriter(str(tmp_path), QUEUE_ID)
        buffer = bytearray(b"x" * 1000)
        for _ in range(600):
            writer.write(buffer)
            buffer[:] = b"y" * 1000  # the caller's buffer is its own again
        path = tmp_path / body_path(QUEUE_ID)
        assert 256_000 <= path.stat().st_size < 600_000
        file = await writer.finish(offset=1000)
        assert (file.path, file.size_bytes, file.offset) == (body_path(QUEUE_ID), 599_000, 1000)
        assert path.read_bytes() == b"x" * 1000 + b"y" * 599_000
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(SpoolError):
            writer.write(b"more")
        with pytest.raises(SpoolError):
            await writer.finish()

    asyncio.run(run())


@pytest.mark.parametrize("is_finished", [False, True])
def test_abort_removes_the_file(tmp_path: Path, is_finished: bool) -> None:
    writer = BodyWriter(str(tmp_path), QUEUE_ID)
    writer.write(b"x" * 300_000)
    if is_finished:
        asyncio.run(writer.finish())
    writer.abort()
    writer.abort()
    assert not (tmp_path / body_path(QUEUE_ID)).exists()


def test_a_body_is_never_written_over(tmp_path: Path) -> None:
    first = BodyWriter(str(tmp_path), QUEUE_ID)
    with pytest.raises(SpoolError):
        BodyWriter(str(tmp_path), QUEUE_ID)
    first.abort()


def test_an_error_while_syncing_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    writer = BodyWriter(str(tmp_path), QUEUE_ID)
    monkeypatch.setattr(body.os, "fsync", fail)
    with pytest.raises(SpoolError, match="Input/output error"):
        asyncio.run(writer.finish())
    writer.abort()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "bodies").write_text("in the way")
    with pytest.raises(SpoolError):
        BodyWriter(str(tmp_path), QUEUE_ID)


def test_errors_of_the_system() -> None:
    assert type(spool_error("write", OSError(28, "No space left on device"))) is SpoolFull
    assert type(spool_error("write", OSError(5, "Input/output error"))) is SpoolError


def test_old_bodies_are_found_and_removed(tmp_path: Path) -> None:
    writer = BodyWriter(str(tmp_path), QUEUE_ID)
    writer.write(b"x")
    asyncio.run(writer.finish())
    path = tmp_path / body_path(QUEUE_ID)
    os.utime(path, (1000, 1000))
    assert list(old_bodies(str(tmp_path), 1000)) == []
    assert list(old_bodies(str(tmp_path), 1001)) == [QUEUE_ID]
    remove_body(str(tmp_path), QUEUE_ID)
    remove_body(str(tmp_path), QUEUE_ID)
    assert list(old_bodies(str(tmp_path / "nowhere"), 2000)) == []
    assert not path.exists()
