"""A private PostgreSQL: no fsync, trust on its socket, passwords over TCP.

with PostgreSQL() as server:
    server.execute("CREATE TABLE aliases (key text, value text)")
    hosts = postgresql://...@127.0.0.1:{server.port}/postgres
"""

from __future__ import annotations

import contextlib
import os

import psycopg
from peers.ports import LOOPBACK
from peers.private_server import PrivateServer

_ACCESS = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
_SETTINGS = ("fsync=off", "shared_buffers=16MB", "max_connections=50", "autovacuum=off", f"listen_addresses={LOOPBACK}")


class PostgreSQL(PrivateServer):
    """One server with the database ``postgres`` in UTF-8; the superuser is ``postgres``."""

    label = "postgresql"
    user = "postgres"

    def set_up(self) -> None:
        data = self.directory / "data"
        self.run(["initdb", "-D", str(data), "--no-sync", "--no-locale", "-E", "UTF8", "-A", "trust", "-U", "postgres"])
        (data / "pg_hba.conf").write_text(_ACCESS)

    def command(self) -> list[str]:
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        return [
            "postgres",
            "-D",
            str(self.directory / "data"),
            "-k",
            str(self.directory),
            "-p",
            str(self.port),
            *settings,
        ]

    def is_ready(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            self.connect().close()
            return True
        return False

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the superuser."""
        return psycopg.connect(
            host=str(self.directory), port=self.port, user="postgres", dbname=database, autocommit=True
        )

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser."""
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @property
    def socket_port(self) -> dict[str, str]:
        """The environment in which libpq finds the socket of this port in a directory that is given without one."""
        return {**os.environ, "PGPORT": str(self.port)}
