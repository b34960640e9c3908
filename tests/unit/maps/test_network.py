"""Addresses and networks as numbers."""

from __future__ import annotations

import pytest

from gateway.maps.network import Network, parse_address, parse_network


def test_addresses() -> None:
    assert parse_address("1.2.3.4") == (4, 0x01020304)
    assert parse_address("::1") == (6, 1)
    for text in ("", "1.2.3", "unknown", "1.2.3.4.5", "::g", "1.2.3.4\0", "é"):
        assert parse_address(text) is None


def test_networks() -> None:
    assert parse_network("10.0.0.0/8") == Network(4, 8, 10)
    assert parse_network("[::1]/128") == parse_network("[::1]") == parse_network("::1") == Network(6, 128, 1)
    assert parse_network("[2001:db8::/32]") == Network(6, 32, 0x20010DB8)
    network = parse_network("0.0.0.0/0")
    assert network.has((4, 77))
    assert not network.has((6, 77))


@pytest.mark.parametrize("text", ["", "/8", "10.0.0.1/8", "10.0.0.0/-1", "10.0.0.0/33", "[::1]/129", "[::1", "a/8"])
def test_nonsense(text: str) -> None:
    with pytest.raises(ValueError, match=r"bad|host bits"):
        parse_network(text)
