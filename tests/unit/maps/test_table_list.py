"""Several tables, and the order for mail addresses."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.maps import MemoryTable, Tables
from gateway.maps.table_list import TableList
from gateway.model.errors import TableError

CONFIG = Config.from_settings({"relay_recipient_maps": "inline:{a=1, b=2} inline:{b=3, c=4}"})


def test_the_first_table_answers() -> None:
    listed = TableList.of(CONFIG, "relay_recipient_maps", Tables(CONFIG))
    assert listed
    assert [asyncio.run(listed.find(key)) for key in "abcd"] == ["1", "2", "4", None]
    assert not TableList(())


def test_patterns_are_not_asked_for_parts() -> None:
    listed = TableList([Tables(CONFIG).open("regexp:{{/^@d/\tx}}")])
    assert asyncio.run(listed.find("@d")) == "x"
    assert asyncio.run(listed.find("@d", is_part=True)) is None


class Empty(MemoryTable):
    def get(self, key: str) -> str | None:
        return ""


def test_an_empty_text_is_no_answer() -> None:
    listed = TableList([Empty("ours:x")])
    assert asyncio.run(listed.find("")) is None
    with pytest.raises(TableError, match='table ours:x: an empty text under "a"'):
        asyncio.run(listed.find("a"))
