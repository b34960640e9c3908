"""Connections to a server: kept, bounded, never confused."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from peers.scripted import CLOSE, HANG, RESET, ScriptedServer

from gateway.maps import stream
from gateway.maps.stream import TablePool
from gateway.net.endpoint import Endpoint, Unreachable
from gateway.net.stream import BadReply, PoolLimits

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Both event loops; each run has one of its own."""
    return asyncio.run if request.param == "asyncio" else uvloop.run


def line_end(buffer: bytearray) -> int:
    if b"!" in buffer:
        raise BadReply("an exclamation mark")
    return buffer.find(b"\n") + 1


def echo(request: bytes) -> bytes:
    return b"said " + request


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(echo) as server:
        yield server


@pytest.fixture
def pool(server: ScriptedServer) -> Iterator[TablePool]:
    pool = TablePool.lease(Endpoint("127.0.0.1", server.port))
    yield pool
    pool.release()


def test_one_connection_for_one_question_after_another(run: Run, server: ScriptedServer, pool: TablePool) -> None:
    async def three() -> list[bytes]:
        return [await pool.ask(b"%d\n" % n, line_end) for n in range(3)]

    assert run(three()) == [b"said 0\n", b"said 1\n", b"said 2\n"]
    assert run(three()) == [b"said 0\n", b"said 1\n", b"said 2\n"]  # another loop, the same connection
    assert server.connections == 1


def test_questions_at_a_time_are_bounded_and_not_confused(run: Run, server: ScriptedServer, pool: TablePool) -> None:
    async def many() -> list[bytes]:
        return await asyncio.gather(*(pool.ask(b"%d\n" % n, line_end) for n in range(200)))

    assert run(many()) == [b"said %d\n" % n for n in range(200)]
    assert server.most <= stream.LIMITS.connections
    assert server.connections == server.open_now


def test_too_many_that_wait_fail_at_once(
    run: Run, server: ScriptedServer, pool: TablePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "limits", PoolLimits(10, 5, 60.0))

    async def many() -> list[bytes | BaseException]:
        questions = (pool.ask(b"%d\n" % n, line_end) for n in range(20))
        return await asyncio.gather(*questions, return_exceptions=True)

    answers = run(many())
    assert answers[:15] == [b"said %d\n" % n for n in range(15)]
    assert {str(answer) for answer in answers[15:]} == {"5 lookups are waiting already"}
    assert run(pool.ask(b"x\n", line_end)) == b"said x\n"


@pytest.mark.parametrize("end", [CLOSE, RESET, (b"half", CLOSE), (b"half", RESET)])
def test_a_kept_connection_that_dies_is_replaced_once(
    run: Run, server: ScriptedServer, pool: TablePool, end: Any
) -> None:
    assert run(pool.ask(b"x\n", line_end)) == b"said x\n"
    replies = iter([end, b"again\n"])
    server.answer = lambda _: next(replies)
    assert run(pool.ask(b"y\n", line_end)) == b"again\n"
    assert server.connections == 2
    assert server.requests == [b"x\n", b"y\n", b"y\n"]


@pytest.mark.parametrize("end", [CLOSE, RESET, (b"half", CLOSE), (b"half", RESET)])
def test_a_new_connection_that_dies_is_an_error(run: Run, server: ScriptedServer, pool: TablePool, end: Any) -> None:
    server.answer = lambda _: end
    with pytest.raises(ConnectionError):
        run(pool.ask(b"x\n", line_end))
    assert server.connections == 1


@pytest.mark.parametrize("rest", [b"more", b"said y\n"])
def test_what_follows_a_reply_is_no_answer_to_the_next_question(
    run: Run, server: ScriptedServer, pool: TablePool, rest: bytes
) -> None:
    server.answer = lambda request: echo(request) + rest
    assert run(pool.ask(b"x\n", line_end)) == b"said x\n"
    server.answer = echo
    assert run(pool.ask(b"z\n", line_end)) == b"said z\n"
    assert server.connections == 2


def test_what_comes_unasked_ends_an_idle_connection(run: Run, server: ScriptedServer, pool: TablePool) -> None:
    assert run(pool.ask(b"x\n", line_end)) == b"said x\n"
    server.send_to_all(b"said y\n")
    assert run(pool.ask(b"z\n", line_end)) == b"said z\n"
    assert server.connections == 2


