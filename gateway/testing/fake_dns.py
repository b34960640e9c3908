"""DNS from a dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.net.resolver import DnsNotFound, DnsTemporary


class FakeDns:
    """Stands in for ``gateway.net.resolver.Resolver``.

    Args:
        hosts: name → addresses. mail_exchangers: domain → [(preference, host)]. pointers: address → name.
        texts: name → TXT strings. failing: names and addresses that give a temporary error.
    """

    def __init__(
        self,
        *,
        hosts: Mapping[str, Sequence[str]] | None = None,
        mail_exchangers: Mapping[str, Sequence[tuple[int, str]]] | None = None,
        pointers: Mapping[str, str] | None = None,
        texts: Mapping[str, Sequence[str]] | None = None,
        failing: Sequence[str] = (),
    ) -> None:
        self.hosts, self.mail_exchangers = dict(hosts or {}), dict(mail_exchangers or {})
        self.pointers, self.texts = dict(pointers or {}), dict(texts or {})
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
