"""Flipped bits anywhere in the spool's files: what is not hit is served, what is hit is named."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from pathlib import Path

import pytest
from faults.spool_mail import NOW, Lines, is_intact, message

from gateway.model.errors import SpoolError
from gateway.spool.interface import Spool
from gateway.spool.queue_id import QueueIds
from gateway.spool.schema import PAGE_BYTES
from gateway.spool.store import Store

MESSAGES = 60


async def _fill(directory: Path, snapshot: Path | None = None) -> set[str]:
    """A spool that was used: mail came, some changed, some went. ``snapshot`` copies it while the log is still full."""
    store = Store.open(str(directory))
    ids = QueueIds(0, 1)
    mail = [message(number, ids) for number in range(MESSAGES + 20)]
    for start in range(0, len(mail), 4):
        await asyncio.gather(*(store.put(*one) for one in mail[start : start + 4]))
    removed = {envelope.queue_id for envelope, _ in mail[::4]}
    for envelope, _ in mail[1::5]:
        envelope.attempts += 1
        await store.update(envelope)
    for queue_id in removed:
        await store.remove(queue_id)
    if snapshot is not None:
        shutil.copytree(directory, snapshot)
    store.close()
    return {envelope.queue_id for envelope, _ in mail} - removed


def _flip(path: Path, chance: random.Random, bits: int) -> list[int]:
    data = bytearray(path.read_bytes())
    places = [chance.randrange(len(data)) for _ in range(bits)]
    for place in places:
        data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return places


async def _read_all(store: Spool) -> set[str]:
    """Queue IDs of what is served whole; reads as the scheduler does, and waits out a repair."""
    for _ in range(200):
        try:
            return _read_once(store)
        except SpoolError:
            # Damaged ones are moved aside, a damaged database is salvaged: ask again when that went on.
            await store.update(message(0, QueueIds(0, 2))[0])
    raise AssertionError("the spool does not settle")


def _read_once(store: Spool) -> set[str]:
    served = set()
    due = {envelope.queue_id for envelope in store.due(NOW * 2, 10_000)}
    for envelope in store.entries(limit=10_000):
        assert is_intact(store.content(envelope.queue_id)), "damaged content was served"
        assert envelope.is_held or envelope.queue_id in due, "a message is listed and never delivered"
        served.add(envelope.queue_id)
    return served


def _check(directory: Path, expected: set[str]) -> set[str]:
    async def run() -> set[str]:
        log = Lines()
        store = Store.open(str(directory), log=log)
        try:
            served = await _read_all(store)
        finally:
            store.close()
        missing = expected - served
        unnamed = {queue_id for queue_id in missing if queue_id not in log.text}
        assert not unnamed, f"lost in silence: {unnamed}\n{log.text}"
        return missing

    return asyncio.run(run())


# 200 and 337 hit a queue ID itself.
@pytest.mark.parametrize("seed", [*range(40), 200, 337])
def test_flipped_bits_in_the_database_lose_nothing_in_silence(
    tmp_path: Path, seed: int, filled: tuple[Path, set[str]]
) -> None:
    source, expected = filled
    shutil.copytree(source, tmp_path / "q")
    _flip(tmp_path / "q/store/queue.db", random.Random(seed), 1 + seed % 3)
    missing = _check(tmp_path / "q", expected)
    assert len(missing) <= len(expected) // 2
    assert not _check(tmp_path / "q", expected - missing), "the salvaged spool is sound"


@pytest.mark.parametrize("seed", range(30))
def test_flipped_bits_in_the_log_after_a_crash(tmp_path: Path, seed: int, crashed: tuple[Path, set[str]]) -> None:
    source, expected = crashed
    shutil.copytree(source, tmp_path / "q")
    _flip(tmp_path / "q/store/queue.db-wal", random.Random(1000 + seed), 1)
    missing = _check(tmp_path / "q", expected)
    assert len(missing) <= 8


def test_a_page_of_garbage(tmp_path: Path, filled: tuple[Path, set[str]]) -> None:
    source, expected = filled
    for page in range(0, os.path.getsize(source / "store/queue.db") // PAGE_BYTES, 3):
        directory = tmp_path / f"q{page}"
        shutil.copytree(source, directory)
        with open(directory / "store/queue.db", "r+b") as file:
            file.seek(page * PAGE_BYTES)
            file.write(random.Random(page).randbytes(PAGE_BYTES))
        missing = _check(directory, expected)
        assert len(missing) < len(expected)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    directory = tmp_path_factory.mktemp("filled") / "q"
    return directory, asyncio.run(_fill(directory))


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    directory = tmp_path_factory.mktemp("crashed")
    queue_ids = asyncio.run(_fill(directory / "q", directory / "snapshot"))
    assert (directory / "snapshot/store/queue.db-wal").stat().st_size > 100_000
    return directory / "snapshot", queue_ids
