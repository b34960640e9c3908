"""The argument of check_policy_service, and the settings of main.cf behind it.

Source: SMTPD_POLICY_README, "Advanced policy client configuration".
"""

from __future__ import annotations

import os

import msgspec

from gateway.config.values import BadValue, parse_integer, parse_seconds, split_words
from gateway.model.errors import ConfigError
from gateway.model.restriction import RestrictionContext
from gateway.net.endpoint import Endpoint
from gateway.restrictions.access_action import Kind, parse_action

_PREFIX = "smtpd_policy_service_"
_OWN = tuple(
    parameter.removeprefix(_PREFIX)
    for parameter in (
        "smtpd_policy_service_timeout", "smtpd_policy_service_max_idle", "smtpd_policy_service_max_ttl",
        "smtpd_policy_service_request_limit", "smtpd_policy_service_try_limit", "smtpd_policy_service_retry_delay",
        "smtpd_policy_service_default_action", "smtpd_policy_service_policy_context",
    )
)  # fmt: skip
"""What may stand behind a server: the parameters of main.cf without their prefix."""


class ServerSettings(msgspec.Struct, frozen=True):
    """One policy server and how it is asked.

    Args:
        server: where it listens, as main.cf has it, without ``inet:`` or ``unix:``; its name in the log.
        endpoint: where it listens; the path of a socket is below the queue directory.
        timeout_s: for one attempt: connection, request and reply together.
        max_idle_s: an unused connection is kept so long.
        max_ttl_s: a connection is used so long.
        request_limit: questions on one connection; 0 for any number.
        try_limit: attempts for one question.
        retry_delay_s: pause between two.
        default_action: what holds when all fail.
        policy_context: told to the server.
    """

    server: str
    endpoint: Endpoint
    timeout_s: int
    max_idle_s: int
    max_ttl_s: int
    request_limit: int
    try_limit: int
    retry_delay_s: int
    default_action: str
    policy_context: str

    @classmethod
    def of(cls, argument: str, context: RestrictionContext) -> ServerSettings:
        """Read ``inet:host:port`` or ``{ inet:host:port, timeout=10s, { default_action = 451 4.3.5 Later } … }``.

        Raises:
            ConfigError: no server, one of another kind, or a setting that does not exist or has a wrong value.
        """
        server, own = _taken_apart(argument)
        kind, _, where = server.partition(":")
        if not where or kind not in ("inet", "unix", "local"):
            raise ConfigError(f'policy server "{server}": expected inet:host:port or unix:path')
        if kind == "inet":
            endpoint = Endpoint.tcp("policy server", where if ":" in where else f":{where}")  # no host: this one
        else:
            # Postfix's daemons work in the queue directory.
            endpoint = Endpoint(os.path.join(context.text("queue_directory"), where))
        value = _Values(own, context)
        return cls(
            where,
            endpoint,
            timeout_s=value.seconds("smtpd_policy_service_timeout"),
            max_idle_s=value.seconds("smtpd_policy_service_max_idle"),
            max_ttl_s=value.seconds("smtpd_policy_service_max_ttl"),
            request_limit=value.integer("smtpd_policy_service_request_limit", low=0),
            try_limit=value.integer("smtpd_policy_service_try_limit", low=1),
            retry_delay_s=value.seconds("smtpd_policy_service_retry_delay"),
            default_action=value.action("smtpd_policy_service_default_action"),
            policy_context=value.text("smtpd_policy_service_policy_context"),
        )


def _taken_apart(argument: str) -> tuple[str, dict[str, str]]:
    """The server, and the settings that stand behind it in braces."""
    if not argument.startswith("{"):
        return argument, {}
    words = _words(argument)
    if not words:
        raise ConfigError(f'"{argument}" names no policy server')
    own: dict[str, str] = {}
    for word in words[1:]:
        is_braced = word.startswith("{") and word.endswith("}")
        name, equals, value = (word[1:-1] if is_braced else word).partition("=")
        name = name.strip()
        if not equals or name not in _OWN:
            known = ", ".join(_OWN)
            raise ConfigError(f'policy server {words[0]}: "{word}": expected name=value with one of {known}')
        own[name] = value.strip()
    return words[0], own


def _words(argument: str) -> tuple[str, ...]:
    try:
        return split_words(argument[1:].removesuffix("}"))
    except BadValue as error:
        raise ConfigError(f'policy server "{argument}": {error}') from error


class _Values:
    """A setting of the server's own, or main.cf's."""

    def __init__(self, own: dict[str, str], context: RestrictionContext) -> None:
        self._own, self._context = own, context

    def text(self, parameter: str) -> str:
        own = self._own.get(parameter.removeprefix(_PREFIX))
        return self._context.text(parameter) if own is None else own

    def seconds(self, parameter: str) -> int:
        try:
            return self._at_least(1, parse_seconds(self.text(parameter)), parameter)
        except BadValue as error:
            raise self._wrong(parameter, str(error)) from error

    def integer(self, parameter: str, *, low: int) -> int:
        try:
            return self._at_least(low, parse_integer(self.text(parameter)), parameter)
        except BadValue as error:
            raise self._wrong(parameter, str(error)) from error

    def action(self, parameter: str) -> str:
        text = self.text(parameter)
        action = parse_action(text)
        if action.kind is Kind.DUNNO and action.problem:
            raise self._wrong(parameter, f'"{text}" {action.problem}')
        if action.kind is Kind.RESTRICTIONS:
            try:
                self._context.check(action.argument)
            except ConfigError as error:
                raise self._wrong(parameter, error.message) from error
        return text

    def _at_least(self, low: int, value: int, parameter: str) -> int:
        if value < low:
            raise self._wrong(parameter, f"less than the minimum {low}")
        return value

    def _wrong(self, parameter: str, problem: str) -> ConfigError:
        if (own := parameter.removeprefix(_PREFIX)) in self._own:
            return ConfigError(f"policy server: {own}: {problem}")
        return ConfigError(problem, parameter=parameter)
