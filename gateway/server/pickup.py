"""pickup: mail that local programs posted with ``sendmail``.

Watches the maildrop directory, and listens on ``public/pickup`` for users who may not write there: the kernel says who
they are (SO_PEERCRED). A file goes only when its message is durable in the spool; one that cannot be read as a message
goes to ``corrupt``; one that the spool cannot take now stays and is tried again. Source: pickup(8), postdrop(1).
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import stat
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from gateway.cleanup import Cleanup, Collector, Draft, Submitter
from gateway.config import Config
from gateway.model.address import Address
from gateway.model.content import Content
from gateway.model.envelope import ClientInfo, Envelope, Recipient
from gateway.model.errors import GatewayError, SpoolError
from gateway.model.verdict import Action, Verdict
from gateway.observe import MailLog
from gateway.rfc.rfc5321 import BadPath, parse_path
from gateway.server.maildrop import Damaged, DropWriter, Posted, is_ready, read_envelope
from gateway.spool.body import BodyWriter

SOCKET_PATH = "public/pickup"
POLL_S = 5.0
"""Seconds between looks into the maildrop when nobody wakes us."""
STALE_S = 86400.0
"""Age at which an unfinished file is nobody's work any more."""
POST_DEADLINE_S = 300.0
"""Longest time that one user may take to hand a message over."""
POSTS_LIMIT = 50
"""Messages that may be handed over at the same time."""
CLOSE_S = 3.0
"""Longest time that the message in hand may take at the end."""
PIECE_BYTES = 65536
_ENVELOPE_ROOM = 1 << 20
_CREDENTIALS = struct.Struct("3i")
_STRAY_CR = re.compile(rb"\r")


class Refused(GatewayError):
    """Policy refused a local message that cannot be bounced."""


