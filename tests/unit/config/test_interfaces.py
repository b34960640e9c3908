from __future__ import annotations

import ipaddress

import pytest

from gateway.config.interfaces import Interface, own_interfaces, receiving


def interface(text: str) -> Interface:
    address, _, length = text.partition("/")
    return Interface(ipaddress.ip_address(address), int(length))


OWN = [interface(text) for text in ("127.0.0.1/8", "192.0.2.2/26", "::1/128", "2001:db8::2/64")]


@pytest.mark.parametrize(
    ("text", "style", "network"),
    [
        ("192.0.2.2/26", "host", "192.0.2.2/32"),
        ("192.0.2.2/26", "subnet", "192.0.2.0/26"),
        ("192.0.2.2/26", "class", "192.0.2.0/24"),
        ("172.16.1.1/30", "class", "172.16.0.0/16"),
        ("10.1.1.1/30", "class", "10.0.0.0/8"),
        ("2001:db8::2/64", "host", "2001:db8::2/128"),
        ("2001:db8::2/64", "class", "2001:db8::/64"),
    ],
)
def test_networks(text: str, style: str, network: str) -> None:
    assert str(interface(text).network(style)) == network


@pytest.mark.parametrize(
    ("names", "protocols", "expected"),
    [
        (["all"], ["all"], OWN),
        (["ALL"], ["ipv4"], OWN[:2]),
        (["all"], ["ipv6"], OWN[2:]),
        (["all"], ["ipv4", "ipv6"], OWN),
        (["loopback-only"], ["all"], [OWN[0], OWN[2]]),
        (["192.0.2.2", "[::1]"], ["all"], [OWN[1], OWN[2]]),
        (["198.51.100.1"], ["all"], []),
    ],
)
def test_choice(names: list[str], protocols: list[str], expected: list[Interface]) -> None:
    assert receiving(OWN, names, protocols) == expected


def test_this_host_has_a_loopback_address() -> None:
    assert any(
        item.address == ipaddress.ip_address("127.0.0.1") and item.prefix_length == 8 for item in own_interfaces()
    )
