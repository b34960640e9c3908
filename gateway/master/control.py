"""The master's own socket, ``pid/master.sock``: status, reload and stop with an answer.

One JSON object a line each way. Anybody may ask for status; only root and the master's own user may change something
(SO_PEERCRED). The directory belongs to root, so no worker can put another socket in its place.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from contextlib import suppress
from typing import Any

import msgspec

import gateway
from gateway.master.master import Master

SOCKET = "pid/master.sock"
REQUEST_LIMIT = 4096
REQUEST_DEADLINE_S = 10.0
_CREDENTIALS = struct.Struct("3i")


class Request(msgspec.Struct, frozen=True):
    """``{"op": "status" | "reload" | "stop"}``."""

    op: str


class Control:
    """Serves the socket; the current directory is the queue directory."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._server: asyncio.Server | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start to listen. Raises OSError."""
        with suppress(FileNotFoundError):
            os.unlink(SOCKET)  # left by a master that was killed: the pid lock says that none lives
        # Relative, as a queue directory's path may be longer than a socket address.
        self._server = await asyncio.start_unix_server(self._serve, SOCKET, limit=REQUEST_LIMIT)
        os.chmod(SOCKET, 0o666)  # noqa: S103 - requests are judged by who makes them

    async def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            os.unlink(SOCKET)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), REQUEST_DEADLINE_S)
            answer = await self._answer(msgspec.json.decode(line, type=Request), writer)
        except (msgspec.MsgspecError, ValueError, TimeoutError) as exc:
            answer = {"error": str(exc) or type(exc).__name__}
        except OSError:
            answer = {}
        try:
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> dict[str, Any]:
        if request.op == "status":
            return status(self._master)
        if request.op not in ("reload", "stop"):
            return {"error": f"unknown operation {request.op!r}"}
        if _peer_uid(writer) not in (0, os.geteuid()):
            return {"error": f"only root and the user who started it may {request.op} the mail system"}
        if request.op == "reload":
            return {"problem": await self._master.reload()}
        # Stopping closes this socket: the client sees that the lock is free.
        self._stopping = asyncio.get_running_loop().create_task(self._master.stop())
        return {"problem": ""}


def status(master: Master) -> dict[str, Any]:
    """What ``postgate status`` shows: times in seconds."""
    now = asyncio.get_running_loop().time()
    return {
        "pid": os.getpid(),
        "version": gateway.__version__,
        "config_directory": master.config.directory,
        "uptime_s": round(time.time() - master.started_at, 1),
        "processes": [
            {
                "role": child.role,
                "pid": child.pid,
                "number": child.number,
                "state": child.state.value,
                "uptime_s": round(now - child.started, 1),
                "restarts": next((slot.restarts for slot in master.slots if slot.child is child), 0),
            }
            for child in master.children
        ],
        "listening": [{"service": name, "address": address} for name, address in master.listening.addresses],
    }


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    sock: socket.socket = writer.get_extra_info("socket")
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(data)[1]
    return uid
