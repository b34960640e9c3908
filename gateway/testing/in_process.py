"""A gateway inside the test's own process: real sessions, restrictions, plugins and cleanup; the spool is a list."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, cast

import msgspec

from gateway.config import Config, default_registry
from gateway.hooks.manager import PluginManager
from gateway.hooks.message import Message
from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError
from gateway.net.resolver import Resolver
from gateway.observe import Counters, MailLog
from gateway.server.builder import ServiceBuilder
from gateway.server.registry import SessionRegistry
from gateway.server.smtpd import serve
from gateway.spool.body import BodyWriter
from gateway.spool.queue_id import QueueIds
from gateway.testing.fake_dns import FakeDns

_START_S = 10.0
_DEFAULTS = {
    "compatibility_level": "3.7",
    "myhostname": "gateway.test",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
}


class Queued(msgspec.Struct):
    """A message that was accepted."""

    envelope: Envelope
    content: Content
    directory: str

    def as_bytes(self) -> bytes:
        """The whole message as it would be delivered."""

        def open_body(body: BodyFile) -> Any:
            return open(os.path.join(self.directory, body.path), "rb")

        return Message(self.content, open_body).as_bytes()


class InProcessGateway:
    """Context manager: a gateway on ``127.0.0.1:port``, in a thread of its own.

    Args:
        settings: main.cf parameters; the defaults relay for 127.0.0.0/8.
        plugins: objects or modules to load under these names, after those that ``settings["plugins"]`` names.
        dns: what names resolve to; nothing does by default.
        overrides: ``-o`` parameters of the listener.

    Raises:
        ConfigError: on entry, when the configuration or a plugin is refused.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        plugins: Mapping[str, object] | None = None,
        dns: FakeDns | None = None,
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        self._settings, self._objects = {**_DEFAULTS, **(settings or {})}, dict(plugins or {})
        self._dns, self._overrides = dns or FakeDns(), dict(overrides or {})
        self.mail_log, self.counters = MailLog.memory(), Counters()
        self.queued: list[Queued] = []
        self.spool_error: SpoolError | None = None
        self.port = 0
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def log(self) -> str:
        """All log lines so far."""
        return "\n".join(self.mail_log.lines)

    async def submit(self, envelope: Envelope, content: Content) -> None:
        """The spool: raises ``spool_error`` when a test has set one."""
        if self.spool_error is not None:
            raise self.spool_error
        self.queued.append(Queued(envelope, content, self._directory))

    def __enter__(self) -> InProcessGateway:
        self._temporary = tempfile.TemporaryDirectory(prefix="postgate-")
        self._directory = self._temporary.name
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_S):
            raise TimeoutError("the gateway did not start")
        if self._error is not None:
            self.__exit__(None, None, None)
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(_START_S)
        self._temporary.cleanup()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:
            self._error = exc
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        registry = default_registry()
        settings = {**self._settings, "queue_directory": self._directory}
        names = settings.get("plugins", "access" if not self._objects else "").split()
        plugins = PluginManager(names, objects=self._objects)
        plugins.add_parameters(registry)
        overrides = "".join(f" -o {{ {name} = {value} }}" for name, value in self._overrides.items())
        config = Config.from_settings(settings, services=f"smtp inet n - n - - smtpd{overrides}\n", registry=registry)
        builder = ServiceBuilder(
            config,
            plugins,
            submitter=self,
            open_sink=lambda queue_id: BodyWriter(self._directory, queue_id),
            next_queue_id=QueueIds(0).next,
            mail_log=self.mail_log,
            counters=self.counters,
            resolver=cast(Resolver, self._dns),
        )
        listener = socket.create_server(("127.0.0.1", 0))
        server = await serve(listener, builder.build(config.services[0]), sessions := SessionRegistry(1000))
        self.port = listener.getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        await sessions.finish(1.0)
        builder.runtime.close()
