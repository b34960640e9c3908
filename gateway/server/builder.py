"""Builds smtpd services from a configuration: the one place where policy, plugins, cleanup and spool are joined."""

from __future__ import annotations

from collections.abc import Callable
from time import time

from gateway.cleanup import Cleanup, InternalMail, Submitter, cleanup_config
from gateway.cleanup.collector import BodySink
from gateway.config import Config, Service
from gateway.hooks.chain import Runtime
from gateway.hooks.manager import PluginManager
from gateway.maps import Tables
from gateway.maps.match_list import NetworkList
from gateway.net.resolver import Resolver
from gateway.net.worker import smtpd_workers
from gateway.observe import Counters, MailLog
from gateway.restrictions.engine import RestrictionEngine
from gateway.server.limits import ClientLimits
from gateway.server.local_clients import LocalClients
from gateway.server.service import SmtpdService
from gateway.server.settings import session_settings
from gateway.transport.bounce import Bouncer


class ServiceBuilder:
    """What the services of one process have in common.

    Args:
        config: checked configuration, without ``-o`` overrides.
        plugins: loaded plugins; they are configured here.
        submitter: where finished messages go.
        open_sink: file for a large body, by queue ID.
        next_queue_id: makes queue IDs from a time.
        mail_log, counters: where to report.
        resolver: DNS.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        config: Config,
        plugins: PluginManager,
        *,
        submitter: Submitter,
        open_sink: Callable[[str], BodySink],
        next_queue_id: Callable[[float], str],
        mail_log: MailLog,
        counters: Counters,
        resolver: Resolver,
        clock: Callable[[], float] = time,
    ) -> None:
        plugins.configure(config)
        self._config, self._plugins, self._submitter, self._open_sink = config, plugins, submitter, open_sink
        self._next_queue_id, self._mail_log, self._counters, self._clock = next_queue_id, mail_log, counters, clock
        self._resolver = resolver
        self._types = plugins.registered("lookup_tables")
        self._restrictions = plugins.registered("restrictions")
        self._limits = ClientLimits(config, workers=smtpd_workers(config))
        self.runtime = Runtime(mail_log.logger("smtpd"), counters, threads=config.integer("plugin_threads"))

    def build(self, row: Service) -> SmtpdService:
        """Compile one row of master.cf.

        Raises:
            ConfigError: restriction lists, tables or networks are wrong.
        """
        config = self._config.for_service(row)
        mapped_by = cleanup_config(self._config, config)
        tables = Tables(config, types=self._types)
        tables.on_warning = self._mail_log.logger("smtpd").warning
        tables.on_info = self._mail_log.logger("smtpd").info

        def network(parameter: str) -> NetworkList:
            return NetworkList(config.text(parameter), tables, parameter=parameter)

        return SmtpdService(
            row.name,
            config,
            plugins=self._plugins,
            runtime=self.runtime,
            engine=RestrictionEngine(config, tables, self._resolver, self._restrictions),
            cleanup=Cleanup(
                config,
                queue_chain=self._plugins.chain("queue", config, self.runtime),
                submitter=self._submitter,
                log=self._mail_log,
                open_sink=self._open_sink,
                mapped_by=mapped_by,
                tables=tables,
                reporter=self._reporter(tables) if mapped_by.words("virtual_alias_maps") else None,
                clock=self._clock,
            ),
            open_sink=self._open_sink,
            next_queue_id=self._next_queue_id,
            resolver=self._resolver,
            limits=self._limits,
            xclient_hosts=network("smtpd_authorized_xclient_hosts"),
            xforward_hosts=network("smtpd_authorized_xforward_hosts"),
            trusted_clients=network("smtpd_client_event_limit_exceptions"),
            local_clients=LocalClients(config, tables),
            settings=session_settings(config),
            log=self._mail_log.logger("smtpd", syslog_name=config.text("syslog_name")),
            counters=self._counters,
            clock=self._clock,
        )

    def _reporter(self, tables: Tables) -> Bouncer:
        """Who reports the expansion of virtual aliases."""
        submitter = InternalMail(self._config, self._submitter, tables=tables, log=self._mail_log)
        return Bouncer(self._config, submitter, self._next_queue_id, log=self._mail_log, clock=self._clock)
