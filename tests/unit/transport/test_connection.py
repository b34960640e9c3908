"""The shell around the client session: its one timer, back-pressure, and leaving."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from peers.smtp_sink import Script, ScriptedSink

from gateway.config import Config
from gateway.proto.smtp_client import Verb
from gateway.transport.connection import ConversationError, SmtpConnection, Trouble
from gateway.transport.endpoint import Endpoint
from gateway.transport.handshake import NoSession, open_session
from gateway.transport.settings import ClientSettings

pytestmark = pytest.mark.usefixtures("both_loops")  # they differ in when they write and what they raise


def settings(**values: object) -> ClientSettings:
    read = ClientSettings.read(Config.from_settings({"myhostname": "me.example"}))
    return msgspec.structs.replace(read, **values)


def timeouts(default: float, **others: float) -> dict[Verb, float]:
    return {verb: others.get(verb.name, default) for verb in Verb}


async def opened(sink: ScriptedSink, use: ClientSettings) -> SmtpConnection:
    return await open_session(Endpoint("sink.example", "127.0.0.1", sink.port), use)


def test_leaving_says_quit_and_waits_only_if_told_to() -> None:
    async def go(is_skipping: bool) -> list[bytes]:
        async with ScriptedSink() as sink:
            connection = await opened(sink, settings(skip_quit_response=is_skipping))
            connection.leave()
            assert not connection.is_usable
            await sink.wait(1, ended=True)
            return sink.commands

    assert asyncio.run(go(True))[-1] == b"QUIT"
    assert asyncio.run(go(False))[-1] == b"QUIT"


def test_reply_to_quit_has_a_deadline() -> None:
    async def go() -> None:
        async with ScriptedSink(Script(hang_at=b"QUIT")) as sink:
            connection = await opened(sink, settings(skip_quit_response=False, timeouts=timeouts(5, QUIT=0.05)))
            connection.leave()
            await sink.wait(1, ended=True)
            assert not connection.is_usable

    asyncio.run(go())


def test_a_shorter_deadline_replaces_the_armed_timer() -> None:
    """The timer was armed for MAIL (long); RSET's short deadline must not wait for it."""

    async def go() -> ConversationError:
        async with ScriptedSink(Script(hang_at=b"RSET")) as sink:
            connection = await opened(sink, settings(timeouts=timeouts(300, RSET=0.05)))
            connection.session.send(Verb.MAIL, b"FROM:<a@b>")
            await connection.exchange()
            connection.session.send(Verb.RSET)
            with pytest.raises(ConversationError) as caught:
                await asyncio.wait_for(connection.exchange(), 5)
            return caught.value

    error = asyncio.run(go())
    assert error.trouble is Trouble.TIMEOUT
    assert error.text == "conversation with sink.example[127.0.0.1] timed out while sending final RSET"
    assert not error.has_sent_end


def test_replies_push_the_deadline_back() -> None:
    """Four replies, each later than a third of the deadline: together longer than it, and no timeout."""

    async def go() -> float:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 slow\r\n")
            await reader.readline()
            writer.write(b"250-slow\r\n250 PIPELINING\r\n")
            for _ in range(4):
                await reader.readline()
                reply = asyncio.Event()
                loop.call_later(0.06, reply.set)
                await reply.wait()
                writer.write(b"250 ok\r\n")
            try:
                await reader.read()
            except ConnectionError:
                pass  # it was aborted
            writer.close()
            done.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            use = settings(timeouts=timeouts(0.15))
            connection = await open_session(Endpoint("slow", "127.0.0.1", port), use)
            started = loop.time()
            connection.session.send(Verb.MAIL, b"FROM:<a@b>")
            for _ in range(3):
                connection.session.send(Verb.RCPT, b"TO:<c@d>")
            assert len(await connection.exchange()) == 4
            elapsed = loop.time() - started
            connection.abort()
            await asyncio.wait_for(done.wait(), 5)
            return elapsed

    assert asyncio.run(go()) > 0.2


def test_partial_replies_come_with_the_error() -> None:
    async def go() -> ConversationError:
        async with ScriptedSink(Script(close_at=b"RCPT TO:<second")) as sink:
            connection = await opened(sink, settings())
            connection.session.send(Verb.MAIL, b"FROM:<a@b>")
            connection.session.send(Verb.RCPT, b"TO:<first@d>")
            connection.session.send(Verb.RCPT, b"TO:<second@d>")
            with pytest.raises(ConversationError) as caught:
                await connection.exchange()
            return caught.value

    error = asyncio.run(go())
    assert [reply.code for reply in error.replies] == [250, 250]
    assert error.trouble is Trouble.LOST
    assert error.trouble.dsn == "4.4.2"


def test_use_after_the_end_is_an_error_and_no_crash() -> None:
    async def go() -> None:
        async with ScriptedSink() as sink:
            connection = await opened(sink, settings())
            connection.abort()
            connection.close()
            connection.leave()
            assert not await connection.write(b"x")
            with pytest.raises(ConversationError):
                await connection.exchange()

    asyncio.run(go())


def test_octets_that_drip_in_push_nothing_back() -> None:
    async def go() -> ConversationError:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 drip\r\n250-")
            while not writer.transport.is_closing():
                writer.write(b"x")
                pause = asyncio.Event()
                loop.call_later(0.02, pause.set)
                await pause.wait()
            writer.close()
            done.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(NoSession) as caught:
                endpoint = Endpoint("drip", "127.0.0.1", port)
                await asyncio.wait_for(open_session(endpoint, settings(timeouts=timeouts(0.15))), 3)
            await asyncio.wait_for(done.wait(), 5)
            error = caught.value.__cause__
            assert isinstance(error, ConversationError)
            return error

    assert asyncio.run(go()).trouble is Trouble.TIMEOUT
