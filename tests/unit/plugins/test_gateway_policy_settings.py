"""The argument of check_policy_service."""

from __future__ import annotations

import pytest
from gateway_policy.settings import ServerSettings

from gateway.config import Config
from gateway.model.errors import ConfigError
from gateway.net.endpoint import Endpoint


class Context:
    """What settings ask of their place in the configuration."""

    def __init__(self, **settings: str) -> None:
        self.config = Config.from_settings({"queue_directory": "/var/spool/x"} | settings)

    def text(self, parameter: str) -> str:
        return self.config.text(parameter)


def read(argument: str, **settings: str) -> ServerSettings:
    return ServerSettings.of(argument, Context(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("argument", "endpoint", "name"),
    [
        ("inet:127.0.0.1:9998", Endpoint("127.0.0.1", 9998), "127.0.0.1:9998"),
        ("inet:[::1]:9998", Endpoint("::1", 9998), "[::1]:9998"),
        ("inet:policy.example:smtp", Endpoint("policy.example", 25), "policy.example:smtp"),
        ("inet:9998", Endpoint("localhost", 9998), "9998"),
        ("inet::9998", Endpoint("localhost", 9998), ":9998"),
        ("unix:private/policy", Endpoint("/var/spool/x/private/policy"), "private/policy"),
        ("unix:/run/policy", Endpoint("/run/policy"), "/run/policy"),
        ("local:private/policy", Endpoint("/var/spool/x/private/policy"), "private/policy"),
        ("{ unix:private/policy }", Endpoint("/var/spool/x/private/policy"), "private/policy"),
        ("{inet:127.0.0.1:9998,timeout=3s}", Endpoint("127.0.0.1", 9998), "127.0.0.1:9998"),
    ],
)
def test_servers(argument: str, endpoint: Endpoint, name: str) -> None:
    settings = read(argument)
    assert (settings.endpoint, settings.server) == (endpoint, name)


def test_defaults_are_those_of_main_cf() -> None:
    settings = read("inet:127.0.0.1:9998")
    assert (settings.timeout_s, settings.max_idle_s, settings.max_ttl_s) == (100, 300, 1000)
    assert (settings.request_limit, settings.try_limit, settings.retry_delay_s) == (0, 2, 1)
    assert (settings.default_action, settings.policy_context) == ("451 4.3.5 Server configuration problem", "")
    settings = read("inet:127.0.0.1:9998", smtpd_policy_service_timeout="1m", smtpd_policy_service_policy_context="x")
    assert (settings.timeout_s, settings.policy_context) == (60, "x")


def test_a_server_may_have_its_own() -> None:
    settings = read(
        "{ inet:127.0.0.1:9998, timeout=10s max_idle=2m, { max_ttl = 1h }, request_limit=7, try_limit=1, retry_delay=3,"
        " { default_action = 451 4.3.5 See, there = here }, policy_context=submission }",
        smtpd_policy_service_timeout="1m",
    )
    assert (settings.timeout_s, settings.max_idle_s, settings.max_ttl_s) == (10, 120, 3600)
    assert (settings.request_limit, settings.try_limit, settings.retry_delay_s) == (7, 1, 3)
    assert (settings.default_action, settings.policy_context) == ("451 4.3.5 See, there = here", "submission")


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("127.0.0.1:9998", "expected inet:host:port or unix:path"),
        ("tcp:127.0.0.1:9998", "expected inet:host:port or unix:path"),
        ("inet:", "expected inet:host:port"),
        ("unix:", "expected inet:host:port or unix:path"),
        ("inet:127.0.0.1", 'policy server: ":127.0.0.1": expected host:port'),
        ("inet:127.0.0.1:70000", "expected host:port"),
        ("{ }", "names no policy server"),
        ("{ inet:127.0.0.1:1 timeout }", '"timeout": expected name=value with one of timeout, max_idle'),
        ("{ inet:127.0.0.1:1 timeout = 3 }", '"timeout": expected name=value'),
        ("{ inet:127.0.0.1:1 tiemout=3 }", '"tiemout=3": expected name=value'),
        ("{ inet:127.0.0.1:1 timeout=soon }", "timeout: not a time"),
        ("{ inet:127.0.0.1:1 timeout=0 }", "timeout: less than the minimum 1"),
        ("{ inet:127.0.0.1:1 try_limit=0 }", "try_limit: less than the minimum 1"),
        ("{ inet:127.0.0.1:1 request_limit=-1 }", "request_limit: less than the minimum 0"),
        ("{ inet:127.0.0.1:1 request_limit=many }", "request_limit: "),
        ("{ inet:127.0.0.1:1 default_action= }", 'default_action: "" has no value'),
        ("{ inet:127.0.0.1:1 { default_action = FILTER nowhere } }", "requires transport:destination"),
        ("{ inet:127.0.0.1:1 { timeout=3 }", 'has no "}"'),
    ],
)
def test_mistakes(argument: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read(argument)


def test_a_mistake_in_main_cf_is_told_there() -> None:
    with pytest.raises(ConfigError, match="less than the minimum 1") as caught:
        read("inet:127.0.0.1:9998", smtpd_policy_service_timeout="0")
    assert caught.value.parameter == "smtpd_policy_service_timeout"
