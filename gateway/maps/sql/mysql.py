"""``mysql:`` — MySQL and MariaDB.

Source: mysql_table(5); ``charset`` and ``retry_interval`` of Postfix 3.9.
"""

from __future__ import annotations

from gateway.maps.client_file import ClientFile
from gateway.maps.source import Surroundings
from gateway.maps.sql.mysql_options import read_options
from gateway.maps.sql.pool import Host, Server, checked_port
from gateway.maps.sql.query import Dialect
from gateway.maps.sql.table import SqlTable
from gateway.model.errors import ConfigError

DEFAULT_SOCKET = "/run/mysqld/mysqld.sock"
"""Where ``localhost`` is: what Debian's client library has compiled in."""
DEFAULT_PORT = "3306"


def parse_host(word: str, options: dict[str, str]) -> Host:
    """One word of ``hosts``: ``unix:/socket``, ``inet:host:port``, ``host``, ``[address]:port``.

    Args:
        options: of the option files. Their ``host``, else their ``socket``, is where ``localhost`` is; their ``port``
            is the port of a host without one.

    Raises:
        ValueError: the port is none.
    """
    if word.startswith("unix:"):
        return Host(word, word.removeprefix("unix:"), is_local=True)
    rest = word.removeprefix("inet:")
    name, _, port = rest.rpartition(":") if ":" in rest and not rest.endswith("]") else (rest, "", "")
    name = name.removeprefix("[").removesuffix("]")
    if name.lower() == "localhost":
        name = options.get("host", "")
        if name.lower() in ("", "localhost"):
            return Host(word, options.get("socket") or DEFAULT_SOCKET, is_local=True)
    return Host(word, name, checked_port(port or options.get("port") or DEFAULT_PORT))


class MysqlTable(SqlTable):
    """Rows of MySQL or MariaDB: every column of every row is a result."""

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        file = ClientFile.open(spec, name, around)
        super().__init__(spec, file, Dialect.MYSQL, around, _server(spec, file, around))


def _server(spec: str, file: ClientFile, around: Surroundings) -> Server:
    try:
        from gateway.maps.sql.mysql_connection import MysqlServer, Tls, checked_charset
    except ImportError as error:
        raise ConfigError(f"table {spec}: needs PyMySQL; install postgate[mysql] ({error})") from error
    group = file.text("option_group", "client")
    options = read_options(file.text("option_file"), group, around.warn)
    words = file.words("hosts") or ("localhost",)
    tls = Tls(
        ca_file=file.text("tls_CAfile") or options.get("ssl-ca", ""),
        ca_path=file.text("tls_CApath") or options.get("ssl-capath", ""),
        cert_file=file.text("tls_cert_file") or options.get("ssl-cert", ""),
        key_file=file.text("tls_key_file") or options.get("ssl-key", ""),
        ciphers=file.text("tls_ciphers") or options.get("ssl-cipher", ""),
        verifies_name=file.boolean("tls_verify_cert", _is_on(options, "ssl-verify-server-cert")),
    )
    is_tls = _is_on(options, "ssl") or tls != Tls()
    return MysqlServer(
        file.checked("hosts", lambda: tuple(parse_host(word, options) for word in words)),
        idle_s=file.seconds("idle_interval", 60, 1),
        retry_s=file.seconds("retry_interval", 60, 1),
        user=file.text("user") or options.get("user", ""),
        password=file.text("password") or options.get("password", ""),
        dbname=file.text("dbname", low=1),
        charset=file.checked(
            "charset",
            lambda: checked_charset(file.text("charset") or options.get("default-character-set") or "utf8mb4"),
        ),
        needs_result_set=file.boolean("require_result_set", True),
        tls=file.checked("tls_CAfile", tls.checked) if is_tls else None,
    )


def _is_on(options: dict[str, str], name: str) -> bool:
    """An option without value is on."""
    return name in options and options[name].lower() not in ("0", "off", "false")
