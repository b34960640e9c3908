"""Servers of tables, with the same rows in each, and what a configuration says to ask them.

:data:`SERVED` has them by table type. A test puts a :class:`peers.faulty_proxy.FaultyProxy` between them and the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from peers.key_recorder import KeyRecorder
from peers.memcached import Memcached
from peers.ports import LOOPBACK

Rows = Mapping[str, str]
_ROWS_A_MEGABYTE = 2000  # of memcached, with room to spare: it is to forget none


@dataclass(frozen=True)
class Served:
    """One table type whose tables a server has.

    Args:
        program: that must be installed; empty for none.
        start: starts a server with the rows on an exit stack, its files in a directory of its own; gives its port.
        name: what stands behind ``type:``, for a server on that port; ``{file}`` is the path of the file.
        text: of the table's file, likewise; empty for none.
    """

    program: str
    start: Callable[[ExitStack, Rows, Path], int]
    name: Callable[[int], str]
    text: Callable[[int], str] = lambda _port: ""


def _recorded(kind: str) -> Callable[[ExitStack, Rows, Path], int]:
    def start(stack: ExitStack, rows: Rows, _directory: Path) -> int:
        return stack.enter_context(KeyRecorder(lambda _table, key: rows.get(key))).ports[kind]

    return start


def _pgsql(stack: ExitStack, rows: Rows, _directory: Path) -> int:
    from peers.postgresql import PostgreSQL  # with its driver, which is an extra

    server = stack.enter_context(PostgreSQL())
    server.execute("CREATE TABLE mail (address text, value text)", "GRANT SELECT ON mail TO public",
                   "CREATE ROLE reader LOGIN PASSWORD 'secret'")  # fmt: skip
    with server.connect() as connection, connection.cursor() as cursor, cursor.copy("COPY mail FROM STDIN") as copy:
        for row in rows.items():
            copy.write_row(row)
    server.execute("ALTER TABLE mail ADD PRIMARY KEY (address)", "ANALYZE mail")
    return server.port


def _mysql(stack: ExitStack, rows: Rows, _directory: Path) -> int:
    from peers.mariadb import DATABASE, MariaDB

    server = stack.enter_context(MariaDB())
    server.execute("CREATE TABLE mail (address VARCHAR(100) PRIMARY KEY, value TEXT)",
                   "CREATE USER reader IDENTIFIED BY 'secret'", f"GRANT SELECT ON {DATABASE}.* TO reader")  # fmt: skip
    with server.connect() as connection, connection.cursor() as cursor:
        # In large statements, in the order of the key: the pages of a small buffer pool are written once.
        cursor.executemany("INSERT INTO mail VALUES (%s, %s)", sorted(rows.items()))
    return server.port


def _sql_text(database: str) -> Callable[[int], str]:
    return lambda port: (
        f"""hosts = {LOOPBACK}:{port}
user = reader
password = secret
dbname = {database}
query = SELECT value FROM mail WHERE address = '%s'
retry_interval = 1
"""
    )


def _ldap(stack: ExitStack, rows: Rows, directory: Path) -> int:
    from peers.slapd import SUFFIX, Slapd
    from peers.slapd_tree import account

    entries = [
        account(key, ("mailacceptinggeneralid", key), ("maildrop", value), base=SUFFIX) for key, value in rows.items()
    ]
    root = f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n\n"
    return stack.enter_context(Slapd(directory / f"slapd-{len(rows)}", root + "".join(entries))).port


def _ldap_text(port: int) -> str:
    from peers.slapd import SUFFIX

    return f"""server_host = ldap://{LOOPBACK}:{port}
search_base = {SUFFIX}
query_filter = (mailacceptinggeneralid=%s)
result_attribute = maildrop
timeout = 1
"""


def _memcached(stack: ExitStack, rows: Rows, _directory: Path) -> int:
    server = stack.enter_context(Memcached(megabytes=16 + len(rows) // _ROWS_A_MEGABYTE))
    server.store_all(rows)
    return server.port


SERVED: dict[str, Served] = {
    "tcp": Served("", _recorded("tcp"), lambda port: f"{LOOPBACK}:{port}"),
    "socketmap": Served("", _recorded("socketmap"), lambda port: f"inet:{LOOPBACK}:{port}:mail"),
    "memcache": Served(
        "memcached", _memcached, lambda _port: "{file}", lambda port: f"memcache = inet:{LOOPBACK}:{port}\n"
    ),
    "pgsql": Served("postgres", _pgsql, lambda _port: "{file}", _sql_text("postgres")),
    "mysql": Served("mariadbd", _mysql, lambda _port: "{file}", _sql_text("mail")),
    "ldap": Served("slapd", _ldap, lambda _port: "{file}", _ldap_text),
}