def test_a_lookup_that_was_given_up_takes_its_connection_with_it(
    run: Run, server: ScriptedServer, pool: TablePool
) -> None:
    asked, go = threading.Event(), threading.Event()

    def late(request: bytes) -> bytes:
        asked.set()
        go.wait(5)
        return b"late\n"

    async def give_up() -> None:
        server.answer = late
        task = asyncio.ensure_future(pool.ask(b"x\n", line_end))
        await asyncio.get_running_loop().run_in_executor(None, asked.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        server.answer = echo
        assert await pool.ask(b"y\n", line_end) == b"said y\n"

    run(give_up())
    assert server.connections == 2


def test_bad_replies_end_the_connection(run: Run, server: ScriptedServer, pool: TablePool) -> None:
    server.answer = lambda _: b"oh!\n"
    with pytest.raises(BadReply, match="an exclamation mark"):
        run(pool.ask(b"x\n", line_end))
    server.wait_until_idle()
    server.answer = echo
    assert run(pool.ask(b"x\n", line_end)) == b"said x\n"


def test_a_reply_octet_by_octet(run: Run, server: ScriptedServer, pool: TablePool) -> None:
    pieces = iter([b"sa", b"id", b"\n"])

    async def piece_by_piece() -> bytes:
        server.answer = lambda _: next(pieces)
        task = asyncio.ensure_future(pool.ask(b"x\n", line_end))
        while not task.done():
            await asyncio.wait((task,), timeout=0.01)
            for piece in pieces:
                server.send_to_all(piece)
                break
        return await task

    assert run(piece_by_piece()) == b"said\n"


def test_a_server_that_went_and_came_back(run: Run, server: ScriptedServer, pool: TablePool) -> None:
    async def many() -> list[bytes | BaseException]:
        return await asyncio.gather(*(pool.ask(b"x\n", line_end) for _ in range(8)), return_exceptions=True)

    assert run(many()) == [b"said x\n"] * 8
    server.stop()
    assert {type(answer) for answer in run(many())} == {Unreachable}
    server.start()
    assert run(many()) == [b"said x\n"] * 8


def test_idle_connections_grow_old(
    run: Run, server: ScriptedServer, pool: TablePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(pool.ask(b"x\n", line_end)) == b"said x\n"
    monkeypatch.setattr(pool, "limits", PoolLimits(10, 1000, -1.0))
    assert run(pool.ask(b"x\n", line_end)) == b"said x\n"
    assert server.connections == 2


def test_tables_of_one_server_share_its_connections(run: Run, server: ScriptedServer, pool: TablePool) -> None:
    other = TablePool.lease(Endpoint("127.0.0.1", server.port))
    assert other is pool
    assert run(other.ask(b"x\n", line_end)) == b"said x\n"
    other.release()
    assert server.open_now == 1
    assert run(pool.ask(b"x\n", line_end)) == b"said x\n"
    assert server.connections == 1


def test_the_last_one_closes_the_connections(server: ScriptedServer) -> None:
    pool = TablePool.lease(Endpoint("127.0.0.1", server.port))
    assert asyncio.run(pool.ask(b"x\n", line_end)) == b"said x\n"
    pool.release()
    server.wait_until_idle()
    assert asyncio.run(pool.ask(b"x\n", line_end)) == b"said x\n"  # used after all
    del pool
    gc.collect()
    server.wait_until_idle()
    assert server.connections == 2


def test_unix_domain_sockets(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    pool = TablePool.lease(Endpoint(path))
    with pytest.raises(Unreachable, match="No such file"):
        run(pool.ask(b"x\n", line_end))
    with ScriptedServer(echo, path=path):
        assert run(pool.ask(b"x\n", line_end)) == b"said x\n"
    pool.release()


def test_a_server_that_does_not_read(run: Run, server: ScriptedServer, pool: TablePool) -> None:
    server.answer = lambda _: HANG

    async def give_up() -> None:
        async with asyncio.timeout(0.2):
            await pool.ask(b"x" * 50_000_000, line_end)

    with pytest.raises(TimeoutError):
        run(give_up())


def test_a_connection_that_another_thread_watches_is_left_alone(
    run: Run, server: ScriptedServer, pool: TablePool
) -> None:
    kept, done = threading.Event(), threading.Event()

    async def keep() -> None:
        assert await pool.ask(b"x\n", line_end) == b"said x\n"
        kept.set()
        await asyncio.get_running_loop().run_in_executor(None, done.wait, 5)
        assert await pool.ask(b"y\n", line_end) == b"said y\n"

    thread = threading.Thread(target=run, args=(keep(),))
    thread.start()
    assert kept.wait(5)
    assert run(pool.ask(b"z\n", line_end)) == b"said z\n"
    assert server.connections == 2
    done.set()
    thread.join(5)
    assert server.requests == [b"x\n", b"z\n", b"y\n"]
    assert server.connections == 2
