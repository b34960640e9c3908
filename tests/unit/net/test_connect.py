from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.net.connect import ConnectError, connect_tcp, connect_unix


def refused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_refused() -> None:
    async def run() -> None:
        with pytest.raises(ConnectError, match=r"^Connection refused$") as caught:
            await connect_tcp(asyncio.Protocol, "127.0.0.1", refused_port(), deadline_s=5)
        assert not caught.value.is_local

    asyncio.run(run())


def test_source_address_that_is_not_ours() -> None:
    async def run() -> None:
        with pytest.raises(ConnectError) as caught:
            await connect_tcp(asyncio.Protocol, "127.0.0.1", refused_port(), deadline_s=5, local_address="192.0.2.1")
        assert caught.value.is_local

    asyncio.run(run())


def test_deadline() -> None:
    """A listener whose backlog is full does not answer."""

    async def run() -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address, port = listener.getsockname()
            fillers = []
            for _ in range(8):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex((address, port))
                fillers.append(filler)
            with pytest.raises(ConnectError, match=r"^Connection timed out$"):
                await connect_tcp(asyncio.Protocol, address, port, deadline_s=0.1)
            for filler in fillers:
                filler.close()

    asyncio.run(run())


def test_unix(tmp_path: Path) -> None:
    class Recorder(asyncio.Protocol):
        def __init__(self) -> None:
            self.data = asyncio.get_running_loop().create_future()

        def data_received(self, data: bytes) -> None:
            self.data.set_result(data)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        writer.close()

    async def run() -> None:
        path = str(tmp_path / "s")
        async with await asyncio.start_unix_server(serve, path):
            protocol = await connect_unix(Recorder, path, deadline_s=5)
            assert await asyncio.wait_for(protocol.data, 5) == b"220 hi\r\n"
        with pytest.raises(ConnectError, match=r"^No such file or directory$"):
            await connect_unix(asyncio.Protocol, str(tmp_path / "none"), deadline_s=5)

    asyncio.run(run())
