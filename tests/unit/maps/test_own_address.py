"""Own addresses from inet_interfaces and proxy_interfaces."""

from __future__ import annotations

import pytest

from gateway.config import Config
from gateway.maps.own_address import own_addresses
from gateway.model.errors import ConfigError

LOOPBACK = (4, 0x7F000001)


@pytest.mark.parametrize("value", ["all", "loopback-only", "127.0.0.1", "localhost"])
def test_loopback_is_ours(value: str) -> None:
    assert LOOPBACK in own_addresses(Config.from_settings({"inet_interfaces": value}))


def test_lists() -> None:
    config = Config.from_settings({"inet_interfaces": "127.0.0.1, [::1]", "proxy_interfaces": "192.0.2.7"})
    assert own_addresses(config) == {LOOPBACK, (6, 1), (4, 0xC0000207)}


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ConfigError, match="host not found"):
        own_addresses(Config.from_settings({"inet_interfaces": "127.0.0.1", "proxy_interfaces": "a..b"}))
