"""Names that the administrator wrote into /etc/hosts; they come before DNS. Source: hosts(5)."""

from __future__ import annotations

import ipaddress

from gateway.net.names import is_host_name


class HostsFile:
    """Address to canonical name (the first of its line, the first line wins), read once.

    Args:
        path: a missing or unreadable file is an empty one.
    """

    def __init__(self, path: str = "/etc/hosts") -> None:
        self._names: dict[str, str] = {}
        try:
            with open(path, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    self._add(line.partition("#")[0].split())
        except OSError:
            return

    def _add(self, words: list[str]) -> None:
        if len(words) < 2 or not is_host_name(words[1]):
            return
        try:
            address = str(ipaddress.ip_address(words[0]))
        except ValueError:
            return
        self._names.setdefault(address, words[1])

    def name_of(self, address: str) -> str:
        """Canonical name of an address, or empty."""
        return self._names.get(address, "")
