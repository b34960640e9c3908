"""The patterns of postconf(5) for the addresses of a DNS list."""

from __future__ import annotations

import pytest
from gateway_rbl.address_filter import AddressFilter

from gateway.model.errors import ConfigError


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("127.0.0.2", "127.0.0.2", "127.0.0.3"),
        ("127.0.0.002", "127.0.0.2", "127.0.0.20"),
        ("127.0.0.[2;4..8;11]", "127.0.0.2 127.0.0.4 127.0.0.6 127.0.0.8 127.0.0.11", "127.0.0.3 127.0.0.9 127.0.1.2"),
        ("[127].0.[0..255].[2..2]", "127.0.0.2 127.0.255.2", "126.0.0.2 127.1.0.2 127.0.0.3"),
        ("0.0.0.0", "0.0.0.0", "127.0.0.2"),
        ("[0..255].[0..255].[0..255].[0..255]", "0.0.0.0 255.255.255.255 127.0.0.2", ""),
    ],
)
def test_patterns(pattern: str, inside: str, outside: str) -> None:
    made = AddressFilter.parse(pattern)
    assert [made.matches(address) for address in inside.split()] == [True] * len(inside.split())
    assert [made.matches(address) for address in outside.split()] == [False] * len(outside.split())


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        *((pattern, r"expected d\.d\.d\.d") for pattern in (
            "", "127.0.0", "127.0.0.2.", "127.0.0.2.1", "127.0.0.2=127.0.0.3", "127.0.0.[]", "127.0.0.[2;]",
            "127.0.0.[2,3]", "127.0.0.[2-3]", "127.0.0.[2..]", "127.0.0.[..3]", "127.0.0.2..3", "127.0.0.[2..3..4]",
            "127.0.0.-1", "127.0.0.0x2", "127.0.0.\u0662", "127.0.0.2\n", "127.0.0.[2", "[127.0].0.0.2",
            "127.0.0." + "9" * 5000,
        )),
        ("127.0.0.256", "256 is more than an octet"),
        ("127.0.0.[2;4..300]", r"4\.\.300 is more"),
        ("127.0.0.[5..3]", r"5\.\.3 is empty"),
    ],
)  # fmt: skip
def test_mistakes(pattern: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        AddressFilter.parse(pattern)
