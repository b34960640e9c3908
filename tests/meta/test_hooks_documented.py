"""docs/hooks.md and the hook specifications say the same."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from gateway.hooks.specs import OBSERVERS, REGISTER, STAGES, Specs

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "hooks.md").read_text()
ALL = (*REGISTER, *STAGES, *OBSERVERS)
SLOTS = {
    **dict.fromkeys(REGISTER, ("When", "Raises", "Postfix")),
    **dict.fromkeys(STAGES, ("When", "Result", "Args", "Async", "Raises", "Edits", "Postfix")),
    **dict.fromkeys(OBSERVERS, ("When", "Args", "Async", "Postfix")),
}


def signature(hook: str) -> str:
    names = [name for name in inspect.signature(getattr(Specs, hook)).parameters if name != "self"]
    return f"{hook}({', '.join(names)})"


def test_every_specification_is_in_a_group() -> None:
    specified = {name for name, value in vars(Specs).items() if hasattr(value, "postgate_spec")}
    assert specified == set(ALL)


@pytest.mark.parametrize("hook", ALL)
def test_heading_has_the_exact_signature(hook: str) -> None:
    assert f"### `{signature(hook)}`" in TEXT


@pytest.mark.parametrize("hook", ALL)
def test_docstring_has_its_slots(hook: str) -> None:
    text = inspect.getdoc(getattr(Specs, hook)) or ""
    assert [slot for slot in SLOTS[hook] if not re.search(rf"\b{slot}:", text)] == []


@pytest.mark.parametrize("hook", ALL)
def test_somebody_uses_it(hook: str) -> None:
    """A hook that no built-in, template or demo uses is a guess."""
    users = [*ROOT.glob("plugins/**/*.py"), *ROOT.glob("contrib/**/*.py")]
    pattern = re.compile(rf"@hookimpl\n\s*(?:@blocking\n\s*)?(?:async )?def {hook}\(")
    assert any(pattern.search(path.read_text()) for path in users)


def test_document_is_what_the_generator_writes() -> None:
    from gateway.hooks.document import render

    assert render() == TEXT, "run: make hooks-doc"
