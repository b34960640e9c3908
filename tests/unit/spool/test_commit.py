from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError, SpoolFull
from gateway.spool.body import BodyWriter, body_path
from gateway.spool.store import Store

Mail = Callable[..., tuple[Envelope, Content]]


class Failing:
    """A connection that fails statements of one kind, a number of times."""

    def __init__(self, connection: sqlite3.Connection, prefix: str, code: int, times: int = 1) -> None:
        self._connection, self._prefix, self._code, self.left = connection, prefix, code, times
        self.statements: list[str] = []

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        self.statements.append(statement)
        if self.left and statement.startswith(self._prefix):
            self.left -= 1
            exc = sqlite3.OperationalError("injected")
            exc.sqlite_errorcode, exc.sqlite_errorname = self._code, "INJECTED"
            raise exc
        return self._connection.execute(statement, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


IOERR_FSYNC = 1034


def _inject(store: Store, prefix: str, code: int, times: int = 1) -> Failing:
    failing = Failing(store._database.writer, prefix, code, times)
    store._database.writer = failing  # type: ignore[assignment]
    return failing


async def _put_when_there_is_room(store: Store, envelope: Envelope, content: Content) -> None:
    while True:
        try:
            return await store.put(envelope, content)
        except SpoolFull:
            await store.remove("unknown0")


@pytest.mark.parametrize("prefix", ["BEGIN", "INSERT INTO messages", "INSERT INTO contents", "COMMIT"])
@pytest.mark.parametrize(("code", "kind"), [(sqlite3.SQLITE_FULL, SpoolFull), (IOERR_FSYNC, SpoolError)])
def test_a_failed_group_leaves_nothing_and_the_next_works(
    tmp_path: Path, make_mail: Mail, *, log: Any, prefix: str, code: int, kind: type[SpoolError]
) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path), log=log)
        before, content = make_mail()
        await store.put(before, content)
        failing = _inject(store, prefix, code)
        mail = [make_mail() for _ in range(3)]
        results = await asyncio.gather(*(store.put(*one) for one in mail), return_exceptions=True)
        assert [type(result) for result in results] == [kind] * 3
        assert failing.left == 0
        after, content = make_mail()
        await asyncio.wait_for(_put_when_there_is_room(store, after, content), 10)
        assert {e.queue_id for e in store.entries()} == {before.queue_id, after.queue_id}
        assert "injected" in log.text
        if kind is SpoolError:
            assert store._database.writer is not failing, "the connection was replaced"
        store.close()

    asyncio.run(run())


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, IOERR_FSYNC])
def test_updates_and_removals_are_kept_until_they_succeed(tmp_path: Path, make_mail: Mail, log: Any, code: int) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path), log=log)
        (first, content), (second, other) = make_mail(), make_mail()
        await asyncio.gather(store.put(first, content), store.put(second, other))
        _inject(store, "COMMIT", code)
        first.attempts = 7
        update, removal = store.update(first), store.remove(second.queue_id)
        await asyncio.wait_for(asyncio.gather(update, removal), 10)
        assert [e.attempts for e in store.entries()] == [7]
        store.close()
        store = Store.open(str(tmp_path))
        assert [e.attempts for e in store.entries()] == [7]
        store.close()

    asyncio.run(run())


