"""pcre: flags, substitution, limits. That results are Postfix's is shown in scenarios/tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.config import Config
from gateway.maps import MemoryTable, Tables
from gateway.maps.pattern import pcre2
from gateway.maps.pattern.pcre import PcreTable
from gateway.model.errors import ConfigError, TableError


def table(*rules: str, warnings: list[str] | None = None) -> MemoryTable:
    inside = ", ".join("{" + rule + "}" for rule in rules)
    return PcreTable("pcre:x", "{" + inside + "}", surroundings(warnings=warnings))


@pytest.mark.parametrize(
    ("rule", "key", "expected"),
    [
        ("/A/ x", "a", "x"),
        ("/A/i x", "a", None),
        ("/A/ii x", "a", "x"),
        ("/^b$/ x", "a\nb", None),
        ("/^b$/m x", "a\nb", "x"),
        ("/a.b/ x", "a\nb", "x"),
        ("/a.b/s x", "a\nb", None),
        ("/a b/ x", "ab", None),
        ("/a b/x x", "ab", "x"),
        ("/b/A x", "ab", None),
        ("/b/A x", "ba", "x"),
        ("/a$/ x", "a\n", "x"),
        ("/a$/E x", "a\n", None),
        ("/(a+)/ <$1>", "aaa", "<aaa>"),
        ("/(a+)/U <$1>", "aaa", "<a>"),
        (r"!/a/ x", "b", "x"),
        (r"|a\|b| x", "a|b", "x"),  # the backslash stays: an escaped bar
        (r"/(?<n>a)\k<n>/ [$1]", "aa", "[a]"),
        (r"/^(?!owner-)(.*)-outgoing@(.*)/ 550 Use ${1}@$(2)$$", "x-outgoing@b", "550 Use x@b$"),
        (r"/^(a)?(b)/ [$1][$2]", "b", "[][b]"),
        (r"/a\Cb/ x", "a\udce9b", "x"),
        ("/^.$/ x", "é", None),
        ("/^..$/ x", "é", "x"),
        ("/(*UTF)^(.)$/ [$1]", "é", "[é]"),
        (r"/a(.)b/ [$1]", "a\udce9b", "[\udce9]"),
        (r"/b/ x", "a\0b", "x"),
        (r"/^a(.)b$/ [$1]", "a\0b", "[\0]"),
    ],
)
def test_rules(rule: str, key: str, expected: str | None) -> None:
    assert table(rule).get(key) == expected


def test_blocks() -> None:
    found = table("if /a/", "if !/b/", "/c/ a-not-b-c", "endif", "/d/ a-d", "endif", "/e/ e")
    assert [found.get(key) for key in ("ac", "abc", "abd", "bd", "abe", "x")] == [
        "a-not-b-c", None, "a-d", None, "e", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("/bad(/ x", "offset 4: missing closing parenthesis"),
        (r"/\u0061/ x", "offset 2"),
        ("/a/q x", 'unknown flag "q"'),
        ("/(a)/ $2", r"\$2: the expression has 1"),
        ("!/(a)/ $1", "nothing was matched"),
        ("{a} x", "no closing delimiter"),
        (r"\a\ x", "between delimiters"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, rule: str, message: str) -> None:
    path = tmp_path / "patterns"
    path.write_text(f"\n/ok/ ok\n{rule}\n")
    with pytest.raises(ConfigError, match=message) as caught:
        Tables(Config.from_settings({})).open(f"pcre:{path}")
    assert (caught.value.file, caught.value.line) == (str(path), 3)


def test_the_obsolete_flag_is_warned_of() -> None:
    warnings: list[str] = []
    assert table("/a/X x", warnings=warnings).get("a") == "x"
    assert warnings == ['table pcre:x: pcre:x, line 1: the flag "X" does nothing']


@pytest.mark.parametrize("rule", ["/^(a+)+$/ x", "!/^(a+)+$/ x", "/^((a+)+)$/ $1"])
def test_a_limit_is_an_error_never_an_answer(rule: str) -> None:
    with pytest.raises(TableError, match="line 1: match limit exceeded"):
        table(rule, "/b/ second").get("a" * 60 + "b")


def test_a_utf_expression_has_no_answer_for_octets_that_are_none() -> None:
    with pytest.raises(TableError, match="UTF-8"):
        table("/(*UTF)a/ x").get("a\udce9")


def test_without_the_library_the_start_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise OSError("the library libpcre2-8 is not installed")

    monkeypatch.setattr(pcre2, "load", missing)
    with pytest.raises(ConfigError, match="table pcre:x: the library libpcre2-8"):
        table("/a/ x")
