from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError, SpoolFull, SpoolUnavailable
from gateway.spool.body import BodyWriter
from gateway.spool.client import SpoolClient
from gateway.spool.frames import FrameReader, decode_request, encode_frame
from gateway.spool.requests import Answer, Result
from gateway.spool.service import SpoolService
from gateway.spool.store import Store

Mail = Callable[..., tuple[Envelope, Content]]
Answering = Callable[[asyncio.StreamWriter, int], None]


async def _with_owner(
    path: Path, answer: Answering, use: Callable[[SpoolClient], Awaitable[None]], **options: Any
) -> None:
    """A scripted owner: ``answer`` is called for each request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.clear()
        frames = FrameReader()
        while data := await reader.read(65536):
            for payload in frames.feed(data):
                answer(writer, decode_request(payload).number)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()
    ended.set()
    server = await asyncio.start_unix_server(serve, str(path))
    client = SpoolClient(str(path), **options)
    try:
        await use(client)
    finally:
        await client.close()
        await asyncio.wait_for(ended.wait(), 10)
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("result", "kind"), [(Result.FULL, SpoolFull), (Result.ERROR, SpoolError)], ids=["full", "error"]
)
def test_the_owners_answer_is_the_callers_error(tmp_path: Path, make_mail: Mail, result: Result, kind: type) -> None:
    async def use(client: SpoolClient) -> None:
        with pytest.raises(SpoolError, match="because") as caught:
            await client.submit(*make_mail())
        assert type(caught.value) is kind

    def answer(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(encode_frame(Answer(number, result, "because")))

    asyncio.run(_with_owner(tmp_path / "s", answer, use))


def test_answers_may_come_in_any_order(tmp_path: Path, make_mail: Mail) -> None:
    seen: list[int] = []

    def answer(writer: asyncio.StreamWriter, number: int) -> None:
        seen.append(number)
        if len(seen) == 20:
            for one in reversed(seen):
                writer.write(encode_frame(Answer(one, Result.FULL if one % 2 else Result.OK)))

    async def use(client: SpoolClient) -> None:
        futures = [client.submit(*make_mail()) for _ in range(20)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [isinstance(result, SpoolFull) for result in results] == [n % 2 == 1 for n in range(1, 21)]

    asyncio.run(_with_owner(tmp_path / "s", answer, use))


def test_a_connection_lost_before_the_answer_is_unavailable(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    requests = 0

    def answer(writer: asyncio.StreamWriter, number: int) -> None:
        nonlocal requests
        requests += 1
        if requests == 1:
            writer.transport.abort()
        else:
            writer.write(encode_frame(Answer(number)))

    async def use(client: SpoolClient) -> None:
        with pytest.raises(SpoolUnavailable, match="lost"):
            await client.submit(*make_mail())
        await client.submit(*make_mail())
        assert requests == 2, "what may be stored is never sent twice"
        assert "1 messages unanswered" in log.text

    asyncio.run(_with_owner(tmp_path / "s", answer, use, log=log))


def test_an_owner_that_does_not_answer(tmp_path: Path, make_mail: Mail) -> None:
    async def use(client: SpoolClient) -> None:
        results = await asyncio.gather(*(client.submit(*make_mail()) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [SpoolUnavailable] * 3

    asyncio.run(_with_owner(tmp_path / "s", lambda writer, number: None, use, submit_timeout_s=0.05))


@pytest.mark.parametrize("octets", [b"\xff\xff\xff\xff", bytes(encode_frame(Answer(999))), b"\0\0\0\1\xc0"])
def test_an_owner_that_answers_nonsense(tmp_path: Path, make_mail: Mail, octets: bytes) -> None:
    async def use(client: SpoolClient) -> None:
        with pytest.raises(SpoolUnavailable):
            await client.submit(*make_mail())

    asyncio.run(_with_owner(tmp_path / "s", lambda writer, number: writer.write(octets), use))


def test_an_owner_that_is_away_and_comes_back(tmp_path: Path, make_mail: Mail, log: Any) -> None:
    async def run() -> None:
        client = SpoolClient(str(tmp_path / "s"), log=log)
        early = [client.submit(*make_mail()) for _ in range(5)]
        store = Store.open(str(tmp_path / "q"))
        service = SpoolService(store, str(tmp_path / "s"))
        await service.start()
        await asyncio.wait_for(asyncio.gather(*early), 10)
        await service.close()
        late = client.submit(*make_mail())
        service = SpoolService(store, str(tmp_path / "s"))
        await service.start()
        await asyncio.wait_for(late, 10)
        assert len(store.entries()) == 6
        await client.close()
        await service.close()
        store.close()

    asyncio.run(run())


def test_an_owner_that_stays_away(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        client = SpoolClient(str(tmp_path / "s"), submit_timeout_s=0.1)
        with pytest.raises(SpoolUnavailable, match=r"within 0\.1s"):
            await client.submit(*make_mail())
        await client.close()
        with pytest.raises(SpoolUnavailable, match="closed"):
            await client.submit(*make_mail())

    asyncio.run(run())


def test_close_fails_what_is_not_answered(tmp_path: Path, make_mail: Mail) -> None:
    async def use(client: SpoolClient) -> None:
        future = client.submit(*make_mail())
        await client.close()
        with pytest.raises(SpoolUnavailable):
            await future

    asyncio.run(_with_owner(tmp_path / "s", lambda writer, number: None, use))


def test_what_is_sent_and_not_answered_is_bounded(tmp_path: Path, make_mail: Mail) -> None:
    held: list[int] = []
    most = 0

    def answer(writer: asyncio.StreamWriter, number: int) -> None:
        nonlocal most
        held.append(number)
        most = max(most, len(held))
        if len(held) == 3:
            for one in held:
                writer.write(encode_frame(Answer(one)))
            held.clear()

    async def use(client: SpoolClient) -> None:
        futures = [client.submit(*make_mail(body=b"x" * 40_000)) for _ in range(30)]
        await asyncio.wait_for(asyncio.gather(*futures), 10)
        assert most == 3

    asyncio.run(_with_owner(tmp_path / "s", answer, use, max_in_flight_bytes=100_000))


def test_large_and_small_messages_through_the_real_owner(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path / "q"))
        service = SpoolService(store, str(tmp_path / "s"))
        await service.start()
        client = SpoolClient(service.path)
        envelope, content = make_mail()
        writer = BodyWriter(str(tmp_path / "q"), envelope.queue_id)
        writer.write(b"x" * 1_000_000)
        content.body = await writer.finish()
        odd, empty = make_mail(message_id="\udcff")
        empty.head, empty.body, empty.is_headless = b"", b"", True
        await asyncio.gather(client.submit(envelope, content), client.submit(odd, empty))
        assert isinstance(store.content(envelope.queue_id).body, BodyFile)
        assert store.content(odd.queue_id) == empty
        found = store.envelope(odd.queue_id)
        assert found is not None
        assert found.message_id == "\udcff"
        with pytest.raises(SpoolError, match="larger"):
            await client.submit(make_mail()[0], Content(b"", b"x" * (17 << 20)))
        await client.close()
        await service.close()
        store.close()

    asyncio.run(run())
