"""The ``smtp`` and ``lmtp`` transports: deliver over the network.

Owns the order of tries: an idle connection to the next hop; else the addresses of each destination, best first, until
every recipient has a final result or ``smtp_mx_address_limit`` and ``smtp_mx_session_limit`` are used up; then
``smtp_fallback_relay``. Source: RFC 5321 §4.5.4, §5.1; smtp(8).
"""

from __future__ import annotations

import asyncio

from gateway.config import Config
from gateway.model.delivery import DeliveryReport, DeliveryRequest
from gateway.model.errors import ConfigError, TableError
from gateway.net.resolver import Resolver
from gateway.observe import MailLog
from gateway.transport.attempt import Attempt
from gateway.transport.connection import SmtpConnection
from gateway.transport.endpoint import Endpoint
from gateway.transport.generic import GenericMaps
from gateway.transport.handshake import NoSession, open_session
from gateway.transport.nexthop import Destination, parse_nexthop
from gateway.transport.pool import ConnectionPool
from gateway.transport.results import deferred
from gateway.transport.routes import NoRoute, Routes
from gateway.transport.settings import ClientSettings
from gateway.transport.transaction import Transaction

PARSED_NEXTHOPS_LIMIT = 10_000


class SmtpTransport:
    """Delivers over SMTP, or LMTP.

    Args:
        config: of the master.cf service, its overrides applied.
        name: master.cf service name, for log lines.
        resolver: DNS.
        log: where connection failures go.
        spool_directory: what :attr:`BodyFile.path` is relative to.
        is_lmtp: speak LMTP, and read ``lmtp_*`` in place of ``smtp_*`` parameters.
        generic: smtp_generic_maps; None costs nothing.

    Raises:
        ConfigError: a parameter that no delivery could work with.
    """

    def __init__(
        self,
        config: Config,
        name: str,
        *,
        resolver: Resolver,
        log: MailLog,
        spool_directory: str,
        is_lmtp: bool = False,
        generic: GenericMaps | None = None,
    ) -> None:
        self.name, self.is_lmtp, self._generic = name, is_lmtp, generic
        self._resolver, self._spool_directory = resolver, spool_directory
        self._log = log.logger("lmtp" if is_lmtp else "smtp", syslog_name=config.text("syslog_name"))
        self._active: set[SmtpConnection] = set()
        self._configure(config)

    def _configure(self, config: Config) -> None:
        self._settings = settings = ClientSettings.read(config, is_lmtp=self.is_lmtp)
        self._routes = Routes(self._resolver, settings)
        self._pool = ConnectionPool(settings)
        self._parsed: dict[str, tuple[Destination, ...]] = {}
        self._fallback = self._parse(settings.fallback_relay) if settings.fallback_relay else ()

    async def deliver(self, request: DeliveryRequest) -> DeliveryReport:
        """Try once, over an idle connection if there is one. See :class:`gateway.transport.base.Transport`."""
        clock = asyncio.get_running_loop().time
        started = clock()
        if self._generic is not None:
            try:
                request = await self._generic.applied(request)
            except TableError as exc:
                status = deferred("4.3.0", f"cannot map addresses: {exc}")
                return DeliveryReport([status] * len(request.recipients))
        attempt = Attempt(request)
        used: Endpoint | None = None
        transfer_s = 0.0
        connection = self._pool.take(request.nexthop)
        if connection is not None:
            was_answered = await self._converse(attempt, connection)
            transfer_s = clock() - started
            if not attempt.pending:
                return attempt.report(0.0, transfer_s)
            # One that went away while it was idle says nothing about the next hop: that is tried as if never met.
            used = connection.endpoint if was_answered else None
        transfer_s += await self._try_all(attempt, used)
        return attempt.report(clock() - started - transfer_s, transfer_s)

    def reload(self, config: Config) -> None:
        """Use new settings; idle connections are closed, those in use end with their message."""
        self._pool.close()
        self._configure(config)

    async def close(self) -> None:
        """Leave all servers. Requests under way end as deferred."""
        self._pool.close()
        for connection in list(self._active):
            connection.abort()
        if self._generic is not None:
            await self._generic.close()

    async def _converse(self, attempt: Attempt, connection: SmtpConnection) -> bool:
        """One transaction; False when the server did not say a word, so that nothing is known."""
        pool, key = self._pool, attempt.request.nexthop
        transaction = Transaction(attempt, connection, self._settings, self._spool_directory)
        self._active.add(connection)
        try:
            await transaction.run()
        except BaseException:
            connection.abort()  # cancelled or a bug: its state is anybody's guess
            raise
        finally:
            self._active.discard(connection)
        if pool is self._pool:
            pool.put(key, connection)
        else:
            connection.leave()  # the settings have changed meanwhile
        return transaction.was_answered

    async def _try_all(self, attempt: Attempt, used: Endpoint | None) -> float:
        """Try the destinations of the next hop, then the fallback relays; seconds spent in transactions."""
        try:
            destinations = [*self._parse(attempt.request.nexthop), *self._fallback]
        except ConfigError as exc:
            attempt.settle_all(attempt.pending, deferred("4.3.5", f"bad next hop: {exc}"))
            return 0.0
        transfer_s = 0.0
        for destination in destinations:
            try:
                route = await self._routes.find(destination)
                may_fall_back = route.may_fall_back
                transfer_s += await self._try_endpoints(attempt, route.endpoints, used)
            except NoRoute as exc:
                attempt.settle_rest(exc.status, is_last=destination is destinations[-1] or not exc.may_fall_back)
                may_fall_back = exc.may_fall_back
            if not attempt.pending or not may_fall_back:
                break
        return transfer_s

    async def _try_endpoints(self, attempt: Attempt, endpoints: list[Endpoint], used: Endpoint | None) -> float:
        settings, clock = self._settings, asyncio.get_running_loop().time
        sessions = 0
        transfer_s = 0.0
        for endpoint in endpoints:
            if used is not None and endpoint.address == used.address and endpoint.port == used.port:
                sessions += 1  # its answers are in already
            else:
                try:
                    connection = await open_session(endpoint, settings)
                except NoSession as exc:
                    self._note_failure(attempt, exc)
                    sessions += exc.was_connected
                else:
                    sessions += 1
                    started = clock()
                    await self._converse(attempt, connection)
                    transfer_s += clock() - started
            if not attempt.pending or 0 < settings.mx_session_limit <= sessions:
                break
        return transfer_s

    def _note_failure(self, attempt: Attempt, failure: NoSession) -> None:
        text = failure.status.text
        self._log.info(f"{attempt.request.envelope.queue_id}: {text}" if failure.was_connected else text)
        attempt.site_failure = text
        attempt.settle_all(attempt.pending, failure.status)

    def _parse(self, nexthop: str) -> tuple[Destination, ...]:
        destinations = self._parsed.get(nexthop)
        if destinations is None:
            destinations = parse_nexthop(nexthop, default_port=self._settings.port, is_lmtp=self.is_lmtp)
            if len(self._parsed) >= PARSED_NEXTHOPS_LIMIT:
                self._parsed.clear()
            self._parsed[nexthop] = destinations
        return destinations
