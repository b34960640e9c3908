from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope
from gateway.spool import schema, upkeep
from gateway.spool.body import BodyWriter, body_path
from gateway.spool.faults import Fault
from gateway.spool.store import Store
from gateway.spool.upkeep import Upkeep, sweep_bodies

Mail = Callable[..., tuple[Envelope, Content]]


async def _body(directory: Path, queue_id: str) -> BodyFile:
    writer = BodyWriter(str(directory), queue_id)
    writer.write(b"x" * 1000)
    return await writer.finish()


async def _old_body(directory: Path, queue_id: str) -> BodyFile:
    file = await _body(directory, queue_id)
    os.utime(directory / file.path, (1000, 1000))
    return file


def test_only_old_bodies_without_a_record_are_swept(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    envelope, content = make_mail()
    small, inline = make_mail()

    async def store_both() -> None:
        store = Store.open(str(tmp_path))
        content.body = await _body(tmp_path, envelope.queue_id)
        await store.put(envelope, content)
        await store.put(small, inline)
        store.close()  # and with it its own sweeps: nothing is old yet

    async def leave_bodies() -> None:
        # A body file that its message does not need stays as long as the message.
        for name in ("orphan0001", "orphan0002", small.queue_id):
            await _old_body(tmp_path, name)
        await _body(tmp_path, "young00001")
        os.utime(tmp_path / body_path(envelope.queue_id), (1000, 1000))

    asyncio.run(store_both())
    asyncio.run(leave_bodies())
    connection = schema.connect_reader(str(tmp_path / "store/queue.db"))
    assert sweep_bodies(str(tmp_path), connection, 2000, log, lambda: True) == 0
    assert sweep_bodies(str(tmp_path), connection, 2000, log) == 2
    connection.close()
    left = {path.name for path in (tmp_path / "bodies").rglob("*") if path.is_file()}
    assert left == {envelope.queue_id, "young00001", small.queue_id}
    assert "orphan0001" in log.text


def test_the_thread_sweeps_at_the_start_and_stops(tmp_path: Path, log: Any) -> None:
    Store.open(str(tmp_path)).close()
    asyncio.run(_old_body(tmp_path, "orphan0001"))
    swept = threading.Event()
    log.info = lambda text: swept.set()
    thread = Upkeep(str(tmp_path), str(tmp_path / "store/queue.db"), log, lambda fault: None)
    assert swept.wait(10)
    thread.stop()
    assert not (tmp_path / body_path("orphan0001")).exists()


def test_a_large_database_is_checked_beside_the_work(
    tmp_path: Path, make_mail: Mail, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CHECKED_BYTES", 0)
    Store.open(str(tmp_path)).close()
    connection = schema.connect_writer(str(tmp_path / "store/queue.db"))
    connection.execute("PRAGMA writable_schema = ON")
    # An index that misses what its table has: the kind of damage that hides a message.
    connection.execute("CREATE INDEX other ON messages(queue_id) WHERE held = 5")
    connection.execute(schema.INSERT_MESSAGE, (1, "4k9XV10000zN4", 1.0, False, False, 0, b""))
    root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'other'").fetchone()[0]
    connection.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = 'due'", (root,))
    connection.close()
    faults: list[Fault] = []
    found = threading.Event()

    def report(fault: Fault) -> None:
        faults.append(fault)
        found.set()

    thread = Upkeep(str(tmp_path), str(tmp_path / "store/queue.db"), log, report)
    assert found.wait(10)
    thread.stop()
    assert faults == [Fault.DAMAGE]
    assert "is damaged" in log.text


def test_a_missing_database_is_not_the_upkeeps_business(tmp_path: Path, log: Any) -> None:
    thread = Upkeep(str(tmp_path), str(tmp_path / "nothing.db"), log, lambda fault: log.error(str(fault)))
    thread.stop()
    assert log.lines == []
