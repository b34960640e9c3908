from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError
from gateway.spool.interface import QueueState
from gateway.spool.lock import owner_of
from gateway.spool.reader import StoreReader
from gateway.spool.store import Store

Mail = Callable[..., tuple[Envelope, Content]]


def _check(directory: Path, mail: list[tuple[Envelope, Content]]) -> None:
    names = [envelope.queue_id for envelope, _ in mail]
    with StoreReader.open(str(directory)) as reader:
        assert [e.queue_id for e in reader.entries()] == names
        assert [e.queue_id for e in reader.entries(names[0], 1)] == names[1:2]
        assert [e.queue_id for e in reader.entries(state=QueueState.HOLD)] == names[:1]
        assert [e.queue_id for e in reader.entries(state=QueueState.DEFERRED)] == names[1:]
        assert reader.counts() == {"deferred": 2, "hold": 1}
        assert reader.content(names[1]) == mail[1][1]
        found = reader.envelope(names[2])
        assert found is not None
        assert found.recipients == mail[2][0].recipients
        assert reader.envelope("unknown0") is None
        with pytest.raises(SpoolError, match="no such message"):
            reader.content("unknown0")


def test_the_queue_is_read_beside_its_owner_and_without_one(tmp_path: Path, make_mail: Mail) -> None:
    mail = [make_mail(is_held=n == 0) for n in range(3)]

    async def run() -> None:
        store = Store.open(str(tmp_path))
        await asyncio.gather(*(store.put(*one) for one in mail))
        assert owner_of(str(tmp_path / "store/owner.pid")) is not None
        await asyncio.to_thread(_check, tmp_path, mail)
        store.close()

    asyncio.run(run())
    assert owner_of(str(tmp_path / "store/owner.pid")) is None
    _check(tmp_path, mail)
    assert not (tmp_path / "store/queue.db-wal").exists()


def test_damaged_messages_are_left_out_and_left_there(tmp_path: Path, make_mail: Mail) -> None:
    mail = [make_mail() for _ in range(3)]

    async def run() -> None:
        store = Store.open(str(tmp_path))
        await asyncio.gather(*(store.put(*one) for one in mail))
        store.close()

    asyncio.run(run())
    connection = sqlite3.connect(tmp_path / "store/queue.db")
    connection.execute("UPDATE messages SET envelope = x'00' WHERE seq <= 2")
    connection.commit()
    connection.close()
    with StoreReader.open(str(tmp_path)) as reader:
        assert [e.queue_id for e in reader.entries(limit=1)] == [mail[2][0].queue_id]
        with pytest.raises(SpoolError):
            reader.envelope(mail[0][0].queue_id)
        assert reader.counts()["deferred"] == 3


def test_no_spool_and_no_database(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="no spool"):
        StoreReader.open(str(tmp_path))
    (tmp_path / "store").mkdir()
    (tmp_path / "store/queue.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(SpoolError):
        StoreReader.open(str(tmp_path))
