"""The control socket ``public/qmgr``: list, flush, hold and delete mail, for ``postqueue`` and ``postsuper``.

One JSON request per line, up to the end of the client's writing; the answers come in the order of the requests, and the
server closes. ``{"op": ...}`` with

========== ============================================== ==================================================
op         arguments                                      answer
========== ============================================== ==================================================
showq      ``queue``: active, deferred or hold; or none   a line per message as ``postqueue -j`` prints it,
                                                          then ``{"end": true, "count": n, "size": octets}``
status                                                    ``{"active": n, "deferred": n, "hold": n, ...}``
flush                                                     ``{"count": n}``
flush_site ``site``: domain                               ``{"count": n}``
deliver_now ``queue_id``                                  ``{"count": 0 or 1}``
hold       ``queue_ids``: list, or ``"ALL"``              ``{"count": n}``
release    the same                                       ``{"count": n}``
requeue    the same                                       ``{"count": n}``
delete     the same                                       ``{"count": n}``
cat        ``queue_id``                                   ``{"envelope": {...}}``, ``{"data": base64}`` …,
                                                          ``{"end": true, "count": 1}``
========== ============================================== ==================================================

A request that fails is answered with ``{"error": "text"}``. Who may ask what: root, ``mail_owner`` and the process's
own user everything; others list and flush as ``authorized_mailq_users`` and ``authorized_flush_users`` say.
Source: postqueue(1), postsuper(1), showq(8).
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.match_list import DomainList, Subdomains
from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope
from gateway.model.errors import GatewayError, SpoolError
from gateway.observe import Logger
from gateway.scheduler.scheduler import Scheduler
from gateway.spool.interface import ALL, QueueState, Selection, Spool

SOCKET_PATH = "public/qmgr"
REQUEST_LIMIT = 4 << 20  # a list of some hundred thousand queue IDs
CLIENT_LIMIT = 100
IDLE_S = 60.0
WRITE_S = 300.0
PAGE = 200
CHUNK_BYTES = 48 * 1024  # of content in one line

_CHANGED = {
    "hold": "placed on hold",
    "release": "released from hold",
    "requeue": "requeued",
    "delete": "removed",
}

Answers = AsyncIterator[dict[str, Any]]


class Request(msgspec.Struct):
    """One request; which fields count depends on ``op``."""

    op: str
    queue: str = ""
    site: str = ""
    queue_id: str = ""
    queue_ids: list[str] | str = []


class NotAllowed(GatewayError):
    """The client's user may not do this."""


