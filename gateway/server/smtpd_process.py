"""The smtpd worker process: every ``smtpd`` listener of master.cf, on its own SO_REUSEPORT sockets."""

from __future__ import annotations

import asyncio
import os

from gateway.cleanup.collector import BodySink
from gateway.hooks.manager import PluginManager
from gateway.net.resolver import Resolver
from gateway.net.worker import WorkerContext
from gateway.server.builder import ServiceBuilder
from gateway.server.registry import SessionRegistry
from gateway.server.smtpd import serve
from gateway.spool.body import BodyWriter
from gateway.spool.client import SpoolClient
from gateway.spool.queue_id import QueueIds
from gateway.spool.service import SOCKET_PATH


async def run(context: WorkerContext) -> None:
    """Serve until told to stop. Role entry point of ``gateway.master.roles``."""
    config = context.config
    directory = config.text("queue_directory")
    spool = SpoolClient(os.path.join(directory, SOCKET_PATH), log=context.mail_log.logger("smtpd"))

    def open_sink(queue_id: str) -> BodySink:
        return BodyWriter(directory, queue_id)

    builder = ServiceBuilder(
        config,
        PluginManager(config.words("plugins")),
        submitter=spool,
        open_sink=open_sink,
        next_queue_id=QueueIds(context.worker_number).next,
        mail_log=context.mail_log,
        counters=context.counters,
        resolver=Resolver(config),
    )
    services = [(listener.socket, builder.build(listener.service)) for listener in context.listeners]
    builder.runtime.watchdog.start()
    registry = SessionRegistry(config.integer("smtpd_session_limit"))
    servers: list[asyncio.Server] = [await serve(sock, service, registry) for sock, service in services]
    context.ready()
    await context.stop.wait()
    for server in servers:
        server.close()
    await registry.finish(context.drain_s)
    await spool.close()
    builder.runtime.close()
