"""mysql: configuration. Lookups are tested against a real server in tests/scenarios/tables/test_mysql.py."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.sql.mysql import DEFAULT_SOCKET, MysqlTable, parse_host
from gateway.maps.sql.pool import Host
from gateway.model.errors import ConfigError

GOOD = "user = u\ndbname = d\noption_group =\nquery = SELECT '%s'\n"


def opened(directory: Path, text: str, warnings: list[str] | None = None) -> MysqlTable:
    (directory / "t.cf").write_text(text)
    return MysqlTable("mysql:t", f"{directory}/t.cf", surroundings(warnings=warnings))


@pytest.mark.parametrize(
    ("word", "options", "host"),
    [
        ("unix:/run/s", {}, Host("unix:/run/s", "/run/s", is_local=True)),
        ("inet:db.example:3307", {"port": "1"}, Host("inet:db.example:3307", "db.example", "3307")),
        ("db.example", {}, Host("db.example", "db.example", "3306")),
        ("db.example", {"port": "3307"}, Host("db.example", "db.example", "3307")),
        ("[::1]:3307", {}, Host("[::1]:3307", "::1", "3307")),
        ("inet:[::1]", {}, Host("inet:[::1]", "::1", "3306")),
        ("localhost", {}, Host("localhost", DEFAULT_SOCKET, is_local=True)),
        ("inet:LOCALHOST:3307", {"socket": "/s"}, Host("inet:LOCALHOST:3307", "/s", is_local=True)),
        ("localhost", {"host": "localhost"}, Host("localhost", DEFAULT_SOCKET, is_local=True)),
        ("localhost", {"host": "db.example", "socket": "/s"}, Host("localhost", "db.example", "3306")),
    ],
)
def test_hosts(word: str, options: dict[str, str], host: Host) -> None:
    assert parse_host(word, options) == host


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user = u\nquery = SELECT '%s'\n", "dbname: must be set"),
        (GOOD + "hosts = db.example:x\n", 'line 5: hosts: "x" is no port number'),
        (GOOD + "charset = klingon\n", 'line 5: charset: "klingon" is no known character set'),
        (GOOD + "require_result_set = perhaps\n", "line 5: require_result_set: "),
        (GOOD + "tls_verify_cert = perhaps\n", "line 5: tls_verify_cert: "),
        (GOOD + "tls_CAfile = /nonexistent\n", "line 5: tls_CAfile: cannot set up TLS"),
        ("user = u\ndbname = d\nquery = SELECT %s\n", "line 3: query: %s stands outside quotes"),
    ],
)
def test_what_stops_the_start(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, text)
    assert message in str(caught.value)


def test_what_is_not_used_is_said(tmp_path: Path) -> None:
    warnings: list[str] = []
    opened(tmp_path, GOOD + "host = typo\noption_file = /nonexistent\n", warnings)
    assert warnings == [
        "/nonexistent: option_file cannot be read; going on without it",
        f"{tmp_path}/t.cf, line 5: host: is not used here",
    ]


def test_parameters_in_main_cf() -> None:
    settings = {"old_dbname": "d", "old_option_group": "", "old_query": "SELECT '%s'", "old_hosts": "$mydomain:x"}
    with pytest.raises(ConfigError, match='old_hosts: "x" is no port number'):
        MysqlTable("mysql:old", "old", surroundings(settings))


def test_a_missing_driver_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = builtins.__import__

    def without_pymysql(name: str, *arguments: object, **options: object) -> object:
        if name.partition(".")[0] == "pymysql":
            raise ImportError(name)
        return really(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, "gateway.maps.sql.mysql_connection", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_pymysql)
    with pytest.raises(ConfigError, match=r"^table mysql:t: needs PyMySQL; install postgate\[mysql\]"):
        opened(tmp_path, GOOD)
