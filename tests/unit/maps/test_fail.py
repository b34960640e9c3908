"""fail: never an answer."""

from __future__ import annotations

import asyncio

import pytest
from peers.tables import surroundings

from gateway.maps.fail import FailTable
from gateway.model.errors import TableError


def test_every_lookup_fails() -> None:
    with pytest.raises(TableError, match="fail:x"):
        asyncio.run(FailTable("fail:x", "x", surroundings()).find("a"))
