from __future__ import annotations

import pytest

from gateway.model.errors import ConfigError
from gateway.transport.nexthop import Destination, parse_nexthop


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", Destination("example.com", 25, True)),
        ("example.com:2525", Destination("example.com", 2525, True)),
        ("example.com:submission", Destination("example.com", 587, True)),
        ("[mx.example.com]", Destination("mx.example.com", 25)),
        ("[mx.example.com]:2525", Destination("mx.example.com", 2525)),
        ("[10.0.0.1]:2525", Destination("10.0.0.1", 2525)),
        ("10.0.0.1", Destination("10.0.0.1", 25)),
        ("10.0.0.1:2525", Destination("10.0.0.1", 2525)),
        ("[ipv6:2001:db8::1]:26", Destination("2001:db8::1", 26)),
        ("[2001:db8::1]", Destination("2001:db8::1", 25)),
        ("2001:db8::1", Destination("2001:db8::1", 25)),
        ("inet:mx.example.com:26", Destination("mx.example.com", 26)),
        ("inet:[10.0.0.1]:26", Destination("10.0.0.1", 26)),
        ("unix:/run/lmtp", Destination("/run/lmtp", 0)),
        ("unix:private/lmtp", Destination("private/lmtp", 0)),
    ],
)
def test_one(text: str, expected: Destination) -> None:
    assert parse_nexthop(text, default_port=25) == (expected,)


def test_lmtp_has_no_exchangers() -> None:
    assert parse_nexthop("mx.example.com", default_port=24, is_lmtp=True) == (Destination("mx.example.com", 24),)


def test_several() -> None:
    assert parse_nexthop("a.example, [b.example]:26\tc.example", default_port=25) == (
        Destination("a.example", 25, True),
        Destination("b.example", 26),
        Destination("c.example", 25, True),
    )


@pytest.mark.parametrize(
    "text", ["", " , ", "[a.example", "a.example:nosuchservice", ":25", "unix:", "[]:25", "a:0", "a:65536"]
)
def test_bad(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_nexthop(text, default_port=25)
