"""Whose mail gets the headers it lacks: local_header_rewrite_clients. Source: postconf(5), cleanup(8)."""

from __future__ import annotations

from gateway.config import Config
from gateway.maps import Table, Tables
from gateway.maps.match_list import NetworkList
from gateway.model.errors import ConfigError
from gateway.model.session import Session


class LocalClients:
    """The clients of local_header_rewrite_clients.

    Args:
        config: checked configuration of one listener.
        tables: opens ``check_address_map`` tables.

    Raises:
        ConfigError: an unknown word, or a table that cannot be opened.
    """

    def __init__(self, config: Config, tables: Tables) -> None:
        self._networks: list[NetworkList] = []
        self._tables: list[Table] = []
        self._has_sasl = self._has_interfaces = False
        words = iter(config.words("local_header_rewrite_clients"))
        for word in words:
            match word:
                case "permit_inet_interfaces":
                    self._has_interfaces = True
                case "permit_mynetworks":
                    self._networks.append(NetworkList(config.text("mynetworks"), tables, parameter="mynetworks"))
                case "permit_sasl_authenticated":
                    self._has_sasl = True
                case "check_address_map":
                    self._tables.append(tables.open(next(words, "")))
                case "permit_tls_clientcerts" | "permit_tls_all_clientcerts":
                    continue  # nobody has a certificate before there is TLS
                case _ if ":" in word:
                    self._tables.append(tables.open(word))
                case _:
                    raise ConfigError(f"{word}: not a client class", parameter="local_header_rewrite_clients")

    async def matches(self, session: Session) -> bool:
        """True for a local client. Raises TableError."""
        client = session.client
        # permit_inet_interfaces: a connection from one of our own addresses comes from this host.
        if self._has_interfaces and (
            client.address == session.server_address or client.address in ("127.0.0.1", "::1")
        ):
            return True
        if self._has_sasl and session.sasl_username:
            return True
        for network in self._networks:
            if await network.matches(client.name, client.address):
                return True
        for table in self._tables:
            if await table.find(client.address) is not None or await table.find(client.name) is not None:
                return True
        return False
