"""``pgsql:`` — PostgreSQL, through libpq.

libpq escapes for the live connection and reads host names, URIs, ``~/.pgpass`` and the environment as it does for
Postfix. Source: pgsql_table(5); ``encoding`` of Postfix 3.8, ``idle_interval`` and ``retry_interval`` of 3.9.
"""

from __future__ import annotations

from gateway.maps.client_file import ClientFile
from gateway.maps.source import Surroundings
from gateway.maps.sql.pool import Host, Server, checked_port
from gateway.maps.sql.query import Dialect
from gateway.maps.sql.table import SqlTable
from gateway.model.errors import ConfigError

_URI = ("postgresql://", "postgres://")


def parse_host(word: str) -> Host:
    """One word of ``hosts``: ``unix:/directory``, ``inet:host:port``, ``host``, ``[address]:port``,
    ``postgresql://...``.

    Raises:
        ValueError: the port is none.
    """
    if word.startswith(_URI):
        return Host(_without_secrets(word), word)
    rest = word.removeprefix("unix:") if word.startswith("unix:") else word.removeprefix("inet:")
    if not rest or rest.startswith("/"):
        return Host(word, rest, is_local=True)
    name, _, port = rest.rpartition(":") if ":" in rest and not rest.endswith("]") else (rest, "", "")
    return Host(word, name.removeprefix("[").removesuffix("]"), checked_port(port))


def _without_secrets(uri: str) -> str:
    """A URI for messages: without user, password and options."""
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


class PgsqlTable(SqlTable):
    """Rows of PostgreSQL: every column of every row is a result. Of several statements the last one gives the rows."""

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        file = ClientFile.open(spec, name, around)
        super().__init__(spec, file, Dialect.POSTGRESQL, around, _server(spec, file))


def _server(spec: str, file: ClientFile) -> Server:
    try:
        from gateway.maps.sql.pgsql_connection import PostgresqlServer, checked_uri
    except ImportError as error:
        raise ConfigError(f"table {spec}: needs psycopg; install postgate[pgsql] ({error})") from error
    words = file.words("hosts") or ("localhost",)
    hosts = file.checked("hosts", lambda: tuple(parse_host(word) for word in words))
    uris = file.checked("hosts", lambda: [checked_uri(host.address) for host in hosts if host.address.startswith(_URI)])
    return PostgresqlServer(
        hosts,
        idle_s=file.seconds("idle_interval", 60, 1),
        retry_s=file.seconds("retry_interval", 60, 1),
        user=file.text("user"),
        password=file.text("password"),
        dbname=file.text("dbname", low=0 if len(uris) == len(hosts) else 1),
        encoding=file.text("encoding", "UTF8", low=1),
    )
