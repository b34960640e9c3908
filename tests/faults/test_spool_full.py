"""No room on the disk: refused with SpoolFull, nothing half-written, and back to work when there is room again."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.spool_mail import Lines, is_intact, message

from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError, SpoolFull
from gateway.spool.body import BodyWriter
from gateway.spool.queue_id import QueueIds
from gateway.spool.store import Store


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    directory = tmp_path / "small"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(directory)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this kernel lets even root mount nothing")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


async def _fill_up(store: Store, ids: QueueIds) -> tuple[set[str], int]:
    """Put until it is full: the queue IDs that were taken, and how many were refused."""
    taken, refused, number = set(), 0, 0
    while refused < 20:
        batch = [message(number + index, ids, largest=20_000) for index in range(8)]
        number += 8
        results = await asyncio.gather(*(store.put(*one) for one in batch), return_exceptions=True)
        for (envelope, _), result in zip(batch, results, strict=True):
            if result is None:
                taken.add(envelope.queue_id)
            else:
                assert isinstance(result, SpoolFull), result
                refused += 1
        assert number < 10_000
    return taken, refused


async def _put_when_there_is_room(store: Store, envelope: Envelope, mail: Content) -> None:
    while True:
        try:
            return await store.put(envelope, mail)
        except SpoolFull:
            await store.remove("unknown0")  # one more commit, which gives back some of the free pages


@pytest.mark.peer("root")
def test_a_full_disk_refuses_and_recovers(small_disk: Path) -> None:
    async def run() -> None:
        log = Lines()
        store = Store.open(str(small_disk), log=log)
        ids = QueueIds(0)
        taken, _ = await _fill_up(store, ids)
        assert taken
        listed = {envelope.queue_id for envelope in store.entries(limit=10_000)}
        assert listed == taken, "nothing half-written"
        # A full queue can be emptied: removals are kept and tried again until they succeed.
        gone = sorted(taken)[: len(taken) * 3 // 4]
        removals = [store.remove(queue_id) for queue_id in gone]
        assert {envelope.queue_id for envelope in store.entries(limit=10_000)} == taken - set(gone)
        await asyncio.wait_for(asyncio.gather(*removals), 20)
        envelope, mail = message(1, ids)
        await asyncio.wait_for(_put_when_there_is_room(store, envelope, mail), 20)
        assert store.content(envelope.queue_id) == mail
        store.close()
        store = Store.open(str(small_disk), log=log)
        assert {e.queue_id for e in store.entries(limit=10_000)} == taken - set(gone) | {envelope.queue_id}
        assert all(is_intact(store.content(e.queue_id)) for e in store.entries(limit=10_000))
        store.close()

    asyncio.run(run())


@pytest.mark.peer("root")
def test_removals_wait_for_room(small_disk: Path) -> None:
    async def run() -> None:
        store = Store.open(str(small_disk))
        ids = QueueIds(0)
        envelope, mail = message(1, ids)
        await store.put(envelope, mail)
        ballast = small_disk / "ballast"
        with pytest.raises(OSError, match="No space left"), open(ballast, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        removals = [store.remove(envelope.queue_id)]
        with pytest.raises(SpoolFull):
            for number in range(100):
                await store.put(*message(number, ids))
        assert store.envelope(envelope.queue_id) is None
        ballast.unlink()
        await asyncio.wait_for(asyncio.gather(*removals), 20)
        store.close()

    asyncio.run(run())


@pytest.mark.peer("root")
def test_a_body_file_on_a_full_disk(small_disk: Path) -> None:
    async def run() -> None:
        store = Store.open(str(small_disk))
        writer = BodyWriter(str(small_disk), "4k9XV10000zN4")
        with pytest.raises(SpoolFull):
            for _ in range(100):
                writer.write(b"x" * 65536)
        writer.abort()
        assert not list((small_disk / "bodies").rglob("4k9*"))
        envelope, mail = message(1, QueueIds(0))
        await store.put(envelope, mail)
        store.close()

    asyncio.run(run())


def test_below_queue_minfree(tmp_path: Path) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path), minimum_free_bytes=1 << 60)
        envelope, mail = message(1, QueueIds(0))
        with pytest.raises(SpoolFull, match="not enough room"):
            await store.put(envelope, Content(mail.head, mail.body))
        assert store.envelope(envelope.queue_id) is None
        with pytest.raises(SpoolError):
            store.content(envelope.queue_id)
        store.close()

    asyncio.run(run())
