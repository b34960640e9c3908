from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError
from gateway.spool.body import BodyWriter, body_path
from gateway.spool.interface import QueueState, Spool, Submitter
from gateway.spool.operations import DuplicateId
from gateway.spool.records import DamagedRecord
from gateway.spool.store import Store

Mail = Callable[..., tuple[Envelope, Content]]
NOW = 1_800_000_000.0
LATER = NOW + 1_000_000


def test_a_message_is_there_after_put_and_gone_after_remove(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        envelope, content = make_mail()
        await store.put(envelope, content)
        assert store.content(envelope.queue_id) == content
        found = store.envelope(envelope.queue_id)
        assert found is not None
        assert found.recipients == envelope.recipients
        assert [e.queue_id for e in store.due(LATER, 10)] == [envelope.queue_id]
        assert store.counts() == {"deferred": 1, "hold": 0}
        await store.remove(envelope.queue_id)
        assert store.envelope(envelope.queue_id) is None
        with pytest.raises(SpoolError, match="no such message"):
            store.content(envelope.queue_id)
        assert store.counts() == {"deferred": 0, "hold": 0}
        store.close()
        store.close()

    asyncio.run(run())


def test_mail_survives_a_restart_in_another_loop(tmp_path: Path, make_mail: Mail) -> None:
    store = Store.open(str(tmp_path))
    mail = [make_mail() for _ in range(3)]

    async def put(envelope: Envelope, content: Content) -> None:
        await store.submit(envelope, content)
        store.update(envelope)  # still under way when the loop ends

    for envelope, content in mail:
        asyncio.run(put(envelope, content))
    store.close()
    again = Store.open(str(tmp_path))
    assert [e.queue_id for e in again.entries()] == [e.queue_id for e, _ in mail]
    again.close()


def test_changes_are_seen_before_they_are_committed(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        (first, content), (second, other) = make_mail(), make_mail()
        await asyncio.gather(store.put(first, content), store.put(second, other))
        first.due, first.attempts = LATER + 50, 1
        update, removal = store.update(first), store.remove(second.queue_id)
        assert not update.done()
        assert store.due(LATER, 10) == []
        assert store.next_due(LATER) == LATER + 50
        assert [e.attempts for e in store.due(LATER + 60, 10)] == [1]
        assert [e.queue_id for e in store.entries()] == [first.queue_id]
        assert store.envelope(second.queue_id) is None
        await asyncio.gather(update, removal)
        assert store.next_due(LATER) == LATER + 50
        assert store.next_due(LATER + 50) is None
        assert [e.attempts for e in store.due(LATER + 60, 10)] == [1]
        store.close()

    asyncio.run(run())


def test_due_is_in_order_of_time_without_held_and_excluded(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        mail = [make_mail(due=NOW + due, is_held=due == 30) for due in (50, 10, 30, 40, 20)]
        await asyncio.gather(*(store.put(*one) for one in mail))
        by_due = {envelope.due - NOW: envelope.queue_id for envelope, _ in mail}

        def due(now: float, limit: int, *exclude: float) -> list[float]:
            return [e.due - NOW for e in store.due(NOW + now, limit, {by_due[x] for x in exclude})]

        assert due(45, 10) == [10, 20, 40]
        assert due(45, 2) == [10, 20]
        assert due(45, 2, 10) == [20, 40]
        assert due(45, 2, 10, 20) == [40]
        assert due(78, 9, 20) == [10, 40, 50], "what is excluded no longer is found again within half a minute"
        assert store.next_due(NOW + 20) == NOW + 40
        store.close()

    asyncio.run(run())


def test_a_duplicate_queue_id_is_refused_and_harms_nobody(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        (first, content), (second, other) = make_mail(), make_mail()
        results = await asyncio.gather(
            store.put(first, content), store.put(first, other), store.put(second, other), return_exceptions=True
        )
        assert results[0] is None
        assert results[2] is None
        assert isinstance(results[1], DuplicateId)
        assert store.content(first.queue_id) == content
        store.close()

    asyncio.run(run())


def test_a_body_file_lives_as_long_as_its_message(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        envelope, content = make_mail()
        writer = BodyWriter(str(tmp_path), envelope.queue_id)
        writer.write(b"large" * 100_000)
        content.body = await writer.finish()
        await store.put(envelope, content)
        assert store.content(envelope.queue_id) == content
        await store.remove(envelope.queue_id)
        store.close()
        assert not (tmp_path / body_path(envelope.queue_id)).exists()

    asyncio.run(run())


def test_a_body_file_that_is_not_there_is_refused(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        envelope, _ = make_mail()
        for file in (BodyFile(body_path(envelope.queue_id), 10), BodyFile("/etc/passwd", 10)):
            with pytest.raises(SpoolError):
                await store.put(envelope, Content(b"", file))
        assert store.entries() == []
        store.close()

    asyncio.run(run())


def test_damaged_records_go_to_corrupt_and_the_rest_is_served(tmp_path: Path, make_mail: Mail, log: object) -> None:
    async def run() -> list[Envelope]:
        store = Store.open(str(tmp_path))
        mail = [make_mail(body=b"body %d" % number) for number in range(4)]
        await asyncio.gather(*(store.put(*one) for one in mail))
        store.close()
        return [envelope for envelope, _ in mail]

    envelopes = asyncio.run(run())
    connection = sqlite3.connect(tmp_path / "store/queue.db")
    for number, statement in enumerate(
        ("UPDATE messages SET envelope = x'00' WHERE queue_id = ?", "UPDATE messages SET crc = 1 WHERE queue_id = ?")
    ):
        connection.execute(statement, (envelopes[number].queue_id,))
    connection.execute("UPDATE contents SET body = x'00' WHERE seq = 3")
    connection.commit()
    connection.close()

    async def check() -> None:
        store = Store.open(str(tmp_path), log=log)  # type: ignore[arg-type]
        assert [e.queue_id for e in store.due(LATER, 10)] == [e.queue_id for e in envelopes[2:]]
        with pytest.raises(DamagedRecord):
            store.content(envelopes[2].queue_id)
        assert [e.queue_id for e in store.entries()] == [envelopes[3].queue_id]
        store.close()
        store = Store.open(str(tmp_path))
        assert store.counts() == {"deferred": 1, "hold": 0}
        store.close()

    asyncio.run(check())
    for envelope in envelopes[:3]:
        assert envelope.queue_id in log.text  # type: ignore[attr-defined]
        assert (tmp_path / "corrupt" / envelope.queue_id).stat().st_size > 20
    assert b"body 1" in (tmp_path / "corrupt" / envelopes[1].queue_id).read_bytes()


def test_an_update_does_not_touch_the_content(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        envelope, content = make_mail(body=b"x" * 200_000)
        await store.put(envelope, content)
        log_path = tmp_path / "store/queue.db-wal"
        before = log_path.stat().st_size
        for attempt in range(10):
            envelope.attempts = attempt
            await store.update(envelope)
        assert log_path.stat().st_size - before < 10 * 8 * 4200
        assert store.content(envelope.queue_id) == content
        store.close()

    asyncio.run(run())


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    with pytest.raises(SpoolError, match="locked by process"):
        Store.open(str(tmp_path))
    store.close()
    Store.open(str(tmp_path)).close()


def test_after_close_nothing_is_taken(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        store.close()
        with pytest.raises(SpoolError, match="closed"):
            await store.put(*make_mail())
        with pytest.raises(SpoolError, match="closed"):
            store.remove("4k9XV10000zN4")

    asyncio.run(run())


def test_close_commits_what_was_accepted(tmp_path: Path, make_mail: Mail) -> None:
    mail = [make_mail() for _ in range(30)]

    async def run() -> None:
        store = Store.open(str(tmp_path), commit_limit=4)
        futures = [store.put(*one) for one in mail]
        store.close()
        await asyncio.gather(*futures)

    asyncio.run(run())
    store = Store.open(str(tmp_path))
    assert len(store.entries()) == 30
    store.close()


def test_entries_are_paged(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        mail = [make_mail(is_held=number % 2 == 0) for number in range(10)]
        await asyncio.gather(*(store.put(*one) for one in mail))
        names = [envelope.queue_id for envelope, _ in mail]
        assert [e.queue_id for e in store.entries(limit=4)] == names[:4]
        assert [e.queue_id for e in store.entries(names[3], limit=4)] == names[4:8]
        assert [e.queue_id for e in store.entries(state=QueueState.HOLD)] == names[::2]
        assert [e.queue_id for e in store.entries(names[2], 2, QueueState.DEFERRED)] == [names[3], names[5]]
        futures = [store.remove(name) for name in names[:4]]
        assert [e.queue_id for e in store.entries(limit=4)] == names[4:8], "an emptied page is not the end"
        await asyncio.gather(*futures)
        store.close()

    asyncio.run(run())


def test_the_store_is_a_spool_and_a_submitter(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    spool: Spool = store
    submitter: Submitter = store
    assert spool is submitter
    store.close()
