"""Servers of tables behind proxies that can fail, with the same rows in each: one function for each table type.

A test enters what it needs on an exit stack; :data:`STARTS` has them by type, with the program that must be installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from peers.faulty_proxy import FaultyProxy
from peers.key_recorder import KeyRecorder
from peers.ports import LOOPBACK


@dataclass
class TableServer:
    """One kind of table.

    Args:
        spec: of the table; ``{dir}`` is the gateway's directory.
        proxy: in front of its server.
        files: for the configuration directory.
    """

    spec: str
    proxy: FaultyProxy
    files: dict[str, str] = field(default_factory=dict)


Start = Callable[[ExitStack, Mapping[str, str], Path], TableServer]


def tcp(stack: ExitStack, rows: Mapping[str, str], _directory: Path) -> TableServer:
    recorder = stack.enter_context(KeyRecorder(lambda _table, key: rows.get(key)))
    proxy = stack.enter_context(FaultyProxy(recorder.ports["tcp"]))
    return TableServer(f"tcp:{LOOPBACK}:{proxy.port}", proxy)


def socketmap(stack: ExitStack, rows: Mapping[str, str], _directory: Path) -> TableServer:
    recorder = stack.enter_context(KeyRecorder(lambda _table, key: rows.get(key)))
    proxy = stack.enter_context(FaultyProxy(recorder.ports["socketmap"]))
    return TableServer(f"socketmap:inet:{LOOPBACK}:{proxy.port}:mail", proxy)


def pgsql(stack: ExitStack, rows: Mapping[str, str], _directory: Path) -> TableServer:
    from peers.postgresql import PostgreSQL  # with its driver, which is an extra

    server = stack.enter_context(PostgreSQL())
    server.execute("CREATE TABLE mail (key text, value text)", "CREATE ROLE reader LOGIN PASSWORD 'secret'",
                   "GRANT SELECT ON mail TO reader")  # fmt: skip
    server.execute(*(f"INSERT INTO mail VALUES ('{key}', '{value}')" for key, value in rows.items()))
    proxy = stack.enter_context(FaultyProxy(server.port))
    text = f"""hosts = {LOOPBACK}:{proxy.port}
user = reader
password = secret
dbname = postgres
query = SELECT value FROM mail WHERE key = '%s'
retry_interval = 1
"""
    return TableServer("pgsql:{dir}/conf/pgsql.cf", proxy, {"pgsql.cf": text})


def mysql(stack: ExitStack, rows: Mapping[str, str], _directory: Path) -> TableServer:
    from peers.mariadb import DATABASE, MariaDB

    server = stack.enter_context(MariaDB())
    server.execute("CREATE TABLE mail (k VARCHAR(100), v TEXT)", "CREATE USER reader IDENTIFIED BY 'secret'",
                   f"GRANT SELECT ON {DATABASE}.* TO reader")  # fmt: skip
    server.execute(*(f"INSERT INTO mail VALUES ('{key}', '{value}')" for key, value in rows.items()))
    proxy = stack.enter_context(FaultyProxy(server.port))
    text = f"""hosts = {LOOPBACK}:{proxy.port}
user = reader
password = secret
dbname = {DATABASE}
query = SELECT v FROM mail WHERE k = '%s'
retry_interval = 1
"""
    return TableServer("mysql:{dir}/conf/mysql.cf", proxy, {"mysql.cf": text})


def ldap(stack: ExitStack, rows: Mapping[str, str], directory: Path) -> TableServer:
    from peers.slapd import SUFFIX, Slapd
    from peers.slapd_tree import account

    entries = [
        account(key, ("mailacceptinggeneralid", key), ("maildrop", value), base=SUFFIX) for key, value in rows.items()
    ]
    root = f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n\n"
    server = stack.enter_context(Slapd(directory / "slapd", root + "".join(entries)))
    proxy = stack.enter_context(FaultyProxy(server.port))
    text = f"""server_host = ldap://{LOOPBACK}:{proxy.port}
search_base = {SUFFIX}
query_filter = (mailacceptinggeneralid=%s)
result_attribute = maildrop
timeout = 1
"""
    return TableServer("ldap:{dir}/conf/ldap.cf", proxy, {"ldap.cf": text})


STARTS: dict[str, tuple[Start, str]] = {
    "tcp": (tcp, ""),
    "socketmap": (socketmap, ""),
    "pgsql": (pgsql, "postgres"),
    "mysql": (mysql, "mariadbd"),
    "ldap": (ldap, "slapd"),
}
