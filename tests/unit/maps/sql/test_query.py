"""Queries of SQL tables: what they are made of, and the places where a key is not let in."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.client_file import ClientFile
from gateway.maps.query_template import QueryTemplate
from gateway.maps.sql.query import Dialect, Place, is_plain, places, read_query
from gateway.model.errors import ConfigError

MYSQL, POSTGRESQL, SQLITE = Dialect.MYSQL, Dialect.POSTGRESQL, Dialect.SQLITE
BARE, STRING, DOUBLE, NAME, SPECIAL, COMMENT, ESCAPED = Place


@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        (MYSQL, "'%s' \"%s\" `%s` %s", [STRING, DOUBLE, NAME, BARE]),
        (MYSQL, "'a%%%s%%b' '%u@%d'", [STRING, STRING, STRING]),
        (MYSQL, r"'it''s %s' 'it\'s %s' '\\%s' '\\'%s", [STRING, STRING, STRING, BARE]),
        (MYSQL, r"'\%s' '\\\%s'", [ESCAPED, ESCAPED]),
        (MYSQL, r'"say \"%s" "say ""%s" "it' "'" r's %s"', [DOUBLE, DOUBLE, DOUBLE]),
        (MYSQL, "/* ' */ '%s' /* %s */ '%s'", [STRING, COMMENT, STRING]),
        (MYSQL, "1--'%s' -- '%s'", [STRING, COMMENT]),
        (MYSQL, "'#%s' # '%s'", [STRING, COMMENT]),
        (MYSQL, "1 --%s", [COMMENT]),
        (MYSQL, "`a``'%s` '%s'", [NAME, STRING]),
        (MYSQL, "/*!50000 '%s' */", [COMMENT]),
        (POSTGRESQL, r"'a\'%s", [BARE]),
        (POSTGRESQL, r"'\%s' '\' '%s'", [STRING, STRING]),
        (POSTGRESQL, '"%s" "it\'s" \'%s\'', [NAME, STRING]),
        (POSTGRESQL, r"E'%s' e'\'%s' nate'%s' U&'%s' B'%s'", [SPECIAL, SPECIAL, STRING, SPECIAL, STRING]),
        (POSTGRESQL, "$$%s$$ $a$ $$ '%s $a$ '%s' a$$'%s' $1'%s'", [SPECIAL, SPECIAL, STRING, STRING, STRING]),
        (POSTGRESQL, "/* /* */ '%s' */ '%s' -- '%s'", [COMMENT, STRING, COMMENT]),
        (POSTGRESQL, "'%s'--'\n'%s'", [STRING, STRING]),
        (SQLITE, "'%s' \"%s\" `%s` [%s] ['] '%s'", [STRING, NAME, NAME, NAME, STRING]),
        (SQLITE, r"'\' '%s' '''%s' 1-- '%s'", [STRING, STRING, COMMENT]),
        (SQLITE, "%s", [BARE]),
    ],
)
def test_places(dialect: Dialect, text: str, expected: list[Place]) -> None:
    assert places(QueryTemplate(text, "query"), dialect) == expected


def test_plain_queries() -> None:
    assert is_plain(QueryTemplate("SELECT \"x\" WHERE y = '%s'", "query"), MYSQL)
    assert not is_plain(QueryTemplate('WHERE y = "%s"', "query"), MYSQL)
    assert not is_plain(QueryTemplate(r"WHERE y LIKE '\_' AND z = '%s'", "query"), POSTGRESQL)


def read(directory: Path, text: str, dialect: Dialect = SQLITE) -> str:
    (directory / "t.cf").write_text(text)
    file = ClientFile.open("sqlite:t", f"{directory}/t.cf", surroundings())
    filled = read_query(file, dialect).fill("u@d", str)
    assert filled is not None
    return filled


def test_what_queries_are_made_of(tmp_path: Path) -> None:
    old = "select_field = v\ntable = t\nwhere_field = k\n"
    assert read(tmp_path, "query = SELECT '%u'\n" + old) == "SELECT 'u'"
    assert read(tmp_path, "query =\n" + old) == "SELECT v FROM t WHERE k = 'u@d' "
    more = old + "additional_conditions = AND '%d' = x\n ORDER BY v\n"
    assert read(tmp_path, more) == "SELECT v FROM t WHERE k = 'u@d' AND 'd' = x ORDER BY v"
    assert read(tmp_path, "select_function = find\n" + old, POSTGRESQL) == "SELECT find('u@d')"
    assert read(tmp_path, "select_function = find\n" + old, MYSQL) == "SELECT v FROM t WHERE k = 'u@d' "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "query: must be set"),
        ("table = t", "select_field: must be set"),
        ("table = t\nselect_field = v", "where_field: must be set"),
        ("query = SELECT '%x'", 't.cf, line 1: query: "%x" is no expansion'),
        ("\nquery = SELECT v FROM t WHERE k = %s", "t.cf, line 2: query: %s stands outside quotes, where a lookup key"),
        ("query = SELECT v FROM t WHERE '%s' = \"%u\"", "%u stands in a quoted name"),
        ("query = SELECT v -- %d", "%d stands in a comment"),
        (
            "table = t\nselect_field = v\nwhere_field = k\nadditional_conditions = AND x = %d",
            "table: %d stands outside",
        ),
    ],
)
def test_what_stops_the_start(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
