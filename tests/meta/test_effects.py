"""A parameter is marked as without effect exactly when no code reads it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from gateway.config.expansion import referenced
from gateway.config.known import default_registry
from gateway.config.known.transport import SUFFIXES, TIME_LIMIT, TIME_LIMIT_DEFAULT

ROOT = Path(__file__).parents[2]
REGISTRY = default_registry()
NAMES = {parameter.name: parameter for parameter in REGISTRY}
# Where names stand that are not read: the tables, what shows them, and an attribute of the same name.
SPARED = (
    "gateway/config/known/",
    "gateway/config/bounce_template",
    "gateway/cli/postcat",
    "gateway/cli/postconf",
    "gateway/maps/lint/",
)
WORD = re.compile(r"[a-zA-Z0-9]+")


def candidates(file: str, node: ast.AST) -> Iterator[str]:
    """Names that a constant or an f-string may stand for."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
            if file.startswith(
                "gateway/transport/"
            ):  # the settings of both clients are read by what follows the prefix
                yield from (f"smtp_{text}", f"lmtp_{text}")
            if text == TIME_LIMIT:
                yield TIME_LIMIT_DEFAULT
            if text in SUFFIXES:
                yield SUFFIXES[text]
                yield from (name for name in NAMES if name.endswith(f"_{text}"))
        case ast.JoinedStr(values=values):
            fixed = [re.escape(str(part.value)) if isinstance(part, ast.Constant) else WORD.pattern for part in values]
            if sum(len(part) for part in fixed if part != WORD.pattern) >= 5:
                yield from (name for name in NAMES if "_" in name and re.fullmatch("".join(fixed), name))


def read_names() -> set[str]:
    """What the code reads, and what the defaults of that mention."""
    found: set[str] = set()
    for path in [*ROOT.glob("gateway/**/*.py"), *ROOT.glob("plugins/**/*.py")]:
        file = str(path.relative_to(ROOT))
        if not file.startswith(SPARED):
            for node in ast.walk(ast.parse(path.read_text())):
                found.update(name for name in candidates(file, node) if name in NAMES)
    waiting = list(found)
    while waiting:
        mentioned = referenced(NAMES[waiting.pop()].default) & NAMES.keys() - found
        found |= mentioned
        waiting += mentioned
    return found


READ = read_names()


def test_what_the_code_reads_is_not_marked() -> None:
    marked = {name: NAMES[name].no_effect for name in READ if NAMES[name].no_effect}
    assert marked == {}, "these work now: take them out of gateway/config/known/effects.py"


def test_what_nothing_reads_is_marked() -> None:
    unmarked = sorted(name for name in NAMES if name not in READ and not NAMES[name].no_effect)
    assert unmarked == [], "nothing reads these: say why in gateway/config/known/effects.py"


def test_there_are_both_kinds() -> None:
    assert len(READ) > 200
    assert len(NAMES) - len(READ) > 100
