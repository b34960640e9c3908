"""regexp: order, flags, blocks, substitution; Postfix's postmap agrees."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.config import Config
from gateway.maps import MemoryTable, Tables
from gateway.maps.pattern.regexp import RegexpTable
from gateway.model.errors import ConfigError

AROUND = surroundings()


def table(*rules: str) -> MemoryTable:
    return RegexpTable("regexp:x", "{" + ", ".join("{" + rule + "}" for rule in rules) + "}", AROUND)


def test_order_flags_and_delimiters() -> None:
    found = table("/^a/ first", "/^A/i never", "|B|i exact", "!/c/ noc", "/c$/x basic")
    assert [found.get(key) for key in ("ab", "xBc", "xb", "xc")] == ["first", "exact", "noc", "basic"]
    assert found.is_pattern


def test_substitution() -> None:
    found = table(r"/^(.*)-(x)?out@(.*)$/ 550 $1 ${1}s $(3)! [$2] $$1")
    assert found.get("List-out@a.b") == "550 List Lists a.b! [] $1"
    assert found.get("É-xout@a".encode().decode("latin-1")) is not None
    assert found.get("\udcff-out@a") == "550 \udcff \udcffs a! [] $1"


def test_blocks_nest() -> None:
    found = table("if /a/", "if !/b/", "/c/ a-not-b-c", "endif", "/d/ a-d", "endif", "/e/ e")
    assert [found.get(key) for key in ("ac", "abc", "abd", "bd", "abe", "x")] == [
        "a-not-b-c", None, "a-d", None, "e", None,
    ]  # fmt: skip


def test_escaped_delimiters_and_nul() -> None:
    found = table(r"/a\/b/ slash", "/./ any")
    assert found.get("a/b") == "slash"
    assert found.get("a\0b") is None


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("/unterminated", "no closing delimiter"),
        ("/a/q x", 'unknown flag "q"'),
        ("/a/ $1", r"\$1: the expression has 0"),
        ("/(a)/ $2", r"\$2: the expression has 1"),
        ("/(a)/ $x", "expected"),
        ("!/(a)/ $1", "nothing was matched"),
        ("/(/ x", "."),
        ("abc x", "between delimiters"),
        ("éaé x", "between delimiters"),
        ("if /a/", "if without endif"),
        ("/(a)/ $0", "expected"),
        ("/(a)/ a$", "expected"),
        ("/(a)/ ${1", "expected"),
        ("/(a)/ ${ 1 }", "expected"),
        ("/(a)/ $1a", "expected"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, rule: str, message: str) -> None:
    path = tmp_path / "patterns"
    path.write_text(f"\n/ok/ ok\n{rule}\n")
    with pytest.raises(ConfigError, match=message) as caught:
        Tables(Config.from_settings({})).open(f"regexp:{path}")
    assert (caught.value.file, caught.value.line) == (str(path), 3)


def test_what_postfix_only_warns_of(tmp_path: Path) -> None:
    path = tmp_path / "patterns"
    path.write_text("/a/\nif /b/\n  /c/ x\n/d/ y\nendif !\n")
    warnings: list[str] = []
    found = RegexpTable("regexp:x", str(path), surroundings(warnings=warnings))
    assert [found.get(key) for key in ("a", "bc", "bd", "d")] == ["", None, "y", None]
    assert [warning.split(": ", 2)[1] for warning in warnings] == [f"{path}, line {line}" for line in (1, 2, 5)]


def test_back_references_are_warned_of() -> None:
    warnings: list[str] = []
    rules = r"{ {/(a)\1/ x}, {/a\\1/ y}, {/\(a\)\1/x z} }"
    found = RegexpTable("regexp:x", rules, surroundings(warnings=warnings))
    assert [found.get(key) for key in ("aa", r"a\1")] == ["x", "y"]
    assert [warning.split(": ")[1] for warning in warnings] == ["regexp:x, line 1", "regexp:x, line 3"]


def test_white_space_in_results_and_groups_beyond_nine() -> None:
    found = table("/(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)/ ${10}\t$1  x", "/x/i\t y")
    assert found.get("abcdefghij") == "j\ta  x"
    assert found.get("x") == "y"


RULES = r"""
/^(a+)(b)?x/ 1=$1 2=$2 ${1}z $(2)z $$
/^Case/i sens
/^(foo|foobar)(bar|baz)?$/ [$1][$2]
/\<dsl\>.*[[:digit:]]{2}$/ dsl
if !/@/
/(.*)\.(com|net)/x never
/^([^.]+)\.(example|test)\.?$/ host=$1
  continued
endif
!/z/ noz
/[[:space:]]/ blank
"""
KEYS = (
    "aabx", "AAX", "Casefoo", "casefoo", "foobar", "foobarbar", "a-dsl-12", "adsl12", "mail.example", "mail.test.",
    "u@mail.example", "z", "z y", "été z y", "(x)z",
)  # fmt: skip


@pytest.mark.peer("postfix")
def test_postmap_agrees(tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    path = tmp_path / "patterns"
    path.write_text(RULES)
    ours = Tables(Config.from_settings({})).open(f"regexp:{path}")
    assert isinstance(ours, MemoryTable)
    done = subprocess.run(
        ["/usr/sbin/postmap", "-c", str(tmp_path), "-q", "-", f"regexp:{path}"],
        input="\n".join(KEYS), capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    expected = dict(line.split("\t") for line in done.stdout.splitlines())
    assert {key: value for key in KEYS if (value := ours.get(key)) is not None} == expected
