"""docs/parameters.md and the registry say the same."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.config.document import render
from gateway.config.known import default_registry

TEXT = (Path(__file__).parents[2] / "docs" / "parameters.md").read_text()
ROW = re.compile(r"^\| `([A-Za-z0-9_]+)` \|", re.MULTILINE)


def test_document_is_what_the_generator_writes() -> None:
    assert render() == TEXT, "run: make parameters-doc"


def test_every_parameter_has_one_row() -> None:
    assert sorted(ROW.findall(TEXT)) == sorted(parameter.name for parameter in default_registry())


def test_every_reason_stands_over_a_table() -> None:
    reasons = {parameter.no_effect for parameter in default_registry()} - {""}
    assert reasons == set(re.findall(r"^\*\*Without effect\*\*: (.*)\.\n\n\| name", TEXT, re.MULTILINE))
