"""The role that judges a configuration: everything the workers would build is built, nothing is served.

It runs with the rights of mail_owner, so that what only root could read is found before a worker fails on it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

from gateway.config import Config, Service
from gateway.hooks.manager import PluginManager
from gateway.maps import Tables
from gateway.master.roles import LISTENING_COMMANDS
from gateway.master.scheduler_role import make_transports, pickup_config
from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import ConfigError, SpoolUnavailable
from gateway.net.resolver import Resolver
from gateway.net.worker import WorkerContext
from gateway.observe import Counters, MailLog
from gateway.scheduler import Router
from gateway.server.builder import ServiceBuilder
from gateway.spool.body import BodyWriter
from gateway.transport.bounce_text import notice_texts

_INSIDE = """anvil bounce cleanup discard dnsblog error flush lmtp nqmgr oqmgr pickup postlogd proxymap qmgr scache
    showq smtp tlsmgr tlsproxy trivial-rewrite verify"""
INSIDE = frozenset(_INSIDE.split())
"""Commands of unix rows whose work is done inside other processes here, or is no work here at all."""


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
        raise ConfigError("; ".join(str(problem) for problem in found))
    context.ready()


def unserved(config: Config, transports: Container[str]) -> Iterator[tuple[Service, str]]:
    """Rows of master.cf that nothing serves, each with what that means.

    Args:
        config: checked.
        transports: commands that plugins registered.
    """
    for row in config.services:
        is_listening = row.type == "inet"
        if row.command in (LISTENING_COMMANDS if is_listening else (*INSIDE, *LISTENING_COMMANDS)):
            continue
        if is_listening:
            yield row, f"{row.command} is not available: nothing listens here"
        elif row.command not in transports:
            yield row, f"{row.command} is not available: nothing serves this, and mail routed to it is deferred"


def lost_filters(config: Config) -> Iterator[tuple[Service, str]]:
    """Rows whose ``content_filter`` names a transport that master.cf does not have, each with what that means.

    Args:
        config: checked.
    """
    transports = {row.name for row in config.services if row.type != "inet"}
    for row in config.services:
        if row.command == "pickup" or (row.type == "inet" and row.command in LISTENING_COMMANDS):
            transport = config.scoped(row.overrides).text("content_filter").partition(":")[0].strip()
            if transport and transport not in transports:
                yield row, f"content_filter: there is no {transport} in master.cf, and mail for it is deferred"


def problems(config: Config, mail_log: MailLog) -> list[ConfigError]:
    """Build services, router and transports of a checked configuration; returns every problem.

    Needs a running event loop: DNS and plugins may want one.
    """
    found: list[ConfigError] = []

    def attempt(what: Callable[[], object]) -> None:
        try:
            what()
        except ConfigError as exc:
            found.append(exc)

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
        types = plugins.registered("lookup_tables")
    except ConfigError as exc:
        return [exc]
    for row in config.services:
        if row.type == "inet" and row.command in LISTENING_COMMANDS:
            attempt(lambda row=row: builder.build(row))  # type: ignore[misc]  # the row of this turn
    attempt(lambda: pickup_config(config))
    attempt(lambda: Router(config, Tables(config, types=types)))
    attempt(lambda: make_transports(config, plugins, resolver, mail_log))
    attempt(lambda: notice_texts(config, mail_log.logger("bounce").warning))
    builder.runtime.close()
    # Two rows may have the same fault.
    return list({str(problem): problem for problem in found}.values())
