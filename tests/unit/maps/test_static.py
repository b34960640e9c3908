"""static: one value for all."""

from __future__ import annotations

import pytest
from peers.tables import surroundings

from gateway.maps.static import StaticTable
from gateway.model.errors import ConfigError


def test_value() -> None:
    assert StaticTable("static:OK", "OK", surroundings()).get("anything") == "OK"
    assert StaticTable("static:{a  b}", "{ a  b }", surroundings()).get("") == "a  b"


def test_empty() -> None:
    with pytest.raises(ConfigError):
        StaticTable("static:{}", "{ }", surroundings())