def test_a_refused_message_gives_its_room_back(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        envelope, content = make_mail()
        writer = BodyWriter(str(tmp_path), envelope.queue_id)
        writer.write(b"x" * 300_000)
        content.body = await writer.finish()
        _inject(store, "COMMIT", sqlite3.SQLITE_FULL)
        with pytest.raises(SpoolFull):
            await store.put(envelope, content)
        assert not (tmp_path / body_path(envelope.queue_id)).exists()
        store.close()

    asyncio.run(run())


def test_a_duplicates_body_is_not_removed(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        envelope, content = make_mail()
        writer = BodyWriter(str(tmp_path), envelope.queue_id)
        writer.write(b"x" * 300_000)
        content.body = await writer.finish()
        await store.put(envelope, content)
        with pytest.raises(SpoolError):
            await store.put(envelope, content)
        assert (tmp_path / body_path(envelope.queue_id)).exists()
        store.close()

    asyncio.run(run())


def test_changes_that_come_while_the_disk_is_busy_share_a_commit(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path), commit_limit=100)
        counting = _inject(store, "nothing", 0, 0)
        await asyncio.gather(*(store.put(*make_mail()) for _ in range(250)))
        assert counting.statements.count("COMMIT") == 3
        store.close()

    asyncio.run(run())


def test_a_message_whose_sender_gave_up_in_time_is_not_stored(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        future = store.put(*make_mail())
        future.cancel()
        await store.put(*make_mail())
        assert len(store.entries()) == 1
        store.close()

    asyncio.run(run())


def test_the_log_does_not_grow_without_bound(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        for _ in range(40):
            mail = [make_mail(body=b"x" * 50_000) for _ in range(20)]
            await asyncio.gather(*(store.put(*one) for one in mail))
            await asyncio.gather(*(store.remove(envelope.queue_id) for envelope, _ in mail))
        assert (tmp_path / "store/queue.db-wal").stat().st_size < 24 * 1024 * 1024
        store.close()
        assert (tmp_path / "store/queue.db").stat().st_size < 16 * 1024 * 1024

    asyncio.run(run())


def test_a_checkpoint_that_fails_is_repaired(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path), log=log)
        store._commit._room.checkpoint_pages = 1
        failing = _inject(store, "PRAGMA wal_checkpoint", IOERR_FSYNC)
        envelope, content = make_mail()
        await store.put(envelope, content)
        await store.put(*make_mail())
        assert failing.left == 0
        assert len(store.entries()) == 2
        assert "checkpoint failed" in log.text
        store.close()

    asyncio.run(run())


def test_the_file_shrinks_after_a_large_queue(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        mail = [make_mail(body=b"x" * 100_000) for _ in range(300)]
        await asyncio.gather(*(store.put(*one) for one in mail))
        await asyncio.gather(*(store.remove(envelope.queue_id) for envelope, _ in mail))
        path = tmp_path / "store/queue.db"
        for _ in range(500):
            if store._database.writer.execute("PRAGMA page_count").fetchone()[0] < 1000 and not store._commit._is_busy:
                break
            await store.remove("unknown0")
        store.close()
        assert path.stat().st_size < 10 * 1024 * 1024

    asyncio.run(run())


@pytest.mark.parametrize("prefix", ["COMMIT", "DELETE"])
def test_a_full_disk_at_the_end_costs_no_removal(tmp_path: Path, make_mail: Mail, *, log: Any, prefix: str) -> None:
    """The reserve is there for this: what was delivered must not be delivered again at the next start."""

    async def run() -> str:
        store = Store.open(str(tmp_path), log=log)
        envelope, content = make_mail()
        await store.put(envelope, content)
        _inject(store, prefix, sqlite3.SQLITE_FULL)
        store.remove(envelope.queue_id)
        store.close()
        return envelope.queue_id

    queue_id = asyncio.run(run())
    store = Store.open(str(tmp_path), log=log)
    assert store.envelope(queue_id) is None
    store.close()


def test_a_disk_that_fails_at_the_end_is_left(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    async def run() -> str:
        store = Store.open(str(tmp_path), log=log)
        envelope, content = make_mail()
        await store.put(envelope, content)
        failing = _inject(store, "COMMIT", IOERR_FSYNC, times=100)
        removed = store.remove(envelope.queue_id)
        store.close()
        assert failing.left >= 98
        with pytest.raises(SpoolError):
            await removed
        return envelope.queue_id

    queue_id = asyncio.run(run())
    store = Store.open(str(tmp_path), log=log)
    assert store.envelope(queue_id) is not None
    store.close()


def test_changes_of_a_message_do_not_pile_up_while_nothing_can_be_written(
    tmp_path: Path, make_mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        monkeypatch.setattr("gateway.spool.commit.RETRY_S", 0.002)
        store = Store.open(str(tmp_path))
        first, content = make_mail()
        second, other = make_mail()
        await store.put(first, content)
        await store.put(second, other)
        failing = _inject(store, "BEGIN", sqlite3.SQLITE_BUSY, times=1_000_000)
        futures = []
        for attempt in range(1, 51):
            first.attempts, first.due = attempt, 1000.0 + attempt
            futures.append(store.update(first))
            tries = len(failing.statements)
            while len(failing.statements) == tries:
                await asyncio.sleep(0)
        futures.append(store.remove(second.queue_id))
        assert len(store._commit._waiting) <= 3
        failing.left = 0
        await asyncio.wait_for(asyncio.gather(*futures), 5)
        found = store.envelope(first.queue_id)
        assert found is not None and (found.attempts, found.due) == (50, 1050.0)
        assert store.envelope(second.queue_id) is None
        store.close()

    asyncio.run(run())
