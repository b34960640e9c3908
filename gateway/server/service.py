"""One ``smtpd`` row of master.cf under one configuration: everything its sessions share."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from time import time

from msgspec.structs import replace

from gateway.cleanup import Cleanup
from gateway.cleanup.collector import BodySink
from gateway.config import Config
from gateway.hooks.chain import Chain, Runtime
from gateway.hooks.manager import PluginManager
from gateway.maps.match_list import NetworkList
from gateway.model.client import Client
from gateway.model.reply import Reply
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.net.hosts_file import HostsFile
from gateway.net.resolver import Resolver
from gateway.observe import Counters, Logger
from gateway.proto.smtp_settings import SmtpdSettings
from gateway.restrictions.engine import RestrictionEngine
from gateway.server import reports
from gateway.server.limits import ClientLimits
from gateway.server.local_clients import LocalClients

Judge = Callable[[Session], Awaitable[Verdict | None]]
OBSERVERS = ("unknown", "reset", "disconnect", "verdict")
SESSION_STAGES = ("connect", "helo", "mail", "rcpt", "predata", "data")


class SmtpdService:
    """What all sessions of one listener need; built at (re)load, never changed after.

    Args:
        name: service name as in master.cf, for logs and ``Session.service``.
        config: with the row's ``-o`` overrides.
        plugins, runtime: for the chains of the session stages.
        engine: compiled restriction lists.
        cleanup: of this process.
        open_sink: file for a large body, by queue ID.
        next_queue_id: makes queue IDs.
        resolver: DNS.
        limits: counts clients over all services of the process.
        xclient_hosts, xforward_hosts: may use those commands. trusted_clients: no limits
            (smtpd_client_event_limit_exceptions). local_clients: missing headers are added for them.
        log, counters: where to report.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        *,
        plugins: PluginManager,
        runtime: Runtime,
        engine: RestrictionEngine,
        cleanup: Cleanup,
        open_sink: Callable[[str], BodySink],
        next_queue_id: Callable[[float], str],
        resolver: Resolver,
        limits: ClientLimits,
        xclient_hosts: NetworkList,
        xforward_hosts: NetworkList,
        trusted_clients: NetworkList,
        local_clients: LocalClients,
        settings: SmtpdSettings,
        log: Logger,
        counters: Counters,
        clock: Callable[[], float] = time,
    ) -> None:
        self.name, self.config, self.engine, self.cleanup = name, config, engine, cleanup
        self.open_sink, self.next_queue_id, self.limits = open_sink, next_queue_id, limits
        self.xclient_hosts, self.xforward_hosts, self.trusted_clients = xclient_hosts, xforward_hosts, trusted_clients
        self.local_clients = local_clients
        engine.observe = lambda session, stage, verdict: log.info(reports.noted_line(session, stage, verdict))
        self.settings, self.log, self.counters, self.clock = settings, log, counters, clock
        self.runtime = runtime
        self.hosts = HostsFile()
        self._has_special_clients = bool(
            config.text("smtpd_authorized_xclient_hosts") or config.text("smtpd_authorized_xforward_hosts")
        )
        self.resolver = resolver if config.boolean("smtpd_peername_lookup") else None
        self.chains: dict[str, Chain] = {stage: plugins.chain(stage, config, runtime) for stage in SESSION_STAGES}
        engine_stages = {
            "connect": engine.at_connect, "helo": engine.at_helo, "mail": engine.at_mail, "rcpt": engine.at_rcpt,
            "predata": engine.at_data, "data": engine.at_end_of_data,
        }  # fmt: skip
        self.judges: dict[str, Judge | None] = {
            stage: None if engine.is_silent(stage) else judge for stage, judge in engine_stages.items()
        }
        self.observers = {hook: plugins.observers(hook) for hook in OBSERVERS}
        # Stages at which somebody has to be asked; at the others the answer is known without waiting.
        self.asked = frozenset(stage for stage in SESSION_STAGES if self.judges[stage] or self.chains[stage])
        self.banner = Reply(220, config.text("smtpd_banner"))
        self.hello_reply = Reply(250, config.text("myhostname"))
        self.hostname = config.text("myhostname")
        self.timeout_s = config.seconds("smtpd_timeout")
        self.soft_bounce = config.boolean("soft_bounce")
        self.memory_limit = config.integer("content_memory_limit")
        self.uses_proxy_protocol = config.text("smtpd_upstream_proxy_protocol") == "haproxy"
        self.proxy_timeout_s = config.seconds("smtpd_upstream_proxy_timeout")
        self._queue_directory = config.text("queue_directory")
        self._queue_minfree = config.integer("queue_minfree")
        self._free_bytes, self._free_checked = 0, -1

    async def settings_for(self, client: Client) -> SmtpdSettings:
        """The session settings of one client: shared unless it may use XCLIENT or XFORWARD. Raises TableError."""
        if not self._has_special_clients:
            return self.settings
        may_xclient = await self.xclient_hosts.matches(client.name, client.address)
        may_xforward = await self.xforward_hosts.matches(client.name, client.address)
        if not (may_xclient or may_xforward):
            return self.settings
        return replace(self.settings, xclient_allowed=may_xclient, xforward_allowed=may_xforward)

    async def settings_as(self, client: Client, before: SmtpdSettings) -> SmtpdSettings:
        """The same after XCLIENT: a right of the new client, or not; XFORWARD stays one of who is really there.

        Source: observed; XCLIENT_README, XFORWARD_README. Raises TableError.
        """
        settings = await self.settings_for(client)
        if settings.xforward_allowed == before.xforward_allowed:
            return settings
        return replace(settings, xforward_allowed=before.xforward_allowed)

    def has_room(self, size_bytes: int) -> bool:
        """False when a message of that size would leave less than ``queue_minfree``; asked once a second."""
        now = int(self.clock())
        if now != self._free_checked:
            disk = os.statvfs(self._queue_directory)
            self._free_bytes, self._free_checked = disk.f_bavail * disk.f_frsize, now
        return self._free_bytes > self._queue_minfree + size_bytes
