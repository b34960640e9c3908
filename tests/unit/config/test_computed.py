from __future__ import annotations

import ipaddress
import pathlib
import socket

import pytest

from gateway.config.computed import default_domain, default_hostname, default_networks, origin
from gateway.config.interfaces import Interface
from gateway.model.errors import ConfigError


def test_the_host_name_is_made_fully_qualified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "mx")
    assert default_hostname(None) == "mx.localdomain"
    assert default_hostname("example.com") == "mx.example.com"
    monkeypatch.setattr(socket, "gethostname", lambda: "mx.example.org")
    assert default_hostname("example.com") == "mx.example.org"


def test_the_domain_is_what_follows_the_first_label() -> None:
    assert [default_domain(name) for name in ("mx.example.com", "mx")] == ["example.com", "localdomain"]


def test_networks_are_written_as_mynetworks_takes_them() -> None:
    own = [
        Interface(ipaddress.ip_address("127.0.0.1"), 8),
        Interface(ipaddress.ip_address("127.0.0.2"), 8),
        Interface(ipaddress.ip_address("fe80::1"), 64),
    ]
    assert default_networks(own, "subnet") == "127.0.0.0/8 [fe80::]/64"
    assert default_networks(own, "host") == "127.0.0.1/32 127.0.0.2/32 [fe80::1]/128"


def test_the_origin_may_stand_in_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "mailname").write_text("example.com \nmore\n")
    assert origin(str(tmp_path / "mailname")) == "example.com"
    assert origin("example.org") == "example.org"
    with pytest.raises(ConfigError):
        origin("/nonexistent/mailname")
