"""pgsql: configuration. Lookups are tested against a real server in tests/scenarios/tables/test_pgsql.py."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.sql.pgsql import PgsqlTable, parse_host
from gateway.maps.sql.pool import Host
from gateway.model.errors import ConfigError

GOOD = "user = u\ndbname = d\nquery = SELECT '%s'\n"


def opened(directory: Path, text: str, warnings: list[str] | None = None) -> PgsqlTable:
    (directory / "t.cf").write_text(text)
    return PgsqlTable("pgsql:t", f"{directory}/t.cf", surroundings(warnings=warnings))


@pytest.mark.parametrize(
    ("word", "host"),
    [
        ("unix:/run/postgresql", Host("unix:/run/postgresql", "/run/postgresql", is_local=True)),
        ("/run/postgresql", Host("/run/postgresql", "/run/postgresql", is_local=True)),
        ("inet:db.example:5433", Host("inet:db.example:5433", "db.example", "5433")),
        ("db.example", Host("db.example", "db.example")),
        ("[::1]:5433", Host("[::1]:5433", "::1", "5433")),
        ("inet:[::1]", Host("inet:[::1]", "::1")),
        (
            "postgresql://me:secret@db.example:5433/mail?sslmode=require&password=secret",
            Host("postgresql://db.example:5433/mail", "postgresql://me:secret@db.example:5433/mail?sslmode=require&password=secret"),
        ),
        ("postgres:///mail?host=/run", Host("postgres:///mail", "postgres:///mail?host=/run")),
    ],
)  # fmt: skip
def test_hosts(word: str, host: Host) -> None:
    assert parse_host(word) == host


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user = u\nquery = SELECT '%s'\n", "dbname: must be set"),
        ("dbname =\nhosts = a, postgresql:///x\nquery = SELECT '%s'\n", "line 1: dbname: must not be empty"),
        (GOOD + "hosts = db.example:x\n", 'line 4: hosts: "x" is no port number'),
        (GOOD + "hosts = postgresql://db?nonsense=1\n", "line 4: hosts: invalid URI query parameter"),
        (GOOD + "retry_interval = 0\n", "line 4: retry_interval: 0s is out of limits"),
        (GOOD + "result_format = %x\n", "line 4: result_format: "),
        (GOOD + "expansion_limit = many\n", "line 4: expansion_limit: "),
        (GOOD + "domain = texthash:/nonexistent\n", "/nonexistent: "),
        ("user = u\ndbname = d\n", "query: must be set"),
    ],
)
def test_what_stops_the_start(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, text)
    assert message in str(caught.value)


def test_a_uri_has_its_own_database(tmp_path: Path) -> None:
    warnings: list[str] = []
    table = opened(tmp_path, "hosts = postgresql:///x\nquery = SELECT '%s'\nhost = typo\n", warnings)
    assert table.spec == "pgsql:t"
    assert warnings == [f"{tmp_path}/t.cf, line 3: host: is not used here"]


def test_a_missing_driver_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = builtins.__import__

    def without_psycopg(name: str, *arguments: object, **options: object) -> object:
        if name.partition(".")[0] == "psycopg":
            raise ImportError(name)
        return really(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, "gateway.maps.sql.pgsql_connection", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_psycopg)
    with pytest.raises(ConfigError, match=r"^table pgsql:t: needs psycopg; install postgate\[pgsql\]"):
        opened(tmp_path, GOOD)
