from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError
from gateway.spool import recovery, schema
from gateway.spool.body import BodyWriter, body_path
from gateway.spool.schema import PAGE_BYTES
from gateway.spool.store import Store

Mail = Callable[..., tuple[Envelope, Content]]
LATER = 1_900_000_000.0


def _fill(directory: Path, make_mail: Mail, count: int = 20, snapshot: Path | None = None) -> list[str]:
    async def run() -> list[str]:
        store = Store.open(str(directory))
        mail = [make_mail(body=b"%d" % n * 3000) for n in range(count)]
        for one in mail:
            await store.put(*one)
        if snapshot is not None:
            shutil.copytree(directory, snapshot)
        store.close()
        return [envelope.queue_id for envelope, _ in mail]

    return asyncio.run(run())


def _served(directory: Path, log: Any = None) -> list[str]:
    store = Store.open(str(directory), log=log)
    try:
        names = [envelope.queue_id for envelope in store.entries(limit=1000)]
        for name in names:
            store.content(name)
        return names
    finally:
        store.close()


def test_a_file_that_is_no_database_is_salvaged(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    names = _fill(tmp_path / "q", make_mail)
    path = tmp_path / "q/store/queue.db"
    data = path.read_bytes()
    path.write_bytes(b"\0" * 100 + data[100:])
    assert _served(tmp_path / "q", log) == names
    assert "is damaged" in log.text
    kept = list((tmp_path / "q/corrupt").glob("queue.db.*"))
    assert len(kept) == 1
    assert kept[0].read_bytes()[100:] == data[100:]


def test_a_truncated_file_is_salvaged(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    names = _fill(tmp_path / "q", make_mail)
    path = tmp_path / "q/store/queue.db"
    os.truncate(path, path.stat().st_size // 2 // PAGE_BYTES * PAGE_BYTES)
    served = _served(tmp_path / "q", log)
    assert served
    assert all(name in served or name in log.text for name in names)


def test_a_lost_database_with_its_log_is_salvaged(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    names = _fill(tmp_path / "q", make_mail, snapshot=tmp_path / "snapshot")
    os.truncate(tmp_path / "snapshot/store/queue.db", 0)
    assert _served(tmp_path / "snapshot", log) == names


def test_an_empty_queue_is_never_started_in_silence(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    _fill(tmp_path / "q", make_mail)
    (tmp_path / "q/store/queue.db").unlink()
    assert _served(tmp_path / "q", log) == []
    assert "starting with an empty queue" in log.text


def test_a_new_spool_is_no_event(tmp_path: Path, log: Any) -> None:
    assert _served(tmp_path / "q", log) == []
    assert log.lines == []
    assert {entry.name for entry in (tmp_path / "q").iterdir()} == {"store", "bodies"}


@pytest.mark.parametrize("step", range(6))
def test_a_crash_while_files_are_exchanged(
    tmp_path: Path, make_mail: Mail, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    names = _fill(tmp_path / "q", make_mail, snapshot=tmp_path / "s")
    path = tmp_path / "s/store/queue.db"
    data = bytearray(path.read_bytes())
    data[0:16] = b"\0" * 16
    path.write_bytes(data)

    class Crash(BaseException):
        pass

    calls = 0
    rename = os.rename

    def crashing(source: str, target: str) -> None:
        nonlocal calls
        calls += 1
        if calls > step:
            raise Crash
        rename(source, target)

    monkeypatch.setattr(os, "rename", crashing)
    if step < 4:
        with pytest.raises(Crash):
            Store.open(str(tmp_path / "s"))
    monkeypatch.setattr(os, "rename", rename)
    assert _served(tmp_path / "s") == names


def test_damage_found_while_working_is_repaired(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path), log=log)
        mail = [make_mail() for _ in range(5)]
        await asyncio.gather(*(store.put(*one) for one in mail))
        # The index forgets a content: its tree is broken, as far as a reader can tell. By a connection of its own, since
        # the store's may be in the middle of a checkpoint.
        with closing(sqlite3.connect(store._database.path, isolation_level=None, timeout=20)) as other:
            assert other.execute("DELETE FROM contents WHERE seq = 2").rowcount == 1
        with pytest.raises(SpoolError, match="salvaged"):
            store.content(mail[1][0].queue_id)
        extra = make_mail()
        await asyncio.wait_for(store.put(*extra), 20)
        served = [envelope.queue_id for envelope in store.entries()]
        assert served == [e.queue_id for e, _ in [mail[0], *mail[2:], extra]]
        assert mail[1][0].queue_id in log.text
        assert "opened again" in log.text
        store.close()

    asyncio.run(run())


def test_a_lost_index_is_rebuilt(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    names = _fill(tmp_path / "q", make_mail)
    connection = sqlite3.connect(tmp_path / "q/store/queue.db")
    connection.execute("DROP INDEX due")
    connection.commit()
    connection.close()
    store = Store.open(str(tmp_path / "q"), log=log)
    assert [envelope.queue_id for envelope in store.due(LATER, 100)] == names
    assert "schema is damaged" in log.text
    store.close()


def test_a_newer_format_is_left_alone(tmp_path: Path, make_mail: Mail) -> None:
    _fill(tmp_path / "q", make_mail)
    connection = sqlite3.connect(tmp_path / "q/store/queue.db")
    connection.execute("ALTER TABLE messages ADD COLUMN colour")
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(SpoolError, match="format 99"):
        Store.open(str(tmp_path / "q"))
    connection = sqlite3.connect(tmp_path / "q/store/queue.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    assert connection.execute("SELECT count(*), max(colour) FROM messages").fetchone() == (20, None)
    connection.close()
    assert not (tmp_path / "q/corrupt").exists()


def test_body_files_stay_with_salvaged_messages(tmp_path: Path, make_mail: Mail) -> None:
    async def fill() -> Envelope:
        store = Store.open(str(tmp_path))
        envelope, content = make_mail()
        writer = BodyWriter(str(tmp_path), envelope.queue_id)
        writer.write(b"x" * 300_000)
        content.body = await writer.finish()
        await store.put(envelope, content)
        store.close()
        return envelope

    envelope = asyncio.run(fill())
    path = tmp_path / "store/queue.db"
    path.write_bytes(b"\0" * 16 + path.read_bytes()[16:])

    async def remove() -> None:
        store = Store.open(str(tmp_path))
        assert store.content(envelope.queue_id).size_bytes > 300_000
        await store.remove(envelope.queue_id)
        store.close()

    asyncio.run(remove())
    assert not (tmp_path / body_path(envelope.queue_id)).exists()


def test_no_room_for_a_salvage_leaves_the_evidence(
    tmp_path: Path, make_mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = _fill(tmp_path / "q", make_mail)
    path = tmp_path / "q/store/queue.db"
    path.write_bytes(b"\0" * 16 + path.read_bytes()[16:])
    before = path.read_bytes()

    def fail(*arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(recovery, "rebuild", fail)
        with pytest.raises(SpoolError, match="full"):
            Store.open(str(tmp_path / "q"))
    assert path.read_bytes() == before
    assert _served(tmp_path / "q") == names


def test_the_check_of_sqlite_is_asked(tmp_path: Path) -> None:
    connection = schema.connect_writer(str(tmp_path / "queue.db"))
    recovery.check(connection, "PRAGMA integrity_check(1)")
    with pytest.raises(recovery.DamagedDatabase):
        recovery.check(connection, "SELECT 'row 3 missing from index due'")
    connection.close()
