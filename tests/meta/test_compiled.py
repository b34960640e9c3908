"""What pyproject.toml has compiled keeps the rules of HACKING.md that mypyc would break in silence."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES: list[str] = _PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]


def test_the_list_is_sorted_and_has_each_module_once() -> None:
    assert sorted(set(MODULES)) == MODULES
    assert len(MODULES) > 50


@pytest.mark.parametrize("module", MODULES)
def test_no_struct_and_no_second_name_for_a_method(module: str) -> None:
    tree = ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        assert not [base for base in node.bases if ast.unparse(base).endswith("Struct")], f"{node.name} is a Struct"
        methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        for statement in node.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name):
                assert statement.value.id not in methods, f"{node.name}: {ast.unparse(statement)}"


@pytest.mark.parametrize("module", MODULES)
def test_exceptions_of_one_name_are_of_one_type(module: str) -> None:
    tree = ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))
    own = _own_exceptions()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            caught: dict[str, set[str]] = {}
            for node in ast.walk(function):
                if isinstance(node, ast.ExceptHandler) and node.name and node.type is not None:
                    caught.setdefault(node.name, set()).add(ast.unparse(node.type))
            for name, types in caught.items():
                assert len(types) == 1 or not types & own, f"{function.name}: {name} is each of {types}"


def _own_exceptions() -> set[str]:
    """Exceptions that listed modules define; those of others have no type for mypyc."""
    found = set()
    for module in MODULES:
        for node in ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and any(
                "Err" in (b := ast.unparse(base)) or "Exc" in b for base in node.bases
            ):
                found.add(node.name)
    assert "ConversationError" in found
    return found
