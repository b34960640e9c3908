from __future__ import annotations

import pytest

from gateway.config import Config
from gateway.model.errors import ConfigError
from gateway.proto.smtp_client import Verb
from gateway.transport.settings import NO_LIMIT_S, ClientSettings, port_number


def test_defaults_are_postfixs() -> None:
    config = Config.from_settings({"myhostname": "me.example"})
    smtp, lmtp = ClientSettings.read(config), ClientSettings.read(config, is_lmtp=True)
    assert (smtp.port, lmtp.port) == (25, 24)
    assert smtp.helo_name == lmtp.helo_name == "me.example"
    assert smtp.timeouts[Verb.CONNECT] == smtp.timeouts[Verb.EHLO] == 300
    assert smtp.timeouts[Verb.DATA] == 120
    assert smtp.timeouts[Verb.END] == 600
    assert smtp.timeouts[Verb.RSET] == 20
    assert (smtp.connect_timeout_s, lmtp.connect_timeout_s) == (30, NO_LIMIT_S)
    assert smtp.data_xfer_timeout_s == 180
    assert set(smtp.timeouts) == set(lmtp.timeouts) == set(Verb), "every wait has a deadline"
    assert (smtp.skip_quit_response, lmtp.skip_quit_response) == (True, False)
    assert (smtp.mx_session_limit, smtp.mx_address_limit) == (2, 5)
    assert smtp.families == ("ipv4", "ipv6")
    assert smtp.line_length_limit == 998
    assert smtp.is_dns_lookup
    assert not smtp.is_native_lookup


def test_own_prefix() -> None:
    config = Config.from_settings(
        {
            "smtp_helo_name": "smtp.example",
            "lmtp_lhlo_name": "lmtp.example",
            "smtp_tcp_port": "2525",
            "smtp_discard_ehlo_keywords": "pipelining, dsn",
            "inet_protocols": "ipv6",
        }
    )
    smtp, lmtp = ClientSettings.read(config), ClientSettings.read(config, is_lmtp=True)
    assert (smtp.helo_name, lmtp.helo_name) == ("smtp.example", "lmtp.example")
    assert smtp.port == 2525
    assert smtp.discard_ehlo_keywords == {"PIPELINING", "DSN"}
    assert lmtp.discard_ehlo_keywords == frozenset()
    assert smtp.families == ("ipv6",)


@pytest.mark.parametrize(
    ("text", "port"), [("25", 25), ("smtp", 25), ("lmtp", 24), ("submission", 587), ("65535", 65535)]
)
def test_port(text: str, port: int) -> None:
    assert port_number(text) == port


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "²", "no such service"])
def test_bad_port(text: str) -> None:
    with pytest.raises(ConfigError):
        port_number(text)
