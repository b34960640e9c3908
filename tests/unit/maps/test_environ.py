"""environ: the environment of the process."""

from __future__ import annotations

import pytest
from peers.tables import surroundings

from gateway.maps.environ import EnvironTable


def test_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("a_variable", "a value=x")
    monkeypatch.setenv("UPPER", "x")
    monkeypatch.setenv("raw", "\udcff")
    table = EnvironTable("environ:x", "x", surroundings())
    assert table.get("a_variable") == table.get("A_Variable") == "a value=x"
    assert table.get("raw") == "\udcff"
    for key in ("UPPER", "upper", "", "a_variable=a value", "a_variable\0", "\udcff", "é"):
        assert table.get(key) is None
    monkeypatch.setenv("a_variable", "changed")
    assert table.get("a_variable") == "changed"
