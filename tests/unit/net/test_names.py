from __future__ import annotations

import pytest

from gateway.net.names import ascii_name, is_host_name, literal_address, reverse_name


@pytest.mark.parametrize(
    "name", ["a", "mx1.example.com", "x_y.example", "1-2.example", "xn--bcher-kva.example", "a" * 63]
)
def test_host_names(name: str) -> None:
    assert is_host_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "a..b", "a.", "-a.b", "a-.b", "a b", "a\0b", "a\n", "1.2.3.4", "example.123", "a" * 64, "a." * 127 + "bcd",
     "bücher.example", "a/b", "[1.2.3.4]", "a\\.b"],
)  # fmt: skip
def test_no_host_names(name: str) -> None:
    assert not is_host_name(name)


def test_ascii_name() -> None:
    assert ascii_name("Bücher.Example.") == "xn--bcher-kva.example"
    assert ascii_name("MX.Example.") == "mx.example"
    assert ascii_name("ü" * 80) == ""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("[1.2.3.4]", "1.2.3.4"),
        ("[IPv6:::1]", "::1"),
        ("ipv6:2001:DB8::1", "2001:db8::1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("", ""),
        ("mx.example", ""),
        ("mx1", ""),
        ("1.2.3", ""),
        ("1.2.3.400", ""),
        ("[1.2.3.4", ""),
    ],
)
def test_literal_address(text: str, address: str) -> None:
    assert literal_address(text) == address


def test_reverse_name() -> None:
    assert reverse_name("1.2.3.4") == "4.3.2.1.in-addr.arpa"
    assert reverse_name("::1").endswith("0.0.ip6.arpa")
    assert reverse_name("unknown") == ""
