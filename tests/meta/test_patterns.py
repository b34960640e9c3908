"""No regular expression of ours needs what Python 3.11.0 to 3.11.4, Debian 12's 3.11.2 among them, gets wrong.

There a possessive quantifier behind a group matches what the group cannot (python/cpython issue 106052: ``(?:ab?c)*+``
matches "a"), so that a mailbox or a path could be taken for legal that is none. An atomic group is right everywhere:
``(?>(?:...)*)`` in place of ``(?:...)*+``. Behind a character or a class the quantifier is right.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import gateway

_NO_SYNTAX = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")
_PLUGINS = sorted(path.name for path in (Path(__file__).resolve().parents[2] / "plugins").glob("gateway_*"))


def _is_possessive_group(pattern: str | bytes) -> bool:
    text = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
    return _POSSESSIVE_GROUP.search(_NO_SYNTAX.sub("x", text)) is not None


def _modules() -> list[ModuleType]:
    found = [importlib.import_module(name) for name in _PLUGINS]
    for package in (gateway, *found):
        for _, name, _ in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{package.__name__}."):
            if not name.endswith("__main__"):
                found.append(importlib.import_module(name))
    return found


@pytest.mark.parametrize("pattern", [r"(?:ab?c)*+", r"(a)++", r"(a|b)?+x", r"[(](?:\)|a){2,3}+", rb'"(?:[^"]|\\.)*+"'])
def test_a_possessive_group_is_found(pattern: str | bytes) -> None:
    assert _is_possessive_group(pattern)


@pytest.mark.parametrize("pattern", [r"[()]*+", r"\)++", r"(?>(?:ab?c)*)+", r"[]()]*+", r"a++(?:b)+c", r"(a)+\+"])
def test_what_is_none_is_not(pattern: str) -> None:
    assert not _is_possessive_group(pattern)


def test_no_pattern_has_a_possessive_group() -> None:
    patterns = {
        (module.__name__, name): value.pattern
        for module in _modules()
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern)
    }
    assert len(patterns) > 100
    assert any(module.startswith("gateway_rbl.") for module, _ in patterns)
    assert not [place for place, pattern in patterns.items() if _is_possessive_group(pattern)]
