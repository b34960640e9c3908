"""A private MariaDB: a socket, a loopback port, no durability.

with MariaDB() as server:
    server.execute("CREATE TABLE aliases (address VARCHAR(100), goto TEXT)")
    hosts = unix:{server.socket}
"""

from __future__ import annotations

import contextlib
import socket

import pymysql
from peers.ports import LOOPBACK
from peers.private_server import PrivateServer

DATABASE = "mail"


class MariaDB(PrivateServer):
    """One server with the database ``mail`` in utf8mb4; ``root`` has no password.

    Args:
        options: more of mariadbd's, such as ``--sql-mode=ANSI_QUOTES``.
    """

    label = "mariadb"
    user = "mysql"

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.options = options
        self.socket = str(self.directory / "socket")

    def set_up(self) -> None:
        self.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={self.directory / 'data'}", "--skip-test-db",
             "--auth-root-authentication-method=normal", "--skip-name-resolve"]
        )  # fmt: skip

    def command(self) -> list[str]:
        return [
            "mariadbd", "--no-defaults", f"--datadir={self.directory / 'data'}", f"--socket={self.socket}",
            f"--bind-address={LOOPBACK}", f"--port={self.port}", "--skip-name-resolve", "--innodb-buffer-pool-size=16M",
            "--innodb-flush-log-at-trx-commit=0", "--innodb-fast-shutdown=2", "--character-set-server=utf8mb4",
            f"--pid-file={self.directory / 'pid'}", *self.options,
        ]  # fmt: skip

    def start(self) -> None:
        super().start()
        self.execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE}", database=None)

    def is_ready(self) -> bool:
        # PyMySQL would leave a socket behind that was refused.
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(self.socket)
            self.connect(None).close()
            return True
        return False

    def connect(self, database: str | None = DATABASE) -> pymysql.Connection:
        """A connection of root."""
        return pymysql.connect(
            unix_socket=self.socket, user="root", database=database, charset="utf8mb4", autocommit=True,
            ssl_disabled=True,
        )  # fmt: skip

    def execute(self, *statements: str, database: str | None = DATABASE) -> None:
        """Run statements as root."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
