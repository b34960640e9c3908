from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from peers.ports import free_port
from peers.tables import surroundings

from gateway.maps.ldap.table import LdapTable
from gateway.model.errors import ConfigError, TableError


def table(path: Path, text: str = "", warnings: list[str] | None = None) -> LdapTable:
    (path / "ldap.cf").write_text(f"server_host = ldap://127.0.0.1:{free_port()}\nsearch_base = dc=x\n{text}")
    return LdapTable("ldap:./ldap.cf", "./ldap.cf", surroundings(directory=str(path), warnings=warnings))


def test_without_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("connection", "directory", "opening"):
        monkeypatch.delitem(sys.modules, f"gateway.maps.ldap.{name}", raising=False)
        monkeypatch.delattr(f"gateway.maps.ldap.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "ldap", None)
    with pytest.raises(ConfigError, match=r"ldap:./ldap.cf: needs python-ldap; install postgate\[ldap\]"):
        table(tmp_path)


def test_a_wrong_parameter_is_told_before_the_driver_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ldap", None)
    with pytest.raises(ConfigError) as caught:
        table(tmp_path, "timeout = x\n")
    assert (caught.value.parameter, caught.value.line) == ("timeout", 3)


@pytest.mark.peer("python-ldap")
@pytest.mark.parametrize("key", ["\udcff", "a\0b", "k@other.test", "k", "@d.test", ""])
def test_keys_that_nobody_is_asked_about(key: str, tmp_path: Path) -> None:
    asked = table(tmp_path, "domain = d.test\n")
    assert asyncio.run(asked.find(key)) is None


@pytest.mark.peer("python-ldap")
def test_no_answer_is_a_table_error_with_the_name(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"^table ldap:\./ldap.cf: ldap://127.0.0.1:\d+: Connection refused$"):
        asyncio.run(table(tmp_path).find("k@d.test"))


@pytest.mark.peer("python-ldap")
def test_a_warning_comes_once(tmp_path: Path) -> None:
    warnings: list[str] = []
    asked = table(tmp_path, warnings=warnings)
    for text in ("one", "one", "two"):
        asked._warn_once(text)
    assert warnings == ["one", "two"]


@pytest.mark.peer("python-ldap")
def test_closing_a_table_that_never_connected(tmp_path: Path) -> None:
    asked = table(tmp_path)
    asyncio.run(asked.close())
    with pytest.raises(TableError):
        asyncio.run(asked.find("k"))
