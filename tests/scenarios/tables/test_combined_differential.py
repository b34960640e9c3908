"""environ, static, randmap, unionmap, pipemap, unix: what we find is what Debian's ``postmap -q -`` finds."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import random
from collections.abc import Iterator

import pytest
from peers.postmap_oracle import PostmapOracle

from gateway.config import Config
from gateway.maps import Tables
from gateway.model.errors import ConfigError, TableError

pytestmark = pytest.mark.peer("postmap")

PAIRS = 2000
"""Compared for each type, at least."""
LETTERS = "abcABC019@.+-_=%*é"


class Draw:
    """Tables and keys at random, the same ones in each run."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def word(self, longest: int = 3) -> str:
        return "".join(self.random.choices(LETTERS, k=self.random.randint(1, longest)))

    def key(self) -> str:
        return self.word(2).replace("=", "")[:2] or "a"

    def inline(self) -> str:
        entries = [f"{{ {self.key()} = {self.value()} }}" for _ in range(self.random.randint(1, 25))]
        return f"inline:{{{', '.join(entries)}}}"

    def value(self) -> str:
        return self.random.choice([self.key(), f"{self.word()} {self.word()}", f"{self.word()},{self.word()}"])

    def member(self, depth: int = 2) -> str:
        match self.random.randint(0, 9 if depth else 6):
            case 0:
                return f"static:{self.word()}"
            case 1:
                return f"static:{{ {self.value()} }}"
            case 2:
                return f"randmap:{{{self.word()}}}"
            case 3:
                return f"environ:{self.word()}"
            case 7:
                return f"unionmap:{self.members(depth - 1)}"
            case 8:
                return f"pipemap:{self.members(depth - 1)}"
            case _:
                return self.inline()

    def members(self, depth: int = 2) -> str:
        separator = self.random.choice([",", " ", ", ", " ,\t"])
        return f"{{{separator.join(self.member(depth) for _ in range(self.random.randint(1, 4)))}}}"


TABLES = {
    "environ": lambda draw: f"environ:{draw.word()}",
    "static": lambda draw: f"static:{draw.random.choice([draw.word(6), f'{{ {draw.value()} }}'])}",
    "randmap": lambda draw: f"randmap:{{{draw.random.choice(['', ' ', ', '])}{draw.word(6)}}}",
    "unionmap": lambda draw: f"unionmap:{draw.members()}",
    "pipemap": lambda draw: f"pipemap:{draw.members()}",
    "unix": lambda draw: draw.random.choice(["unix:passwd.byname", "unix:group.byname"]),
}


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> PostmapOracle:
    return PostmapOracle(tmp_path_factory.mktemp("postmap"))


@pytest.fixture(scope="module")
def variables() -> Iterator[list[str]]:
    """Names of variables that both sides see."""
    draw = Draw("variables")
    names = sorted({draw.word(2).replace("=", "") for _ in range(150)} - {""} - os.environ.keys())
    os.environ.update({name: draw.word(5) for name in names})
    yield names
    for name in names:
        del os.environ[name]


def ours(spec: str, keys: list[str]) -> list[tuple[str, str]]:
    async def run() -> list[tuple[str, str]]:
        tables = Tables(Config.from_settings({}))
        table = tables.open(spec)
        found = [(key, await table.find(key)) for key in keys]
        await tables.close()
        return [(key, value) for key, value in found if value is not None]

    return asyncio.run(run())


@pytest.mark.parametrize("kind", TABLES)
def test_the_same_is_found(kind: str, oracle: PostmapOracle, variables: list[str]) -> None:
    draw = Draw(kind)
    names = [*(user.pw_name for user in pwd.getpwall()), *(group.gr_name for group in grp.getgrall())]
    compared = found = 0
    while compared < PAIRS:
        spec = TABLES[kind](draw)
        keys = [draw.key() for _ in range(60)] + draw.random.choices(variables, k=20) + draw.random.choices(names, k=20)
        keys += [draw.random.choice(names).upper() for _ in range(5)]
        answers = oracle.ask(spec, keys)
        assert ours(spec, keys) == answers, spec
        compared, found = compared + len(keys), found + len(answers)
    assert found > PAIRS // 20


BROKEN = [
    "unionmap:inline:{a=1}", "unionmap:{}", "unionmap:{ }", "unionmap:{static:x", "unionmap:{static:x}y", "unionmap:{noname}",
    "unionmap:{static:a}{static:b}", "unionmap:{static:a}}", "unionmap:{{static:a}}", "unionmap:{nosuch:x}", "pipemap:{}",
    "pipemap:{ {inline:{a=b}} }", "pipemap:x", "randmap:{}", "randmap:x", "randmap:{x", "randmap:{{}", "randmap:{}}",
    "randmap:{a}{b}", "unix:shadow.byname", "environ:", "unionmap:{static:}",
]  # fmt: skip


FAILING = ["unionmap:{static:x,fail:y}", "pipemap:{static:x,fail:y}", "unionmap:{fail:x,static:y}"]


@pytest.fixture(scope="module")
def complaints(oracle: PostmapOracle) -> dict[str, str]:
    return oracle.complaints(BROKEN + FAILING)


@pytest.mark.parametrize("spec", BROKEN)
def test_the_same_is_refused(spec: str, complaints: dict[str, str]) -> None:
    assert "fatal: " in complaints[spec]
    assert "query error" not in complaints[spec]
    with pytest.raises(ConfigError):
        Tables(Config.from_settings({})).open(spec)


@pytest.mark.parametrize("spec", FAILING)
def test_the_same_is_a_temporary_error(spec: str, complaints: dict[str, str]) -> None:
    assert "query error" in complaints[spec]
    with pytest.raises(TableError, match="table fail:"):
        ours(spec, ["a"])
