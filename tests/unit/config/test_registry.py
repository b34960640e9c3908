from __future__ import annotations

import pytest

from gateway.config.parameter import Parameter, integer, text
from gateway.config.registry import Registry


def test_parameters_are_found_by_name() -> None:
    registry = Registry([text("a"), integer("b", "1")])
    assert "a" in registry
    assert "c" not in registry
    assert registry.get("b") == integer("b", "1")
    assert registry.get("c") is None
    assert [parameter.name for parameter in registry] == ["a", "b"]
    assert len(registry) == 2


def test_the_same_definition_may_come_twice_and_another_may_not() -> None:
    registry = Registry([text("a", "x")])
    registry.add(text("a", "x"))
    with pytest.raises(ValueError, match="a is already defined by postfix"):
        registry.add(Parameter("a", origin="some_plugin"))
    assert registry.get("a") == text("a", "x")


def test_a_copy_grows_on_its_own() -> None:
    registry = Registry([text("a")])
    copy = registry.copy()
    copy.add(text("b"))
    assert "b" not in registry


def test_the_nearest_name() -> None:
    registry = Registry([text("myhostname"), text("mydomain")])
    assert registry.nearest("myhostnam") == "myhostname"
    assert registry.nearest("mua_restrictions", ["mua_restriction"]) == "mua_restriction"
    assert registry.nearest("something_else") is None
