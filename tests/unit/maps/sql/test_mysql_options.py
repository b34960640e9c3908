"""Option files of MySQL clients: groups, quotes, included files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.maps.sql import mysql_options
from gateway.maps.sql.mysql_options import read_options

TEXT = """\
# comment
; comment
before = any group
[mysqld]
user = server
[client]
user = first
  password = "two words "
socket='/run/s'
default_character_set = latin1
ssl
escaped = a\\sb\\\\c\\td\\xe\\
[client-mariadb]
user = second
[other]
user=third
Host = here
"""


def read(file: str, group: str = "client") -> dict[str, str]:
    warnings: list[str] = []
    options = read_options(file, group, warnings.append)
    assert warnings == []
    return options


def test_groups_and_values(tmp_path: Path) -> None:
    (tmp_path / "my.cnf").write_text(TEXT)
    options = read(f"{tmp_path}/my.cnf")
    assert options == {
        "user": "second",
        "password": "two words ",
        "socket": "/run/s",
        "default-character-set": "latin1",
        "ssl": "",
        "escaped": "a b\\c\td\\xe\\",
    }
    assert read(f"{tmp_path}/my.cnf", "other") == options | {"user": "third", "host": "here"}
    assert read(f"{tmp_path}/my.cnf", "") == options


def test_without_file_and_group_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.cnf").write_text("[client]\nuser = u\n[client-server]\nport = 1\n")
    monkeypatch.setattr(mysql_options, "DEFAULT_FILES", (f"{tmp_path}/none.cnf", f"{tmp_path}/my.cnf"))
    assert read("", "") == {}
    assert read("") == {"user": "u", "port": "1"}


def test_a_file_that_is_named_and_missing_is_warned_of(tmp_path: Path) -> None:
    warnings: list[str] = []
    assert read_options(f"{tmp_path}/none.cnf", "client", warnings.append) == {}
    assert warnings == [f"{tmp_path}/none.cnf: option_file cannot be read; going on without it"]


def test_included_files(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "2.cnf").write_text("[client]\nb = 2\nc = 2\n")
    (tmp_path / "d" / "1.cnf").write_text("[client]\na = 1\nb = 1\n")
    (tmp_path / "d" / "3.txt").write_text("[client]\na = 3\n")
    text = f"[client]\nc = 0\n!includedir {tmp_path}/d\n!include {tmp_path}/none.cnf\n!nonsense x\nd = 0\n"
    (tmp_path / "my.cnf").write_text(text)
    assert read(f"{tmp_path}/my.cnf") == {"a": "1", "b": "2", "c": "2", "d": "0"}
    (tmp_path / "my.cnf").write_text(f"[client]\na = 1\n!include {tmp_path}/my.cnf\n")
    assert read(f"{tmp_path}/my.cnf") == {"a": "1"}
