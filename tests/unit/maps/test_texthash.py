"""texthash: records, folding, quoting, what is wrong is said with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Config
from gateway.maps import MemoryTable, Tables
from gateway.model.errors import ConfigError


def opened(path: Path, text: str) -> tuple[MemoryTable, Tables]:
    path.write_text(text, encoding="utf-8")
    tables = Tables(Config.from_settings({}))
    table = tables.open(f"texthash:{path}")
    assert isinstance(table, MemoryTable)
    return table, tables


def test_records(tmp_path: Path) -> None:
    table, _ = opened(
        tmp_path / "t",
        '# comment\nKey One value\n\ncontinued first\n  # between\n   second\n"quo ted"@example.com  x\t y\n',
    )
    assert table.get("key") == "One value"
    assert table.get("KEY") == "One value"
    assert table.get("continued") == "first   second"
    assert table.get('"quo ted"@example.com') == "x\t y"
    assert table.get("absent") is None
    assert not table.is_pattern


def test_the_first_of_two_counts_and_is_warned_about(tmp_path: Path) -> None:
    table, tables = opened(tmp_path / "t", "a first\nA second\n")
    assert table.get("a") == "first"
    assert tables.warnings == [f'{tmp_path}/t, line 2: duplicate entry: "a"']


@pytest.mark.parametrize(("text", "line"), [("a b\nonlykey\n", 2), ("  a b\n", 1)])
def test_a_bad_line_stops_the_start(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path / "t", text)
    assert (caught.value.file, caught.value.line) == (str(tmp_path / "t"), line)


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot open: No such file"):
        Tables(Config.from_settings({})).open(f"texthash:{tmp_path}/none")


def test_names_start_in_the_configuration_directory(tmp_path: Path) -> None:
    (tmp_path / "access").write_text("a b\n")
    table = Tables(Config.from_settings({}, directory=str(tmp_path))).open("texthash:access")
    assert isinstance(table, MemoryTable)
    assert table.get("a") == "b"
