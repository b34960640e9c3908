"""The role that judges a configuration: everything the workers would build is built, nothing is served.

It runs with the rights of mail_owner, so that what only root could read is found before a worker fails on it.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.config import Config
from gateway.hooks.manager import PluginManager
from gateway.maps import Tables
from gateway.master.roles import LISTENING_COMMANDS
from gateway.master.scheduler_role import make_transports
from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import ConfigError, SpoolUnavailable
from gateway.net.resolver import Resolver
from gateway.net.worker import WorkerContext
from gateway.observe import Counters, MailLog
from gateway.scheduler import Router
from gateway.server.builder import ServiceBuilder
from gateway.spool.body import BodyWriter


class _Nowhere:
    """A spool that takes nothing: no message comes to a check."""

    async def submit(self, envelope: Envelope, content: Content) -> None:
        """Refuse."""
        raise SpoolUnavailable("this is only a check")


async def run(context: WorkerContext) -> None:
    """Judge, say ready, and end.

    Raises:
        ConfigError: what is wrong.
    """
    if found := problems(context.config, context.mail_log):
        raise ConfigError("; ".join(found))
    context.ready()


def problems(config: Config, mail_log: MailLog) -> list[str]:
    """Build services, router and transports of a checked configuration; returns every problem, one line each.

    Needs a running event loop: DNS and plugins may want one.
    """
    found: list[str] = []

    def attempt(what: Callable[[], object]) -> None:
        try:
            what()
        except ConfigError as exc:
            found.append(str(exc))

    try:
        plugins = PluginManager(config.words("plugins"))
        resolver = Resolver(config)
        builder = ServiceBuilder(
            config,
            plugins,
            submitter=_Nowhere(),
            open_sink=lambda queue_id: BodyWriter(config.text("queue_directory"), queue_id),
            next_queue_id=str,
            mail_log=mail_log,
            counters=Counters(),
            resolver=resolver,
        )
        types, transports = plugins.registered("lookup_tables"), plugins.registered("transports")
    except ConfigError as exc:
        return [str(exc)]
    for row in config.services:
        if row.type == "inet" and row.command in LISTENING_COMMANDS:
            attempt(lambda row=row: builder.build(row))  # type: ignore[misc]  # the row of this turn
    attempt(lambda: Router(config, Tables(config, types=types)))
    attempt(lambda: make_transports(config, transports, resolver, mail_log))
    builder.runtime.close()
    # Two rows may have the same fault.
    return list(dict.fromkeys(found))
