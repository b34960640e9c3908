"""Several tables, and the order for mail addresses."""

from __future__ import annotations

import asyncio

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.table_list import TableList

CONFIG = Config.from_settings({"relay_recipient_maps": "inline:{a=1, b=2} inline:{b=3, c=4}"})


def found(maps: str, address: str, *, is_local: bool = False) -> str | None:
    tables = Tables(CONFIG)
    listed = TableList([tables.open(spec) for spec in maps.split(" ")])
    return asyncio.run(listed.find_address(address, delimiters="+", is_local=is_local))


def test_the_first_table_answers() -> None:
    listed = TableList.of(CONFIG, "relay_recipient_maps", Tables(CONFIG))
    assert listed
    assert [asyncio.run(listed.find(key)) for key in "abcd"] == ["1", "2", "4", None]
    assert not TableList(())


def test_address_order() -> None:
    assert found("inline:{u+x@d=1,u@d=2,@d=3}", "u+x@d") == "1"
    assert found("inline:{u@d=2,@d=3}", "u+x@d") == "2"
    assert found("inline:{@d=3,u=4}", "u+x@d") == "3"
    assert found("inline:{@d=3,u=4}", "u+x@d", is_local=True) == "4"
    assert found("inline:{u+x=5,u=4}", "u+x@d", is_local=True) == "5"
    assert found("inline:{u=4}", "u@d") is None


def test_patterns_see_the_whole_address_only() -> None:
    assert found("regexp:{{/^@d/\tx}}", "u@d") is None
    assert found("regexp:{{/^u@/\tx}}", "u@d") == "x"
