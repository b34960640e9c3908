"""The servers that tables with the same access ask: one shared connection, fail-over, one repetition, referrals.

Source: ``server_host``, ``chase_referrals`` of ldap_table(5); RFC 4511 sections 4.1.10 and 4.5.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

import msgspec

from gateway.config import Config
from gateway.maps.ldap.connection import Found, LdapConnection, Lost, Referred, Refused
from gateway.maps.ldap.expansion import Entry, Search
from gateway.maps.ldap.opening import open_connection
from gateway.maps.ldap.settings import Access, Bind
from gateway.maps.ldap.text import LdapUrl, parse_ldap_url

SEARCHES_LIMIT = 64
"""At a time over one connection; slapd takes 100 of an anonymous client."""
WAITING_LIMIT = 1000
"""Searches that may wait for their turn; more are refused at once."""
AVOIDED_S = 30.0
"""How long a server that did not answer is asked last."""
HOPS_LIMIT = 5
"""Referrals one after the other, as with libldap."""
REFERRED_LIMIT = 8
"""Connections kept to servers that referrals lead to."""
_UNAVAILABLE = frozenset({51, 52})
"""busy, unavailable: another server may do better."""


class LdapDirectory:
    """What is behind ``server_host``.

    Args:
        access: servers and identity.
        clock: monotonic seconds.
    """

    def __init__(self, access: Access, clock: Callable[[], float]) -> None:
        self._access, self._clock = access, clock
        self._users = 0
        self._avoided: dict[LdapUrl, float] = {}
        self._referred: dict[LdapUrl, LdapDirectory] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: tuple[LdapUrl, LdapConnection] | None = None
        self._connecting: asyncio.Task[tuple[LdapUrl, LdapConnection]] | None = None
        self._turns = asyncio.Semaphore(SEARCHES_LIMIT)
        self._asked = 0

    def join(self) -> None:
        """One more table asks here."""
        self._users += 1

    def leave(self) -> None:
        """One table less; the last one closes the connection."""
        self._users -= 1
        if self._users <= 0:
            self.close()

    def close(self) -> None:
        """Close all connections; a later search opens them again, on whatever loop it runs."""
        if self._connecting is not None and self._loop is asyncio.get_running_loop():
            self._connecting.cancel()
        if self._connection is not None:
            self._connection[1].close()
        for referred in self._referred.values():
            referred.close()
        self._referred.clear()
        self._loop = self._connection = self._connecting = None
        self._turns = asyncio.Semaphore(SEARCHES_LIMIT)
        self._asked = 0

    async def search(self, search: Search, size_limit: int, *, chases: bool, hops: int = 0) -> list[Entry] | None:
        """Run one search, a second time when the connection broke.

        Args:
            size_limit: entries; 0: as many as the server gives. chases: follow referrals. hops: followed so far.

        Returns:
            The entries; None: there is no such base.

        Raises:
            Refused, Lost, TimeoutError: no answer now.
        """
        if self._loop is not asyncio.get_running_loop():
            self.close()
            self._loop = asyncio.get_running_loop()
        if self._asked >= SEARCHES_LIMIT + WAITING_LIMIT:
            raise Lost(f"{self._asked} searches are waiting already")
        self._asked += 1
        try:
            found = await self._found(search, size_limit)
        except Referred as error:
            if not chases:
                raise
            return await self._follow([error.url], search, size_limit, hops)
        finally:
            self._asked -= 1
        if chases and found.entries is not None:
            for urls in found.referrals:
                found.entries.extend(await self._follow(urls, search, size_limit, hops) or ())
        return found.entries

    async def _found(self, search: Search, size_limit: int) -> Found:
        """Search over the shared connection; over a new one, once, when that breaks."""
        lost = Lost("the connection was closed")
        for _ in range(2):
            # Before waiting for a turn: when nobody answers, all who wait learn it from one attempt to connect.
            server, connection = await self._connected()
            async with self._turns:
                try:
                    return await connection.search(search, self._access.timeout_s, size_limit)
                except Lost as error:
                    lost = error
                except TimeoutError:
                    if not connection.is_open:
                        self._avoid(server)
                    raise
                except Refused as error:
                    if error.code in _UNAVAILABLE:
                        self._avoid(server)
                        connection.close()
                    raise
        raise lost

    # connecting

    def _avoid(self, server: LdapUrl) -> None:
        self._avoided[server] = self._clock() + AVOIDED_S

    async def _connected(self) -> tuple[LdapUrl, LdapConnection]:
        if self._connection is not None and self._connection[1].is_open:
            return self._connection
        if self._connecting is None:
            # One attempt for all who wait, whoever of them gives up.
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add_done_callback(self._made)
        return await asyncio.shield(self._connecting)

    def _made(self, task: asyncio.Task[tuple[LdapUrl, LdapConnection]]) -> None:
        is_wanted = task is self._connecting
        if is_wanted:
            self._connecting = None
        if task.cancelled() or task.exception() is not None:
            return
        if is_wanted:
            self._connection = task.result()
        else:
            task.result()[1].close()

    async def _connect(self) -> tuple[LdapUrl, LdapConnection]:
        """The first server that takes us, in the configured order; those that failed lately last."""
        now = self._clock()
        failures: list[str] = []
        for server in sorted(self._access.servers, key=lambda server: self._avoided.get(server, now) > now):
            try:
                connection = await open_connection(server, self._access)
            except Lost as error:
                self._avoid(server)
                failures.append(str(error))
            except Refused as error:
                if error.code not in _UNAVAILABLE:
                    raise
                self._avoid(server)
                failures.append(str(error))
            else:
                self._avoided.pop(server, None)
                return server, connection
        raise Lost("; ".join(failures))

    # referrals

    async def _follow(self, urls: list[str], search: Search, size_limit: int, hops: int) -> list[Entry] | None:
        """Ask the first server of ``urls`` that answers."""
        if hops >= HOPS_LIMIT:
            raise Lost(f"more than {HOPS_LIMIT} referrals in a row")
        failures: list[str] = []
        for text in urls:
            try:
                url = parse_ldap_url(text)
            except ValueError as error:
                failures.append(f'referral to "{text}": {error}')
                continue
            there = Search(
                url.base or search.base,
                search.scope if url.scope is None else url.scope,
                url.filter or search.filter,
                search.attributes,
            )
            try:
                return await self._referral(url).search(there, size_limit, chases=True, hops=hops + 1)
            except (Lost, Refused, TimeoutError) as error:
                failures.append(str(error))
        raise Lost("; ".join(failures) or "a referral that leads nowhere")

    def _referral(self, url: LdapUrl) -> LdapDirectory:
        """Who answers for the server of a referral: never told our password, unless it is one of ``server_host``."""
        server = LdapUrl(url.scheme, url.host, url.port)
        if server in self._access.servers:
            return self
        if server not in self._referred:
            while len(self._referred) >= REFERRED_LIMIT:
                self._referred.pop(next(iter(self._referred))).close()
            stranger = msgspec.structs.replace(
                self._access, servers=(server,), bind=Bind.SIMPLE, bind_dn="", bind_password=""
            )
            self._referred[server] = LdapDirectory(stranger, self._clock)
        return self._referred[server]


_SHARED: WeakKeyDictionary[Config, dict[Access, LdapDirectory]] = WeakKeyDictionary()


def shared_directory(access: Access, config: Config, clock: Callable[[], float]) -> LdapDirectory:
    """The directory of all tables of one configuration that have the same access; :meth:`LdapDirectory.join` it."""
    ours = _SHARED.setdefault(config, {})
    if access not in ours:
        ours[access] = LdapDirectory(access, clock)
    return ours[access]
