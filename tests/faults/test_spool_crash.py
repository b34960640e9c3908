"""SIGKILL at any instant: what was acknowledged is there and whole.

``SPOOL_CRASH_ROUNDS`` sets the number of rounds.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import time
from pathlib import Path

import pytest
from faults.spool_mail import NOW, Lines, content, is_intact, message

from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope
from gateway.spool.body import BodyWriter
from gateway.spool.queue_id import QueueIds
from gateway.spool.store import Store

ROUNDS = int(os.environ.get("SPOOL_CRASH_ROUNDS", "20"))
WRITERS = 8


async def _put_large(store: Store, directory: str, number: int, ids: QueueIds) -> Envelope:
    """A message with a body file."""
    envelope, _ = message(number, ids)
    body = content(number, 300_000).body
    assert isinstance(body, bytes)
    writer = BodyWriter(directory, envelope.queue_id)
    writer.write(body)
    head = b"Message-Number: %d 300000\r\n" % number
    await store.put(envelope, Content(head, await writer.finish()))
    return envelope


async def _work(directory: str, pipe: int, start: int) -> None:
    """Put, change and remove for ever; tell the pipe what is durable, one line each."""
    store = Store.open(directory, commit_limit=16)
    ids = QueueIds(0)

    async def writer(first: int) -> None:
        for number in range(first, 1 << 30, WRITERS):
            if number % 10 == 0:
                envelope = await _put_large(store, directory, number, ids)
            else:
                envelope, mail = message(number, ids)
                await store.put(envelope, mail)
            os.write(pipe, b"+%s %d\n" % (envelope.queue_id.encode(), number))
            if number % 3 == 0:
                os.write(pipe, b"?%s %d\n" % (envelope.queue_id.encode(), number))
                await store.remove(envelope.queue_id)
                os.write(pipe, b"-%s %d\n" % (envelope.queue_id.encode(), number))
            elif number % 3 == 1:
                envelope.attempts = 1
                await store.update(envelope)
                os.write(pipe, b"*%s %d\n" % (envelope.queue_id.encode(), number))

    await asyncio.gather(*(writer(start + index) for index in range(WRITERS)))


def _spawn(directory: str, start: int) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            asyncio.run(_work(directory, writing, start))
        finally:
            os._exit(1)
    os.close(writing)
    return pid, reading


def _read_until_killed(pid: int, reading: int, after_s: float) -> list[bytes]:
    """The child's lines; it is killed ``after_s`` after the first."""
    data = bytearray()
    assert select.select([reading], [], [], 20)[0], "the child says nothing"
    deadline = time.monotonic() + after_s
    while (left := deadline - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            data += os.read(reading, 65536)
    os.kill(pid, signal.SIGKILL)
    while more := os.read(reading, 65536):
        data += more
    os.close(reading)
    os.waitpid(pid, 0)
    return [line for line in bytes(data).splitlines(keepends=True) if line.endswith(b"\n")]


def _account(lines: list[bytes]) -> tuple[set[str], set[str], set[str]]:
    """Queue IDs that must be there, may be there, and must have been updated."""
    must: set[str] = set()
    may: set[str] = set()
    updated: set[str] = set()
    for line in lines:
        sign, queue_id = line[:1], line[1:].split()[0].decode()
        if sign == b"+":
            must.add(queue_id)
        elif sign == b"?":
            must.discard(queue_id)
            may.add(queue_id)
        elif sign == b"-":
            may.discard(queue_id)
        else:
            updated.add(queue_id)
    return must, may, updated


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    directory = str(tmp_path)
    chance = random.Random()
    must: set[str] = set()
    for round_number in range(ROUNDS):
        pid, reading = _spawn(directory, round_number * 1_000_000)
        lines = _read_until_killed(pid, reading, chance.uniform(0, 0.12))
        new, may, updated = _account(lines)
        must |= new
        log = Lines()
        store = Store.open(directory, log=log)
        try:
            found = {envelope.queue_id: envelope for envelope in store.entries(limit=1_000_000)}
            assert must <= found.keys(), f"lost: {must - found.keys()}"
            # Besides them only what was under way: put and not told, or being removed.
            unknown = found.keys() - must - may
            assert len(unknown) <= 2 * WRITERS
            assert all(found[queue_id].attempts == 1 for queue_id in updated)
            for queue_id in found.keys() - (must - new):
                mail = store.content(queue_id)
                if isinstance(mail.body, BodyFile):
                    body = (tmp_path / mail.body.path).read_bytes()
                    assert len(body) == mail.body.size_bytes
                    mail = Content(mail.head, body)
                assert is_intact(mail)
            due = {envelope.queue_id for envelope in store.due(NOW * 2, 1_000_000)}
            assert due == {envelope.queue_id for envelope in found.values() if not envelope.is_held}
            assert not log.lines
            must = set(found)
        finally:
            store.close()