class ControlServer:
    """Serves the control socket.

    Args:
        config: for the queue directory, ``mail_owner`` and the ``authorized_`` parameters.
        scheduler: what is controlled.
        store: what is listed.
        log: for changes that somebody made, and for clients that misbehave.

    Raises:
        ConfigError: an ``authorized_`` parameter cannot be read.
    """

    def __init__(self, config: Config, scheduler: Scheduler, store: Spool, *, log: Logger) -> None:
        self._scheduler, self._store, self._log = scheduler, store, log
        self._directory = config.text("queue_directory")
        tables = Tables(config)
        self._listers = DomainList.of(config, "authorized_mailq_users", tables, Subdomains.NONE)
        self._flushers = DomainList.of(config, "authorized_flush_users", tables, Subdomains.NONE)
        self._masters = {0, os.geteuid(), *_uid_of(config.text("mail_owner"))}
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._operations: dict[str, tuple[Callable[[Request], Answers], DomainList | None]] = {
            "showq": (self._showq, self._listers),
            "status": (self._status, self._listers),
            "flush": (self._flush, self._flushers),
            "flush_site": (self._flush, self._flushers),
            "deliver_now": (self._deliver_now, self._flushers),
            "hold": (self._change, None),
            "release": (self._change, None),
            "requeue": (self._change, None),
            "delete": (self._change, None),
            "cat": (self._cat, None),
        }

    async def start(self) -> None:
        """Listen; an old socket is replaced, for only the owner of the spool gets here.

        Raises:
            OSError: the socket cannot be made.
        """
        os.makedirs(os.path.join(self._directory, "public"), mode=0o755, exist_ok=True)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=_listening_socket(self._directory), limit=REQUEST_LIMIT
        )

    async def close(self) -> None:
        """Stop listening and end what clients are being told."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        try:
            os.unlink(os.path.join(self._directory, SOCKET_PATH))
        except OSError:
            pass
        for client in self._clients:
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=1.0)

    # -- one client -------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if len(self._clients) > CLIENT_LIMIT:
                writer.write(_line({"error": "too many clients"}))
            else:
                await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # the client has gone, sleeps, or we stop
        finally:
            self._clients.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = _peer_uid(writer)
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    line = await reader.readline()
            except ValueError:
                writer.write(_line({"error": "request too long"}))
                return
            if not line:
                return
            if line.strip():
                async for answer in self._answers(line, uid):
                    writer.write(_line(answer))
                    async with asyncio.timeout(WRITE_S):
                        await writer.drain()

    async def _answers(self, line: bytes, uid: int) -> Answers:
        """Everything there is to say to one request; failures as ``error``."""
        try:
            request = msgspec.json.decode(line, type=Request)
            operation, allowed = self._operations.get(request.op, (None, None))
            if operation is None:
                yield {"error": f"unknown operation {request.op[:40]!r}"}
                return
            await self._authorize(uid, request.op, allowed)
            async for answer in operation(request):
                yield answer
        except msgspec.MsgspecError as exc:
            yield {"error": f"bad request: {exc}"}
        except GatewayError as exc:
            yield {"error": str(exc)}

    async def _authorize(self, uid: int, op: str, allowed: DomainList | None) -> None:
        if uid in self._masters:
            return
        name = _name_of(uid)
        if allowed is None or not await allowed.matches(name):
            self._log.warning(f"{op} refused to user {name} (uid {uid})")
            raise NotAllowed(f"user {name} is not allowed to do this")

    # -- operations -------------------------------------------------------------------------------------------------

    async def _showq(self, request: Request) -> Answers:
        count = size = 0
        after = ""
        while page := self._page(request.queue, after):
            after = page[-1].queue_id
            for envelope in page:
                queue = self._queue_name(envelope)
                if not request.queue or queue == request.queue:
                    count, size = count + 1, size + envelope.size_bytes
                    yield showq_entry(envelope, queue)
            await asyncio.sleep(0)
        yield {"end": True, "count": count, "size": size}

    def _page(self, queue: str, after: str) -> list[Envelope]:
        states = {"": None, "active": QueueState.DEFERRED, "deferred": QueueState.DEFERRED, "hold": QueueState.HOLD}
        if queue not in states:
            raise NotAllowed(f"there is no queue {queue[:40]!r}")
        return self._store.entries(after, PAGE, states[queue])

    def _queue_name(self, envelope: Envelope) -> str:
        if envelope.is_held:
            return "hold"
        return "active" if self._scheduler.is_active(envelope.queue_id) else "deferred"

    async def _status(self, _: Request) -> Answers:
        yield self._scheduler.status()

    async def _flush(self, request: Request) -> Answers:
        yield {"count": await self._scheduler.flush(request.site if request.op == "flush_site" else None)}

    async def _deliver_now(self, request: Request) -> Answers:
        yield {"count": int(self._scheduler.deliver_now(request.queue_id))}

    async def _change(self, request: Request) -> Answers:
        changes: dict[str, Callable[[list[str] | Selection], Awaitable[int]]] = {
            "hold": self._scheduler.hold,
            "release": self._scheduler.release,
            "requeue": self._scheduler.requeue,
            "delete": self._scheduler.delete,
        }
        chosen = request.queue_ids
        if isinstance(chosen, str) and chosen != ALL.value:
            raise NotAllowed('queue_ids: want a list of queue IDs or "ALL"')
        count = await changes[request.op](ALL if isinstance(chosen, str) else chosen)
        self._log_change(request.op, chosen, count)
        yield {"count": count}

    def _log_change(self, op: str, chosen: list[str] | str, count: int) -> None:
        """A line per message in the words of postsuper(1); a sum where it is not known which of them there were."""
        if isinstance(chosen, str) or count != len(chosen):
            self._log.info(f"{count} messages {_CHANGED[op]}")
            return
        for queue_id in chosen:
            self._log.info(f"{queue_id}: {_CHANGED[op]}")

    async def _cat(self, request: Request) -> Answers:
        envelope = self._store.envelope(request.queue_id)
        if envelope is None:
            raise SpoolError(f"{request.queue_id[:40]}: no such message")
        content = self._store.content(request.queue_id)
        yield {"envelope": msgspec.to_builtins(envelope)}
        async for chunk in self._chunks(content):
            yield {"data": chunk}
        yield {"end": True, "count": 1}

    async def _chunks(self, content: Content) -> AsyncIterator[bytes]:
        start = content.head + content.separator
        if not isinstance(content.body, BodyFile):
            start += content.body
        for at in range(0, len(start), CHUNK_BYTES):
            yield start[at : at + CHUNK_BYTES]
        if isinstance(content.body, BodyFile):
            try:
                with open(os.path.join(self._directory, content.body.path), "rb") as file:  # noqa: ASYNC230
                    file.seek(content.body.offset)
                    while chunk := file.read(CHUNK_BYTES):
                        yield chunk
            except OSError as exc:
                raise SpoolError(f"cannot read the body: {exc.strerror}") from exc


def showq_entry(envelope: Envelope, queue: str) -> dict[str, Any]:
    """One message as ``postqueue -j`` has it: names and types of showq(8)."""
    return {
        "queue_name": queue,
        "queue_id": envelope.queue_id,
        "arrival_time": int(envelope.arrival),
        "message_size": envelope.size_bytes,
        "forced_expire": False,
        "sender": _printable(envelope.sender.quoted) or "MAILER-DAEMON",
        "recipients": [
            {"address": _printable(r.address.quoted)} | ({"delay_reason": _printable(r.reason)} if r.reason else {})
            for r in envelope.pending
        ],
    }


def _printable(text: str) -> str:
    """Text that JSON can carry: an undecodable octet becomes ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _line(answer: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(answer) + b"\n"
    except UnicodeEncodeError:
        # An address with raw octets, shown by cat.
        return msgspec.json.encode(_without_surrogates(answer)) + b"\n"


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _printable(value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value


def _listening_socket(queue_directory: str) -> socket.socket:
    """Bind ``public/qmgr``, however long the queue directory's path is: its descriptor stands for it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    directory = os.open(queue_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        path = f"/proc/self/fd/{directory}/{SOCKET_PATH}"
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        sock.bind(path)
        os.chmod(path, 0o666)  # noqa: S103 — everybody may connect; who may do what is decided by the peer's user
        sock.listen(128)
    except BaseException:
        sock.close()
        raise
    finally:
        os.close(directory)
    return sock


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


def _uid_of(name: str) -> tuple[int, ...]:
    try:
        return (pwd.getpwnam(name).pw_uid,)
    except KeyError:
        return ()


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "unknown"
