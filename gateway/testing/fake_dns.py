"""DNS from a dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.net.names import reverse_name
from gateway.net.resolver import DnsNotFound, DnsTemporary, Kind


class FakeDns:
    """Stands in for ``gateway.net.resolver.Resolver``.

    Args:
        hosts: name → addresses. mail_exchangers: domain → [(preference, host)]. pointers: address → name.
        texts: name → TXT strings. name_servers: domain → hosts.
        failing: names and addresses that give a temporary error.
    """

    def __init__(
        self,
        *,
        hosts: Mapping[str, Sequence[str]] | None = None,
        mail_exchangers: Mapping[str, Sequence[tuple[int, str]]] | None = None,
        pointers: Mapping[str, str] | None = None,
        texts: Mapping[str, Sequence[str]] | None = None,
        name_servers: Mapping[str, Sequence[str]] | None = None,
        failing: Sequence[str] = (),
    ) -> None:
        self.hosts, self.mail_exchangers = dict(hosts or {}), dict(mail_exchangers or {})
        self.pointers, self.texts = dict(pointers or {}), dict(texts or {})
        self.name_servers = dict(name_servers or {})
        self.failing = set(failing)

    def _check(self, name: str, kind: str) -> None:
        if name in self.failing:
            raise DnsTemporary(name, kind, "Host not found, try again")

    async def addresses(
        self, host: str, families: Sequence[str] = ("ipv4", "ipv6"), *, is_native: bool = False
    ) -> list[str]:
        """A and AAAA records."""
        self._check(host, "A")
        found = [a for a in self.hosts.get(host, ()) if ("ipv6" if ":" in a else "ipv4") in families]
        if not found:
            raise DnsNotFound(host, "A", "Host not found")
        return found

    async def mx(self, domain: str) -> list[tuple[int, str]]:
        """MX records, best first."""
        self._check(domain, "MX")
        if domain not in self.mail_exchangers:
            raise DnsNotFound(domain, "MX", "Host not found")
        return sorted(self.mail_exchangers[domain])

    async def ptr(self, address: str) -> str:
        """The name of an address."""
        self._check(address, "PTR")
        if address not in self.pointers:
            raise DnsNotFound(address, "PTR", "Host not found")
        return self.pointers[address]

    async def txt(self, name: str) -> list[str]:
        """TXT records."""
        self._check(name, "TXT")
        if name not in self.texts:
            raise DnsNotFound(name, "TXT", "Host not found")
        return list(self.texts[name])

    async def lookup(self, name: str, kind: Kind) -> tuple[str, ...]:
        """Records of one type as text; mail exchangers best first. PTR takes the reversed name."""
        match kind:
            case "A" | "AAAA":
                return tuple(await self.addresses(name, ("ipv4" if kind == "A" else "ipv6",)))
            case "MX":
                return tuple(host for _, host in await self.mx(name))
            case "TXT":
                return tuple(await self.txt(name))
            case "PTR":
                found = [host for address, host in self.pointers.items() if reverse_name(address) == name]
            case "NS":
                found = list(self.name_servers.get(name, ()))
        self._check(name, kind)
        if not found:
            raise DnsNotFound(name, kind, "Host not found")
        return tuple(found)
