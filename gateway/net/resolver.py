"""DNS for the whole house: MX, addresses, NS, PTR and TXT, cached and with a deadline on every question.

Built on aiodns (c-ares): 79 µs CPU for an uncached MX answer against 262 µs for dnspython's asynchronous resolver, and
a name server on another port (``resolver_nameservers = 127.0.0.1:5300``) works. Answers are hostile: host names are
checked, the number of records and the size of the cache are bounded, an entry is never served beyond its TTL.

One question per name and type is in flight, whoever asks; a caller that goes away does not take the answer from the
others. Source: RFC 1035, RFC 5321 §5.1 (MX), RFC 7505 (null MX), RFC 2308 (negative answers). See also ``names``.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, Protocol, TypeVar

import aiodns
import msgspec

from gateway.model.errors import GatewayError
from gateway.net.names import ascii_name, is_host_name, literal_address, reverse_name

T = TypeVar("T")
Kind = Literal["A", "AAAA", "MX", "NS", "PTR", "TXT"]

QUERY_DEADLINE_S = 30.0  # all tries over all servers
QUERY_TRY_S = 5.0
QUERY_TRIES = 3
CACHE_ENTRIES = 20_000
TTL_LIMIT_S = 86_400
NEGATIVE_TTL_S = 5.0  # c-ares does not show the SOA of a negative answer; it keeps that TTL in a cache of its own
CHANNEL_QUERIES = 10_000  # c-ares's own cache has a TTL and no bound: a channel is replaced after that many questions
RECORDS_LIMIT = 64

_TYPES: dict[Kind, int] = {"A": 1, "AAAA": 28, "MX": 15, "NS": 2, "PTR": 12, "TXT": 16}
_FAMILIES: dict[str, tuple[Kind, socket.AddressFamily]] = {
    "ipv4": ("A", socket.AF_INET),
    "ipv6": ("AAAA", socket.AF_INET6),
}
_NOT_FOUND = {
    1: "Host found but no data record of requested type",  # ARES_ENODATA
    4: "Host not found",  # ARES_ENOTFOUND
    8: "Malformed name",  # ARES_EBADNAME
}
_UNUSABLE = "Malformed or unexpected name server reply"


class DnsError(GatewayError):
    """A question that has no usable answer.

    Args:
        name: what was asked for.
        kind: record type.
        reason: in the words of Postfix's log, e.g. ``Host not found, try again``.
    """

    def __init__(self, name: str, kind: str, reason: str) -> None:
        self.name, self.kind, self.reason = name, kind, reason
        super().__init__(f"Name service error for name={name} type={kind}: {reason}")


class DnsNotFound(DnsError):
    """There is no such name, or no such record: will not change by asking again soon."""


class NullMx(DnsNotFound):
    """The domain says that it takes no mail (RFC 7505)."""


class DnsTemporary(DnsError):
    """No answer, or none that makes sense: ask again later."""


class ResolverSettings(Protocol):
    """What the resolver reads from the configuration."""

    def words(self, name: str, /) -> tuple[str, ...]:
        """Values of a list parameter."""
        ...


class _Entry(msgspec.Struct, frozen=True, gc=False):
    expires: float
    answer: tuple[Any, ...]
    error: DnsError | None = None


class Resolver:
    """Ask DNS.

    Args:
        config: ``resolver_nameservers`` is read: ``address`` or ``address:port`` words; empty: the system's servers.
        clock: monotonic seconds.
        deadline_s: for one question, all tries included.
    """

    def __init__(
        self,
        config: ResolverSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        deadline_s: float = QUERY_DEADLINE_S,
    ) -> None:
        self._servers = config.words("resolver_nameservers")
        self._clock, self._deadline_s = clock, deadline_s
        self._cache: OrderedDict[tuple[str, Kind], _Entry] = OrderedDict()
        self._in_flight: dict[tuple[str, Kind], asyncio.Task[tuple[Any, ...]]] = {}
        self._channel: aiodns.DNSResolver | None = None
        self._channel_queries = 0
        self._retired: set[asyncio.Task[None]] = set()

    async def mx(self, domain: str) -> list[tuple[int, str]]:
        """Mail exchangers ``(preference, host)``, best first; equal preferences in the order of the answer.

        Raises:
            NullMx: the domain takes no mail (RFC 7505).
            DnsNotFound: no such domain, no MX record, or none with a valid host name.
            DnsTemporary: no answer now.
        """
        usable = [record for record in await self._ask(domain, "MX") if not literal_address(record[1])]
        if not usable:
            raise DnsNotFound(domain, "MX", _UNUSABLE)
        return usable

    async def addresses(
        self, host: str, families: Sequence[str] = ("ipv4", "ipv6"), *, is_native: bool = False
    ) -> list[str]:
        """IP addresses of a host, the first family's first. Address literals, bare or in brackets, are never looked up.

        Args:
            host: host name or literal.
            families: of ``ipv4``, ``ipv6``.
            is_native: ask the system (``/etc/hosts``, NSS) in a thread in place of DNS (``smtp_host_lookup = native``).

        Raises:
            DnsNotFound, DnsTemporary: neither family has an answer; temporary when any of them may have one later.
        """
        if literal := literal_address(host):
            return [literal]
        if is_native:
            return await self._native(host, families)
        kinds = [_FAMILIES[family][0] for family in families]
        if len(kinds) == 1:
            return list(await self._ask(host, kinds[0]))
        answers = await asyncio.gather(*(self._ask(host, kind) for kind in kinds), return_exceptions=True)
        found: list[str] = []
        errors: list[DnsError] = []
        for answer in answers:
            if isinstance(answer, DnsError):
                errors.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found += answer
        if not found:
            raise next((error for error in errors if isinstance(error, DnsTemporary)), errors[-1])
        return found

    async def ptr(self, address: str) -> str:
        """Host name of an IP address, not verified. Raises DnsNotFound, DnsTemporary."""
        name = reverse_name(address)
        if not name:
            raise DnsNotFound(address, "PTR", "Malformed name")
        first: str = (await self._ask(name, "PTR"))[0]
        return first

    async def txt(self, name: str) -> list[str]:
        """TXT records, strings of one record joined; octets that are no ASCII as ``surrogateescape``."""
        return list(await self._ask(name, "TXT"))

    async def lookup(self, name: str, kind: Kind) -> tuple[str, ...]:
        """The records of one type as text: addresses, host names (mail exchangers best first), or TXT as :meth:`txt`.

        Among mail exchangers, unlike in :meth:`mx`, are the addresses that some write in the place of a name.

        Raises:
            DnsNotFound: no such name, no such record, or none that makes sense; NullMx among them.
            DnsTemporary: no answer now.
        """
        answer = await self._ask(name, kind)
        return tuple(host for _, host in answer) if kind == "MX" else answer

    async def close(self) -> None:
        """Give up what is in flight and release the sockets."""
        for task in self._in_flight.values():
            task.cancel()
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
        for retired in list(self._retired):
            await retired

    async def _ask(self, name: str, kind: Kind) -> tuple[Any, ...]:
        name = ascii_name(name)
        if not is_host_name(name) and kind not in {"TXT", "PTR"}:
            raise DnsNotFound(name, kind, "Malformed name")
        key = (name, kind)
        entry = self._cache.get(key)
        if entry is not None and entry.expires > self._clock():
            self._cache.move_to_end(key)
            return _result(entry)
        task = self._in_flight.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fetch(key))
            self._in_flight[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    def _landed(self, key: tuple[str, Kind], task: asyncio.Task[tuple[Any, ...]]) -> None:
        del self._in_flight[key]
        if not task.cancelled():
            task.exception()  # callers may all be gone

    async def _fetch(self, key: tuple[str, Kind]) -> tuple[Any, ...]:
        name, kind = key
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await self._query(name, kind)
        except aiodns.error.DNSError as exc:
            reason = _NOT_FOUND.get(exc.args[0])
            if reason is None:
                raise DnsTemporary(name, kind, "Host not found, try again") from exc
            return self._keep(key, NEGATIVE_TTL_S, (), DnsNotFound(name, kind, reason))
        except TimeoutError as exc:
            raise DnsTemporary(name, kind, "Host not found, try again") from exc
        records = [record for record in answer.answer if record.type == _TYPES[kind]]
        ttl = min((record.ttl for record in answer.answer), default=0)
        try:
            if not records:
                raise DnsNotFound(name, kind, _NOT_FOUND[1])
            values = _READ[kind](name, [record.data for record in records])
        except DnsNotFound as exc:
            return self._keep(key, min(ttl, NEGATIVE_TTL_S), (), exc)
        return self._keep(key, min(ttl, TTL_LIMIT_S), tuple(values), None)

    async def _query(self, name: str, kind: Kind) -> Any:
        if self._channel is None or self._channel_queries >= CHANNEL_QUERIES:
            if self._channel is not None:
                self._retire(self._channel)
            servers = list(self._servers) or None
            self._channel = aiodns.DNSResolver(servers, timeout=QUERY_TRY_S, tries=QUERY_TRIES)
            self._channel_queries = 0
        self._channel_queries += 1
        return await self._channel.query_dns(name, kind)

    def _retire(self, channel: aiodns.DNSResolver) -> None:
        """Close a channel when the questions that are still on it have had their time."""

        async def close_later() -> None:
            waiting = list(self._in_flight.values())
            if waiting:
                await asyncio.wait(waiting, timeout=self._deadline_s)
            await channel.close()

        task = asyncio.get_running_loop().create_task(close_later())
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    def _keep(
        self, key: tuple[str, Kind], ttl: float, answer: tuple[Any, ...], error: DnsError | None
    ) -> tuple[Any, ...]:
        entry = _Entry(self._clock() + ttl, answer, error)
        if ttl > 0:
            self._cache[key] = entry
            self._cache.move_to_end(key)
            if len(self._cache) > CACHE_ENTRIES:
                self._cache.popitem(last=False)
        return _result(entry)

    async def _native(self, host: str, families: Sequence[str]) -> list[str]:
        loop = asyncio.get_running_loop()
        family = _FAMILIES[families[0]][1] if len(families) == 1 else socket.AF_UNSPEC
        lookup: Coroutine[Any, Any, list[Any]] = loop.getaddrinfo(host, None, family=family, type=socket.SOCK_STREAM)
        try:
            infos = await asyncio.wait_for(lookup, self._deadline_s)
        except socket.gaierror as exc:
            if exc.errno in {socket.EAI_NONAME, socket.EAI_NODATA}:
                raise DnsNotFound(host, "A", "Host not found") from exc
            raise DnsTemporary(host, "A", "Host not found, try again") from exc
        except (TimeoutError, OSError, UnicodeError) as exc:
            raise DnsTemporary(host, "A", "Host not found, try again") from exc
        wanted = [_FAMILIES[name][1] for name in families]
        found = [(wanted.index(info[0]), info[4][0]) for info in infos if info[0] in wanted]
        return [address for _, address in sorted(dict.fromkeys(found), key=lambda pair: pair[0])][:RECORDS_LIMIT]


def _result(entry: _Entry) -> tuple[Any, ...]:
    if entry.error is not None:
        # A fresh one for every caller: a shared exception would collect tracebacks for as long as it is cached.
        error = entry.error
        raise type(error)(error.name, error.kind, error.reason)
    return entry.answer


def _read_mx(name: str, data: list[Any]) -> list[tuple[int, str]]:
    if len(data) == 1 and not data[0].exchange.rstrip("."):
        raise NullMx(name, "MX", f"Domain {name} does not accept mail (nullMX)")
    hosts = [(record.priority, record.exchange.rstrip(".").lower()) for record in data]
    # A bare address is no exchanger (RFC 5321 §5.1) for us; for Postfix it is one, and policy has to see it.
    valid = sorted(
        (pair for pair in hosts if is_host_name(pair[1]) or literal_address(pair[1])), key=lambda pair: pair[0]
    )
    if not valid:
        raise DnsNotFound(name, "MX", _UNUSABLE)
    return valid[:RECORDS_LIMIT]


def _read_addresses(_name: str, data: list[Any]) -> list[str]:
    return [record.addr for record in data[:RECORDS_LIMIT]]


def _read_ptr(name: str, data: list[Any]) -> list[str]:
    valid = [host for record in data if is_host_name(host := record.dname.rstrip(".").lower())]
    if not valid:
        raise DnsNotFound(name, "PTR", _UNUSABLE)
    return valid[:1]


def _read_ns(name: str, data: list[Any]) -> list[str]:
    valid = [host for record in data if is_host_name(host := record.nsdname.rstrip(".").lower())]
    if not valid:
        raise DnsNotFound(name, "NS", _UNUSABLE)
    return valid[:RECORDS_LIMIT]


def _read_txt(_name: str, data: list[Any]) -> list[str]:
    return [record.data.decode("ascii", "surrogateescape") for record in data[:RECORDS_LIMIT]]


_READ: dict[Kind, Callable[[str, list[Any]], list[Any]]] = {
    "MX": _read_mx,
    "A": _read_addresses,
    "AAAA": _read_addresses,
    "NS": _read_ns,
    "PTR": _read_ptr,
    "TXT": _read_txt,
}
