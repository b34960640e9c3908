"""Templates: expansions, the keys that are not asked for, the form of results. The expected texts are Postfix's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.query_template import DomainFilter, Piece, QueryTemplate, ResultFormat, parse_template, search_key
from gateway.model.errors import ConfigError, TableError


def fill(text: str, key: str) -> str | None:
    return QueryTemplate(text, "query").fill(key, str)


def expand(text: str, key: str, *values: str | None) -> str | None:
    return ResultFormat("sqlite:t", text).expand(key, values)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("x", "[x x x x %]"),
        ("u@d.example", "[u@d.example u u@d.example u %]"),
        ("@d.example", None),
        ("u@", "[u@ u u@ u %]"),
        ("u@x@y.z", "[u@x@y.z u@x u@x@y.z u@x %]"),
        ("@", None),
        ("", None),
    ],
)
def test_parts_of_a_key(key: str, found: str | None) -> None:
    assert fill("[%s %u %S %U %%]", key) == found


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("x", None),
        ("u@d.example", "example d d.example d.example"),
        ("@d.example", "example d d.example d.example"),
        ("u@", None),
        ("a@x@y.z", "z y y.z y.z"),
        ("a@.com", None),
        ("a@com.", None),
        ("a@..com", None),
        ("a@b..com", "com b b..com b..com"),
        ("a@a.b.com", "com b a.b.com a.b.com"),
        ("a@com", None),
    ],
)
def test_labels_of_a_domain(key: str, found: str | None) -> None:
    assert fill("%1 %2 %d %D", key) == found


def test_one_label_is_enough_for_the_first() -> None:
    assert fill("%1", "a@com.") == "com"
    assert fill("%9", "a@9.8.7.6.5.4.3.2.1") == "9"


def test_the_whole_key_may_be_anything_but_empty() -> None:
    assert fill("%s", "@d.example") == "@d.example"
    assert fill("no expansion", "") is None


def test_each_expansion_is_quoted_by_itself() -> None:
    quoted: list[str] = []

    def quote(part: str) -> str:
        quoted.append(part)
        return part.replace("'", "''")

    filled = QueryTemplate("x = '%u' AND y = '%d' AND z = 100%%", "query").fill("o'b'@it's", quote)
    assert filled == "x = 'o''b''' AND y = 'it''s' AND z = 100%"
    assert quoted == ["o'b'", "it's"]


def test_what_stands_in_a_key_is_not_expanded_again() -> None:
    assert fill("%u/%d", "%d@%u%%") == "%d/%u%%"


@pytest.mark.parametrize("text", ["%x", "%0", "%", "a%", "%%%", "100% sure"])
def test_an_expansion_that_does_not_exist(text: str) -> None:
    with pytest.raises(ConfigError, match=r'query: "%.?" is no expansion'):
        QueryTemplate(text, "query")
    with pytest.raises(ConfigError, match="result_format: "):
        ResultFormat("sqlite:t", text)


def test_pieces() -> None:
    assert parse_template("a%%b%sc") == (Piece("a%b", "s"), Piece("c", ""))
    assert QueryTemplate("%1", "query").pieces == (Piece("", "1"), Piece("", ""))


VALUES = ("v@w", "@w", "lo@", "zz", "a@b@c", "", None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%s", "v@w,@w,lo@,zz,a@b@c"),
        ("<%s>%u", "<v@w>v,<lo@>lo,<zz>zz,<a@b@c>a@b"),
        ("%d", "w,w,c"),
        ("%u at %d", "v at w,a@b at c"),
        (
            "smtp:[%d] %S %U %D %1 %2 %%",
            "smtp:[w] k@e.f k e.f f e %,smtp:[w] k@e.f k e.f f e %,smtp:[c] k@e.f k e.f f e %",
        ),
        ("OK", "OK,OK,OK,OK,OK"),
    ],
)
def test_result_format(text: str, found: str) -> None:
    assert expand(text, "k@e.f", *VALUES) == found


@pytest.mark.parametrize(
    ("text", "key", "is_accepted"),
    [
        ("%s %u %d", "x", True),
        ("%S", "@x", True),
        ("%U", "x", True),
        ("%U", "@x", False),
        ("%D", "x", False),
        ("%D", "x@", False),
        ("%D", "@x", True),
        ("%2", "x@y", False),
        ("%2", "x@y.z", True),
        ("%s", "", False),
    ],
)
def test_keys_without_what_the_format_needs_are_not_asked_for(text: str, key: str, is_accepted: bool) -> None:
    assert ResultFormat("sqlite:t", text).accepts(key) is is_accepted


def test_nothing_left_is_not_found() -> None:
    assert expand("%s", "k") is None
    assert expand("%s", "k", "", None) is None
    assert expand("%d", "k", "zz") is None


def test_the_limit_counts_what_is_left_and_stops_the_reading() -> None:
    read: list[str] = []

    def values() -> Iterator[str]:
        for value in ("", "a", "", "b", "", "c", "d"):
            read.append(value)
            yield value

    assert ResultFormat("sqlite:t", limit=4).expand("k", values()) == "a,b,c,d"
    read.clear()
    with pytest.raises(TableError, match="table sqlite:t: more than 2 results for one key"):
        ResultFormat("sqlite:t", limit=2).expand("k", values())
    assert read == ["", "a", "", "b", "", "c"]
    assert ResultFormat("sqlite:t", limit=-1).expand("k", values()) == "a,b,c,d"


def matches(words: tuple[str, ...], keys: list[str]) -> list[str]:
    wanted = DomainFilter(words, surroundings())

    async def ask() -> list[str]:
        return [key for key in keys if await wanted.matches(key)]

    return asyncio.run(ask())


def test_domains(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("tab.example x\n")
    (tmp_path / "list").write_text("file.example\n")
    words = ("d.example", "!no.example", ".sub.example", f"texthash:{tmp_path}/table", f"{tmp_path}/list")
    yes = ["a@d.example", "a@D.EXAMPLE", "a@b@d.example", "a@tab.example", "a@file.example"]
    no = ["", "a", "d.example", "@d.example", "a@", "@", "a@no.example", "a@x.d.example", "a@x.sub.example"]
    assert matches(words, yes + no) == yes
    assert matches((), yes + no) == yes + no


def test_a_filter_whose_table_is_missing_stops_the_start() -> None:
    with pytest.raises(ConfigError):
        DomainFilter(("texthash:/nonexistent",), surroundings())


def test_a_filter_whose_table_fails_is_no_answer() -> None:
    with pytest.raises(TableError, match="fail:down"):
        matches(("fail:down",), ["a@d.example"])


def test_search_keys() -> None:
    assert search_key("User@EXAMPLE.com") == "user@example.com"
    assert search_key("ÜBER@STRASSE.example") == "über@strasse.example"
    assert search_key("ß") == "ss"
    assert search_key("") == ""
    assert search_key("\udcff@x") is None
    assert search_key("a\0b") is None
    assert search_key("ü\0b") is None
