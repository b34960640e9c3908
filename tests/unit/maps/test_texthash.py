"""texthash: records, folding, quoting, what is wrong is said with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.config import Config
from gateway.maps import MemoryTable, Tables
from gateway.maps.texthash import TexthashTable
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


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("onlykey\na b\n", ", line 1: expected format: key whitespace value -- ignoring this line"),
        ("  x y\n z\na b\n", ': logical line must not start with whitespace: "  x y z"'),
        ('"open x\na b\n', """, line 1: unbalanced '"' in '"open x' -- ignoring this line"""),
        ("a b\nx\0 y\n", ", line 2: NUL character -- ignoring this line"),
        ("a: b\na b\n", ', line 1: record is in "key: value" format; is this an alias file?'),
    ],
)
def test_a_bad_line_is_left_out_with_a_warning(tmp_path: Path, text: str, warning: str) -> None:
    table, tables = opened(tmp_path / "t", text)
    assert table.get("a") == "b"
    assert tables.warnings == [f"{tmp_path}/t{warning}"]


def test_octets_that_are_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"a\xff b\na \xff\n")
    sloppy = TexthashTable("texthash:t", "t", surroundings({"smtputf8_enable": "no"}, directory=str(tmp_path)))
    assert sloppy.get("a\udcff") == "b"
    assert sloppy.get("A") == "\udcff"
    warnings: list[str] = []
    around = surroundings({"smtputf8_enable": "yes"}, directory=str(tmp_path), warnings=warnings)
    strict = TexthashTable("texthash:t", "t", around)
    assert strict.get("a\udcff") is None
    assert strict.get("a") is None
    assert warnings == [
        f'{tmp_path}/t, line 1: non-UTF-8 input "a? b" -- ignoring this line',
        f'{tmp_path}/t, line 2: non-UTF-8 input "a ?" -- ignoring this line',
    ]


def test_letters_of_all_scripts_fold(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("Stra\u00dfe@\u00c9.example x\n")
    table = TexthashTable("texthash:t", "t", surroundings({"smtputf8_enable": "yes"}, directory=str(tmp_path)))
    assert table.get("STRASSE@\u00e9.example") == "x"


def test_case_is_kept_when_asked(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("A x\na y\n")
    table = TexthashTable("texthash:t", "t", surroundings(directory=str(tmp_path)))
    table.keep_case()
    assert (table.get("A"), table.get("a")) == ("x", "y")
    assert list(table.items()) == [("A", "x"), ("a", "y")]


def test_aliases(tmp_path: Path) -> None:
    (tmp_path / "t").write_text('Root: me,"you too"\n')
    table = TexthashTable("texthash:t", "t", surroundings(directory=str(tmp_path)), is_aliases=True)
    assert table.get("root") == 'me, "you too"'


def test_a_name_in_braces_is_no_file() -> None:
    with pytest.raises(ConfigError, match="expected a file name"):
        TexthashTable("texthash:{x}", "{x}", surroundings())


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot open: No such file"):
        Tables(Config.from_settings({})).open(f"texthash:{tmp_path}/none")


def test_names_start_in_the_configuration_directory(tmp_path: Path) -> None:
    (tmp_path / "access").write_text("a b\n")
    table = Tables(Config.from_settings({}, directory=str(tmp_path))).open("texthash:access")
    assert isinstance(table, MemoryTable)
    assert table.get("a") == "b"
