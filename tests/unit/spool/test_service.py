from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope
from gateway.spool.body import BodyWriter, body_path
from gateway.spool.client import SpoolClient
from gateway.spool.frames import FrameReader, decode_response, encode_frame
from gateway.spool.records import encode_envelope
from gateway.spool.requests import Answer, Result, Submit
from gateway.spool.service import SpoolService
from gateway.spool.store import Store

Mail = Callable[..., tuple[Envelope, Content]]


async def _exchange(path: str, data: bytes, answers: int) -> list[Answer]:
    """Send octets as a worker would, read so many answers or to the end."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    frames, found = FrameReader(), []
    while len(found) < answers and (more := await asyncio.wait_for(reader.read(65536), 10)):
        found += [decode_response(payload) for payload in frames.feed(more)]
    writer.close()
    return found


def _submit(number: int, envelope: Envelope, content: Content) -> bytearray:
    return encode_frame(Submit(number, encode_envelope(envelope), content.head, content.body, content.is_headless))


def test_messages_are_stored_answered_and_told(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        told: list[str] = []

        def on_queued(envelope: Envelope, content: Content) -> None:
            assert store.content(envelope.queue_id) == content, "durable before anybody is told"
            told.append(envelope.queue_id)

        service = SpoolService(store, str(tmp_path / "private/s"), on_queued=on_queued)
        await service.start()
        assert os.stat(service.path).st_mode & 0o777 == 0o600
        mail = [make_mail() for _ in range(50)]
        data = b"".join(_submit(number, *one) for number, one in enumerate(mail))
        answers = await _exchange(service.path, data, 50)
        assert sorted(answer.number for answer in answers) == list(range(50))
        assert all(answer.result is Result.OK for answer in answers)
        assert told == [envelope.queue_id for envelope, _ in mail]
        await service.close()
        assert not os.path.exists(service.path)
        store.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\1\xc0",
        bytes(encode_frame(Submit(1, b"no envelope", b"", b""))),
        bytes(encode_frame(Answer(1))),
    ],
)
def test_a_worker_that_breaks_the_protocol_is_cut_off(tmp_path: Path, make_mail: Mail, log: Any, data: bytes) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        service = SpoolService(store, str(tmp_path / "s"), log=log)
        await service.start()
        assert await _exchange(service.path, data, 1) == []
        assert "connection closed" in log.text
        client = SpoolClient(service.path)
        await client.submit(*make_mail())
        await client.close()
        await service.close()
        store.close()

    asyncio.run(run())


def test_what_a_hostile_worker_names_is_not_touched(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path / "q"))
        (tmp_path / "secret").write_text("secret")
        victim, content = make_mail()
        writer = BodyWriter(str(tmp_path / "q"), victim.queue_id)
        writer.write(b"x" * 300_000)
        content.body = await writer.finish()
        await store.put(victim, content)
        service = SpoolService(store, str(tmp_path / "s"))
        await service.start()
        attempts = []
        for path in ("../secret", str(tmp_path / "secret"), body_path(victim.queue_id), "bodies/../../secret"):
            envelope, _ = make_mail()
            attempts.append(_submit(len(attempts), envelope, Content(b"", BodyFile(path, 6))))
        for queue_id in ("../../secret", "", "a" * 1000, "a/b"):
            envelope, other = make_mail(queue_id=queue_id)
            attempts.append(_submit(len(attempts), envelope, other))
        attempts.append(_submit(len(attempts), make_mail(due=float("nan"))[0], Content(b"")))
        attempts.append(_submit(len(attempts), victim, Content(b"replaced")))
        answers = await _exchange(service.path, b"".join(attempts), len(attempts))
        assert [answer.result for answer in answers] == [Result.ERROR] * len(attempts)
        assert (tmp_path / "secret").exists()
        assert store.content(victim.queue_id) == content
        assert len(store.entries()) == 1
        await service.close()
        store.close()

    asyncio.run(run())


def test_a_failing_callback_costs_no_answer(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    async def run() -> None:
        def fail(envelope: Envelope, content: Content) -> None:
            raise ZeroDivisionError

        store = Store.open(str(tmp_path))
        service = SpoolService(store, str(tmp_path / "s"), on_queued=fail, log=log)
        await service.start()
        client = SpoolClient(service.path)
        await asyncio.gather(*(client.submit(*make_mail()) for _ in range(3)))
        assert log.text.count("ZeroDivisionError") == 3
        await client.close()
        await service.close()
        store.close()

    asyncio.run(run())


def test_what_is_under_way_is_bounded(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        service = SpoolService(store, str(tmp_path / "s"), max_in_flight_bytes=300_000)
        await service.start()
        most = 0
        put = store.put

        def watched(*arguments: Any, **options: Any) -> asyncio.Future[None]:
            nonlocal most
            most = max(most, service._in_flight)
            return put(*arguments, **options)

        store.put = watched  # type: ignore[method-assign]
        clients = [SpoolClient(service.path) for _ in range(3)]
        mail = [make_mail(body=b"x" * 50_000) for _ in range(90)]
        await asyncio.gather(*(clients[n % 3].submit(*one) for n, one in enumerate(mail)))
        assert len(store.entries()) == 90
        # One read per connection may be under way when the others are paused.
        assert most < 300_000 + 3 * 320_000
        for client in clients:
            await client.close()
        await service.close()
        store.close()

    asyncio.run(run())


def test_a_worker_that_reads_no_answers_is_not_read(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        service = SpoolService(store, str(tmp_path / "s"))
        await service.start()
        with socket.socket(socket.AF_UNIX) as worker:
            worker.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(worker, service.path)
            envelope, _ = make_mail(queue_id="bad id")
            data = bytes(_submit(1, envelope, Content(b""))) * 1000
            sent = 0
            # Every request is refused with a text; nobody reads them, so at some point nobody reads us.
            with pytest.raises(TimeoutError):
                while sent < 100 << 20:
                    await asyncio.wait_for(loop.sock_sendall(worker, data), 0.5)
                    sent += len(data)
        await service.close()
        store.close()

    asyncio.run(run())
