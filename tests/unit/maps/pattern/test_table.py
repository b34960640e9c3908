"""Tables of expressions: the prefilter changes nothing but the time."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.pattern.pcre import PcreTable
from gateway.maps.pattern.regexp import RegexpTable
from gateway.maps.pattern.table import PatternTable, result_parts, split_pattern
from gateway.model.errors import TableError

WORDS = ("alpha", "beta", "mail", "dsl", "ex", "a", "b", "x1", "@", "-", "example", "com", "net")


def random_expression(chance: random.Random, *, is_pcre: bool) -> str:
    word = chance.choice
    shapes = [
        lambda: f"^{word(WORDS)}",
        lambda: rf"{word(WORDS)}\.{word(WORDS)}$",
        lambda: f"({word(WORDS)}|{word(WORDS)}+)[0-9]*{word(WORDS)}",
        lambda: f"({word(WORDS)})?{word(WORDS)}.*({word(WORDS)})",
        lambda: "[0-9]+",
        lambda: f"^[^@]*@{word(WORDS)}",
        lambda: f"(.*)[{word(WORDS)}]{{2}}",
    ]
    if is_pcre:
        shapes += [lambda: f"^(?!{word(WORDS)}).*{word(WORDS)}", lambda: rf"(\w)\1{word(WORDS)}", lambda: r"\Qa.b\E"]
    return chance.choice(shapes)()


def random_rules(chance: random.Random, count: int, *, is_pcre: bool, depth: int = 0) -> list[str]:
    rules: list[str] = []
    while len(rules) < count:
        expression = random_expression(chance, is_pcre=is_pcre)
        sign, flag = chance.choice(("", "", "", "!")), chance.choice(("", "", "i", "m"))
        if depth < 3 and chance.random() < 0.15:
            inner = random_rules(chance, 6, is_pcre=is_pcre, depth=depth + 1)
            rules += [f"if {sign}/{expression}/{flag}", *inner, "endif"]
        elif not sign or chance.random() < 0.1:
            group = " <$1>" if not sign and "(" in expression and "(?!" not in expression else ""
            rules.append(f"{sign}/{expression}/{flag} r{len(rules)}{group}")
    return rules


def random_key(chance: random.Random) -> str:
    return chance.choice(("", ".", "Q")).join(
        chance.choice((*WORDS, "7", "ALPHA", "é")) for _ in range(chance.randrange(5))
    )


def opened(kind: type[PatternTable], path: Path, prefilter_rules: int) -> PatternTable:
    made = type(kind.__name__, (kind,), {"prefilter_rules": prefilter_rules})
    table = made("x:x", str(path), surroundings())
    assert isinstance(table, PatternTable)
    return table


@pytest.mark.parametrize("kind", [PcreTable, RegexpTable])
def test_sifted_is_line_by_line(kind: type[PatternTable], tmp_path: Path) -> None:
    chance, answers = random.Random(9), 0
    for number in range(12):
        path = tmp_path / f"t{number}"
        rules = random_rules(chance, chance.choice((5, 40, 200)), is_pcre=kind is PcreTable)
        path.write_text("\n".join(rules) + "\n")
        plain, sifted = opened(kind, path, 10**9), opened(kind, path, 0)
        for key in [random_key(chance) for _ in range(150)]:
            expected = plain.get(key)
            assert sifted.get(key) == expected, (key, path.read_text())
            answers += expected is not None
    assert answers > 500


@pytest.mark.parametrize("kind", [PcreTable, RegexpTable])
def test_ten_thousand_rules_take_a_twentieth_of_the_time(kind: type[PatternTable], tmp_path: Path) -> None:
    path = tmp_path / "big"
    rules = [
        rf"/^[^@]+@(mail|smtp)[0-9]*\.host{number}\.example\.(com|net)$/ REJECT $1 {number}" for number in range(10_000)
    ]
    path.write_text("\n".join(rules) + "\n")
    plain, sifted = opened(kind, path, 10**9), opened(kind, path, 1)
    keys = ["u@mail1.host4711.example.net", "u@smtp.host9999.example.com", "u@mail.host10000.example.com", "192.0.2.1"]

    def lookups(table: PatternTable) -> tuple[list[str | None], float]:
        started = time.process_time()
        found = [table.get(key) for key in keys]
        return found, time.process_time() - started

    expected, slow_s = lookups(plain)
    assert expected == ["REJECT mail 4711", "REJECT smtp 9999", None, None]
    found, fast_s = lookups(sifted)
    assert found == expected
    assert fast_s < slow_s / 20


def test_a_condition_is_asked_once_and_only_for_rules_that_may_match() -> None:
    rules = ["if /^(a+)+$/", "/b1/ one", "/b2/ two", "endif", "/c/ three"]
    table = PcreTable("pcre:x", "{" + ",".join("{" + rule + "}" for rule in rules * 2) + "}", surroundings())
    # Line by line, the condition would run into its limit here.
    assert table.get("a" * 60 + "c") == "three"


def test_expressions_compiled_again_when_asked_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = ",".join("{" + f"/word{number}/ {number}" + "}" for number in range(20))
    table = RegexpTable("regexp:x", "{" + rules + "}", surroundings())

    def short_of_memory(*_: object, **__: object) -> None:
        raise ValueError("Memory exhausted")

    assert table.get("word7") == "7"
    monkeypatch.setattr("gateway.maps.pattern.regexp.PosixPattern", short_of_memory)
    assert table.get("word7") == "7"
    with pytest.raises(TableError, match="line 9: Memory exhausted"):
        table.get("word8")


def test_reload_in_a_thread_swaps_the_content_whole(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_text("\n".join(f"/^host{number}$/ old" for number in range(1000)))
    now = [0.0]
    table = PcreTable("pcre:x", str(path), surroundings(clock=lambda: now[0]))
    assert table.get("host999") == "old"
    path.write_text("\n".join(f"/^host{number}$/ newer" for number in range(1000)))
    now[0] = 2.0
    deadline = time.monotonic() + 10
    while (found := table.get("host999")) == "old" and time.monotonic() < deadline:
        pass
    assert found == "newer"


def test_warnings_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_text("/a/\n" * 1000)
    warnings: list[str] = []
    PcreTable("pcre:x", str(path), surroundings(warnings=warnings))
    assert len(warnings) == 51
    assert warnings[-1] == "table pcre:x: 950 more lines like that"


def test_results_are_cut_at_groups() -> None:
    assert result_parts("a $1${2}$(3) $$", is_negated=False) == ("a ", 1, "", 2, "", 3, " $")
    assert result_parts("$$1", is_negated=True) == ("$1",)


def test_patterns_are_split_as_octets_stand() -> None:
    flagged, rest = split_pattern("#a\\#b#xi \t $1\tx", "ix")
    assert (flagged.expression, flagged.flags, rest) == ("a\\#b", "xi", "$1\tx")
    assert flagged.is_on("x")
    assert not flagged.is_on("i", default=True)
