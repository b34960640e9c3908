"""Several worker processes hand in mail at once, and one of them is killed in the middle of it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from faults.spool_mail import is_intact, message

from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.spool.client import SpoolClient
from gateway.spool.queue_id import QueueIds
from gateway.spool.service import SpoolService
from gateway.spool.store import Store

WORKERS, MESSAGES = 3, 200


async def _worker(path: str, number: int, pipe: int) -> None:
    """Submit; tell the pipe what was acknowledged."""
    client, ids = SpoolClient(path), QueueIds(number)

    async def submit(index: int) -> None:
        envelope, content = message(number * 1_000_000 + index, ids)
        await client.submit(envelope, content)
        os.write(pipe, envelope.queue_id.encode() + b"\n")

    for start in range(0, MESSAGES, 20):
        await asyncio.gather(*(submit(index) for index in range(start, start + 20)))
    await client.close()


def _fork(path: str, number: int) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            asyncio.run(_worker(path, number, writing))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    return pid, reading


def _read_all(fd: int) -> set[str]:
    with os.fdopen(fd, "rb") as file:
        return {line.decode().strip() for line in file if line.endswith(b"\n")}


def test_workers_side_by_side(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    # Fork before the owner has threads; the workers wait for the socket.
    workers = [_fork(path, number) for number in range(WORKERS)]
    victim, victim_pipe = _fork(path, WORKERS)
    queued: list[str] = []

    def on_queued(envelope: Envelope, content: Content) -> None:
        queued.append(envelope.queue_id)
        if len(queued) == MESSAGES:
            os.kill(victim, signal.SIGKILL)

    async def run() -> tuple[set[str], set[str]]:
        store = Store.open(str(tmp_path / "q"))
        service = SpoolService(store, path, on_queued=on_queued)
        await service.start()
        pipes = [pipe for _, pipe in workers]
        told = await asyncio.wait_for(asyncio.gather(*(asyncio.to_thread(_read_all, p) for p in pipes)), 60)
        from_victim = await asyncio.wait_for(asyncio.to_thread(_read_all, victim_pipe), 60)
        await service.close()
        entries = store.entries(limit=10_000)
        assert all(is_intact(store.content(envelope.queue_id)) for envelope in entries)
        store.close()
        assert [len(names) for names in told] == [MESSAGES] * WORKERS
        return set().union(*told) | from_victim, {envelope.queue_id for envelope in entries}

    acknowledged, stored = asyncio.run(run())
    assert [os.waitpid(pid, 0)[1] for pid, _ in workers] == [0] * WORKERS
    os.waitpid(victim, 0)
    assert acknowledged <= stored
    assert len(stored - acknowledged) <= 20, "only what the killed worker had under way"
    assert sorted(stored) == sorted(queued), "everybody is told of exactly once"
