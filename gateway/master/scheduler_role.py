"""The scheduler process: owner of the spool, with the network transports, the control socket and pickup.

Role entry point of ``gateway.master.roles``. Everything that must not outlive the spool's lock lives here.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from gateway.cleanup import Cleanup, InternalMail, cleanup_config
from gateway.config import Config, Service
from gateway.config.receive_options import receive_options
from gateway.hooks.chain import Runtime
from gateway.hooks.manager import PluginManager
from gateway.maps import Tables
from gateway.maps.rewriting import Rewriting
from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import ConfigError
from gateway.net.eager import with_deadline
from gateway.net.resolver import Resolver
from gateway.net.worker import WorkerContext
from gateway.observe import Logger, MailLog
from gateway.scheduler import Router, Scheduler
from gateway.scheduler.control import ControlServer
from gateway.scheduler.deliver_stage import DeliverStage
from gateway.server.pickup import Pickup
from gateway.spool import Store
from gateway.spool.body import BodyWriter
from gateway.spool.queue_id import QueueIds
from gateway.spool.service import SOCKET_PATH, SpoolService
from gateway.transport.base import Transport
from gateway.transport.bounce import Bouncer
from gateway.transport.discard import DiscardTransport
from gateway.transport.error import ErrorTransport
from gateway.transport.generic import GenericMaps
from gateway.transport.smtp import SmtpTransport
from gateway.transport.timed import TimedTransport

_CLOSE_S = 1.0
"""Longest that a transport may take to close."""
_RETIRE_S = 600.0
"""Longest that deliveries which began before a reload may go on; what runs then is deferred."""
_LINGER_S = 60.0
"""How much longer the rest stays open: the message that pickup has in hand, and bounces, may still ask its tables."""


class _Policy:
    """What depends on the configuration, built anew at each reload."""

    def __init__(self, context: WorkerContext, config: Config) -> None:
        self.plugins = PluginManager(config.words("plugins"))
        self.plugins.configure(config)
        self.runtime = Runtime(
            context.mail_log.logger("qmgr"), context.counters, threads=config.integer("plugin_threads")
        )
        self.tables = _tables(config, self.plugins, context.mail_log.logger("qmgr"))
        self.router = Router(config, self.tables)
        self.resolver = resolver = Resolver(config)
        self.transports = make_transports(config, self.plugins, resolver, context.mail_log)
        self.stage = DeliverStage(config, self.plugins, self.runtime)


def _tables(config: Config, plugins: PluginManager, logger: Logger) -> Tables:
    tables = Tables(config, types=plugins.registered("lookup_tables"))
    tables.on_warning, tables.on_info = logger.warning, logger.info
    return tables


def make_transports(config: Config, plugins: PluginManager, resolver: Resolver, log: MailLog) -> dict[str, Transport]:
    """One transport for each unix row of master.cf whose command we have; others defer their mail as unavailable.

    Raises:
        ConfigError: settings that no delivery could work with, or a plugin's factory failed.
    """
    transports: dict[str, Transport] = {}
    for row in config.services:
        if row.type not in ("unix", "fifo", "unix-dgram"):
            continue
        transport = _make_transport(row, config, plugins, resolver, log)
        if transport is not None:
            transports[row.name] = transport
    return transports


def _make_transport(
    row: Service, main: Config, plugins: PluginManager, resolver: Resolver, log: MailLog
) -> Transport | None:
    config = main.for_service(row)
    registered = plugins.registered("transports")
    match row.command:
        case "smtp" | "lmtp":
            is_lmtp, tables = row.command == "lmtp", _tables(config, plugins, log.logger(row.command))
            return SmtpTransport(
                config, row.name, resolver=resolver, log=log, spool_directory=config.text("queue_directory"),
                is_lmtp=is_lmtp, generic=GenericMaps.of(config, tables, Rewriting(main), is_lmtp=is_lmtp),
            )  # fmt: skip
        case "error":
            return ErrorTransport(row.name)
        case "discard":
            return DiscardTransport(row.name)
        case command if command in registered:
            try:
                transport: Transport = registered[command](config, row.name)
            except ConfigError:
                raise
            except Exception as exc:
                raise ConfigError(f"transport {row.name}: {type(exc).__name__}: {exc}", line=row.line) from exc
            return TimedTransport(transport, config, row.name)
        case _:
            return None


def pickup_config(config: Config) -> Config:
    """The configuration as pickup sees it: with the ``-o`` settings of its row, where master.cf has one.

    Raises:
        ConfigError: an option of receive_override_options that there is not.
    """
    row = next((row for row in config.services if row.command == "pickup"), None)
    if row is not None and row.overrides:
        config = config.for_service(row)
    receive_options(config)
    return config


class _Loopback:
    """Where bounces go: the scheduler that asked for them. Set once both exist."""

    scheduler: Scheduler

    async def submit(self, envelope: Envelope, content: Content) -> None:
        """Store and schedule."""
        await self.scheduler.submit(envelope, content)


class SchedulerProcess:
    """Puts the parts together, and exchanges those that a reload changes."""

    def __init__(self, context: WorkerContext) -> None:
        config = context.config
        self._context = context
        self._directory = config.text("queue_directory")
        self._log = context.mail_log.logger("qmgr")
        self._ids = QueueIds(context.worker_number)
        self._loopback = _Loopback()
        self._retirements: set[asyncio.Task[None]] = set()
        self._is_over = asyncio.Event()
        self._policy = _Policy(context, config)
        self._store = Store.open(
            self._directory,
            commit_limit=config.integer("spool_commit_limit"),
            log=self._log,
            minimum_free_bytes=config.integer("queue_minfree"),
        )
        self._scheduler = self._loopback.scheduler = Scheduler(
            config,
            self._store,
            self._policy.transports,
            router=self._policy.router,
            log=context.mail_log,
            reporter=self._bouncer(config, self._policy),
            deliver_hook=self._policy.stage.judge if self._policy.stage.is_used else None,
            delivered_hook=self._policy.stage.delivered if self._policy.stage.is_observed else None,
        )
        self._service = SpoolService(
            self._store,
            os.path.join(self._directory, SOCKET_PATH),
            on_queued=self._scheduler.enqueue,
            log=self._log,
        )
        self._control = ControlServer(config, self._scheduler, self._store, log=self._log)
        self._pickup = self._make_pickup(config)

    def _bouncer(self, config: Config, policy: _Policy) -> Bouncer:
        mail_log = self._context.mail_log
        submitter = InternalMail(config, self._loopback, tables=policy.tables, log=mail_log)
        return Bouncer(config, submitter, self._ids.next, log=mail_log)

    def _make_pickup(self, config: Config) -> Pickup:
        main, config = config, pickup_config(config)
        cleanup = Cleanup(
            config,
            queue_chain=self._policy.plugins.chain("queue", config, self._policy.runtime),
            submitter=self._loopback,
            log=self._context.mail_log,
            open_sink=lambda queue_id: BodyWriter(self._directory, queue_id),
            mapped_by=cleanup_config(main, config),
            tables=self._policy.tables,
            reporter=self._bouncer(main, self._policy),
        )
        return Pickup(config, cleanup, self._ids.next, log=self._context.mail_log, submitter=self._loopback)

    async def run(self) -> None:
        """Serve until told to stop."""
        self._policy.runtime.watchdog.start()
        await self._service.start()
        await self._control.start()
        await self._pickup.start()
        self._context.on_reload(self._reload)
        running = asyncio.ensure_future(self._scheduler.run())
        self._context.ready()
        stopped = asyncio.ensure_future(self._context.stop.wait())
        await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        # Mail in first, then mail out, then the disk: what was acknowledged is in the store when it closes.
        await self._pickup.close()
        await self._service.close()
        self._scheduler.stop(max(self._context.drain_s - 1.0, 0.0))
        await running
        await self._control.close()
        self._is_over.set()
        await self._let_go(self._policy)
        if self._retirements:
            await asyncio.wait(self._retirements, timeout=_CLOSE_S)
        self._store.close()

    async def _reload(self, config: Config) -> None:
        policy = _Policy(self._context, config)
        self._scheduler.reload(config, policy.transports, policy.router, self._bouncer(config, policy))
        old, self._policy, stage = self._policy, policy, policy.stage
        self._scheduler.set_hooks(
            stage.judge if stage.is_used else None, stage.delivered if stage.is_observed else None
        )
        self._pickup.replace(self._make_pickup(config))
        self._policy.runtime.watchdog.start()
        task = asyncio.get_running_loop().create_task(self._retire(old))
        self._retirements.add(task)
        task.add_done_callback(self._retirements.discard)

    async def _retire(self, old: _Policy) -> None:
        """Let go of an old configuration's parts once nothing can use them any more."""
        await self._scheduler.retired(_RETIRE_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_over.wait(), _LINGER_S)
        await self._let_go(old)

    async def _let_go(self, policy: _Policy) -> None:
        """Close what a configuration used. A plugin's transport that fails or hangs keeps nothing else open."""
        policy.runtime.close()
        closing = (with_deadline(transport.close(), _CLOSE_S) for transport in policy.transports.values())
        for name, result in zip(policy.transports, await asyncio.gather(*closing, return_exceptions=True), strict=True):
            if isinstance(result, BaseException):
                self._log.warning(f"transport {name}: close: {type(result).__name__}: {result}")
        await policy.tables.close()
        await policy.resolver.close()


async def run(context: WorkerContext) -> None:
    """Run the scheduler process."""
    await SchedulerProcess(context).run()