class Pickup:
    """Local submission of one gateway; lives in the scheduler's process.

    Args:
        config: checked configuration.
        cleanup: finishes messages and stores them.
        next_queue_id: makes queue IDs from a time.
        log: the process's log.
        submitter: the spool, for messages that policy refused: they are stored to be bounced. Without it they go to
            ``corrupt``.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        config: Config,
        cleanup: Cleanup,
        next_queue_id: Callable[[float], str],
        *,
        log: MailLog,
        submitter: Submitter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cleanup, self._submitter, self._next_queue_id, self._clock = cleanup, submitter, next_queue_id, clock
        self._log = log.logger("pickup")
        self._directory = config.text("queue_directory")
        self._maildrop = os.path.join(self._directory, "maildrop")
        self._memory_limit = config.integer("content_memory_limit")
        self._message_limit = config.integer("message_size_limit")
        self._origin = config.text("myorigin").lower()
        self._wake = asyncio.Event()
        self._stored: set[str] = set()  # durable, and their files could not be removed yet
        self._posts: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._server: asyncio.Server | None = None
        self._worker: asyncio.Task[None] | None = None

    def replace(self, other: Pickup) -> None:
        """Work with the settings of another pickup, which is never started, from the next message on."""
        self._cleanup, self._submitter = other._cleanup, other._submitter
        self._memory_limit, self._message_limit = other._memory_limit, other._message_limit
        self._origin = other._origin

    async def start(self) -> None:
        """Listen and begin to look. Raises OSError."""
        path = os.path.join(self._directory, SOCKET_PATH)
        with suppress(FileNotFoundError):
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        _bind(sock, self._directory, SOCKET_PATH)
        os.chmod(path, 0o666)  # noqa: S103 - every local user may post; we ask the kernel who it is
        self._server = await asyncio.start_unix_server(self._accept, sock=sock, limit=PIECE_BYTES)
        self._worker = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Stop after the message in hand; what is in the maildrop stays there."""
        if self._server:
            self._server.close()
            with suppress(OSError):
                os.unlink(os.path.join(self._directory, SOCKET_PATH))
        self._is_closing = True
        self.wake()
        if self._worker:
            # Between "durable" and "file removed" it must not be cut off: the message would come twice.
            await asyncio.wait((self._worker,), timeout=CLOSE_S)
        tasks = [*self._posts, *([self._worker] if self._worker else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Look into the maildrop now."""
        self._wake.set()

    # --- the directory -----------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while not self._is_closing:
            self._wake.clear()
            await self.sweep()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_S)

    async def sweep(self) -> int:
        """Queue what is ready, oldest first; returns how many messages became durable."""
        try:
            names = sorted(await asyncio.to_thread(os.listdir, self._maildrop))
        except OSError as exc:
            self._log.warning(f"maildrop: {exc.strerror}")
            return 0
        count = 0
        self._stored.intersection_update(names)
        for name in names:
            if name.startswith("."):
                self._remove_stale(name)
                continue
            if self._is_closing:
                break
            try:
                count += await self._take(name)
            except SpoolError as exc:
                # The disk is full or the store fails: the next file would fare no better.
                self._log.warning(f"maildrop/{name}: deferred: {exc}")
                break
            except OSError as exc:
                self._log.warning(f"maildrop/{name}: {exc.strerror}")
            except Exception as exc:  # a bug, ours or a plugin's: it must not stop all local mail
                self._log.panic(f"maildrop/{name}: {type(exc).__name__}: {exc}")
        return count

    def _remove_stale(self, name: str) -> None:
        path = os.path.join(self._maildrop, name)
        with suppress(OSError):
            if os.lstat(path).st_mtime < self._clock() - STALE_S:
                os.unlink(path)

    async def _take(self, name: str) -> bool:
        """Queue one file; False when it is not ready, damaged, or policy wants it later.

        Raises:
            SpoolError: the message is not stored. OSError: the file cannot be read.
        """
        path = os.path.join(self._maildrop, name)
        if name in self._stored:
            os.unlink(path)
            return False
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            self._quarantine(name, "not a plain file")
            return False
        if not is_ready(status):
            return False
        with _open(path) as file:
            status = os.fstat(file.fileno())
            if not is_ready(status):  # somebody exchanged it meanwhile
                return False
            queue_id = self._next_queue_id(self._clock())
            collector = Collector(self._memory_limit, lambda: BodyWriter(self._directory, queue_id))
            try:
                posted = read_envelope(file, self._message_limit)
                envelope = self._envelope(queue_id, posted)
                await _feed(collector, file, posted.content_bytes)
                content = await collector.finish()
            except Damaged as exc:
                collector.abort()
                self._quarantine(name, str(exc))
                return False
            except BaseException:
                collector.abort()
                raise
        # Our own files are those that came over the socket, with the uid that the kernel gave us.
        uid = posted.uid if status.st_uid == os.geteuid() and posted.uid >= 0 else status.st_uid
        self._log.info(f"{queue_id}: uid={uid} from=<{envelope.sender.quoted}>")
        draft = Draft(envelope, self._with_from(content, posted, envelope))
        try:
            is_durable = await self._queue(draft, uid)
        except BaseException as exc:
            if not draft.may_be_stored(exc):
                collector.abort()
            if not isinstance(exc, Refused):
                raise
            self._quarantine(name, str(exc))
            return False
        if is_durable:
            self._stored.add(name)
            os.unlink(path)
        else:
            collector.abort()
        return is_durable

    async def _queue(self, draft: Draft, uid: int) -> bool:
        """Through cleanup into the spool; a refused message is stored to be bounced. False: try again later.

        Raises:
            Refused: policy says no and nobody can tell the sender. SpoolError: the message is not stored.
        """
        envelope = draft.envelope
        verdict: Verdict | None = await self._cleanup.queue(draft, uid=uid, is_local=True)
        if verdict is None:
            return True
        code = verdict.code or (554 if verdict.action is Action.REJECT else 450)
        if code < 500:
            self._log.info(f"{envelope.queue_id}: deferred: {code} {verdict.enhanced} {verdict.text}")
            return False
        self._log.info(f"{envelope.queue_id}: reject: {code} {verdict.enhanced} {verdict.text}")
        if self._submitter is None:
            raise Refused(verdict.text)
        # Nobody waits for a reply here: the error transport tells the sender.
        envelope.filter = f"error:{verdict.enhanced or '5.7.1'} {verdict.text}"
        envelope.is_held = False
        envelope.size_bytes = draft.content.size_bytes
        draft.is_handed_over = True
        await self._submitter.submit(envelope, draft.content)
        return True

    def _envelope(self, queue_id: str, posted: Posted) -> Envelope:
        """Raises Damaged when an address cannot be one."""
        return Envelope(
            queue_id,
            _address(posted.sender) if posted.sender else Address.NULL,
            [Recipient(_address(raw), notify=posted.notify) for raw in posted.recipients],
            # A user may not date mail back past its expiry, nor into the future.
            arrival=min(max(posted.posted_at, self._clock() - STALE_S), self._clock()),
            client=ClientInfo(name="localhost", address="127.0.0.1", source="LOCAL"),
            encoding=posted.encoding if posted.encoding in ("7BIT", "8BITMIME") else "",
            is_smtputf8=any(not raw.isascii() for raw in (posted.sender, *posted.recipients)),
            ret=posted.ret if posted.ret in ("FULL", "HDRS") else "",
            envid=posted.envid.decode("ascii", "replace"),
            origin="pickup",
        )

    def _with_from(self, content: Content, posted: Posted, envelope: Envelope) -> Content:
        """A From header with the user's full name, where one is known and the message has none (cleanup(8))."""
        lower = b"\n" + content.head.lower()
        if not posted.full_name or not envelope.sender or b"\nfrom:" in lower or b"\nresent-from:" in lower:
            return content
        sender = envelope.sender
        if not sender.domain:
            sender = Address(sender.local, self._origin)
        name = re.sub(rb'[^\x20-\x7e\x80-\xff]|["\\]', b"", posted.full_name)
        line = b'From: "' + name + b'" <' + sender.quoted.encode("utf-8", "surrogateescape") + b">\r\n"
        return Content(content.head + line, content.body, content.is_headless)

    def _quarantine(self, name: str, reason: str) -> None:
        self._log.error(f"maildrop/{name}: {reason}; moved to corrupt/{name}")
        os.rename(os.path.join(self._maildrop, name), os.path.join(self._directory, "corrupt", name))

    # --- the socket --------------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._posts.add(task)
        try:
            answer = "busy" if len(self._posts) > POSTS_LIMIT else await self._receive(reader, writer)
            writer.write(answer.encode("utf-8", "replace") + b"\n")
            await writer.drain()
        except OSError:
            pass
        finally:
            self._posts.discard(task)
            writer.close()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """``W``: wake up. ``M`` and a maildrop file: post it. Returns ``ok``, or what is wrong."""
        try:
            async with asyncio.timeout(POST_DEADLINE_S):
                order = await reader.read(1)
                if order == b"M":
                    await self._post(reader, _peer_uid(writer))
                elif order != b"W":
                    return "unknown order"
        except TimeoutError:
            return "too slow"
        except Damaged as exc:
            return str(exc)
        except OSError as exc:
            self._log.warning(f"{SOCKET_PATH}: {exc}")
            return f"cannot store: {exc.strerror or exc}"
        self.wake()
        return "ok"

    async def _post(self, reader: asyncio.StreamReader, uid: int) -> None:
        limit = self._message_limit + _ENVELOPE_ROOM if self._message_limit else 0
        drop = DropWriter(self._maildrop)
        try:
            while data := await reader.read(PIECE_BYTES):
                # What is too much is read and forgotten: who hangs up on a writer takes the answer from him.
                if not limit or drop.size_bytes <= limit:
                    drop.write(data)
            if limit and drop.size_bytes > limit:
                raise Damaged("message file too big")
            await asyncio.to_thread(drop.finish_received, uid, self._message_limit)
        except BaseException:
            drop.abort()
            raise


def _address(raw: bytes) -> Address:
    try:
        return parse_path(b"<" + raw + b">", allow_min_user=True)
    except BadPath as exc:
        raise Damaged(f"bad address {raw[:100]!r}: {exc}") from exc


def _open(path: str) -> BinaryIO:
    """Open what a user left, which may be anything."""
    return open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK))


async def _feed(collector: Collector, file: BinaryIO, size: int) -> None:
    """Give the content to the collector as SMTP wants it: every line ends in CRLF, no CR or LF stands alone.

    Programs write LF or CRLF; a CR anywhere else becomes a space, so that no receiver takes it for a line end
    (cleanup_replace_stray_cr_lf).
    """
    held, last = b"", b""
    while size > 0 and (piece := file.read(min(PIECE_BYTES, size))):
        size -= len(piece)
        piece = held + piece
        # The next piece may begin with the LF that belongs to this CR.
        held = b"\r" if piece.endswith(b"\r") and size > 0 else b""
        piece = _STRAY_CR.sub(b" ", piece[: len(piece) - len(held)].replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        if piece:
            collector.feed(piece)
            last = piece[-2:]
        await asyncio.sleep(0)
    if last and last != b"\r\n":
        collector.feed(b"\r\n")


def _bind(sock: socket.socket, directory: str, name: str) -> None:
    """Bind below a directory whose path may be longer than a socket address."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock.bind(f"/proc/self/fd/{fd}/{name}")
    finally:
        os.close(fd)


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    sock: socket.socket = writer.get_extra_info("socket")
    uid: int = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
    return uid
