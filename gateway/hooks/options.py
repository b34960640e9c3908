"""One entry of main.cf's ``plugins``: a name, or ``{ name, option=value … }``.

Options: ``timeout``, ``default_action``, and either with a stage name before it (``data_timeout``,
``data_default_action``). The form is that of Postfix's ``smtpd_milters = { inet:…, default_action=accept }``.
"""

from __future__ import annotations

import re

import msgspec

from gateway.hooks.failure import FailurePolicy
from gateway.hooks.specs import STAGES
from gateway.model.errors import ConfigError

_SECONDS = re.compile(r"(\d+)([smhd]?)")
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class PluginOptions(msgspec.Struct, frozen=True):
    """A plugin that main.cf asks for.

    Args:
        name: entry point name, or absolute path of a Python file, with ``:Class`` when it is no module plugin.
        timeouts: seconds by stage, ``""`` for all stages.
        policies: failure policy by stage, ``""`` for all stages.
    """

    name: str
    timeouts: dict[str, float] = {}
    policies: dict[str, FailurePolicy] = {}

    def timeout(self, stage: str, default_s: float) -> float:
        """Deadline of one call, in seconds."""
        return self.timeouts.get(stage, self.timeouts.get("", default_s))

    def policy(self, stage: str, default: FailurePolicy) -> FailurePolicy:
        """Failure policy of one stage."""
        return self.policies.get(stage, self.policies.get("", default))


def parse_options(entry: str) -> PluginOptions:
    """Parse one entry of ``plugins``.

    Raises:
        ConfigError: naming the option and what is allowed.
    """
    if not entry.startswith("{"):
        return PluginOptions(entry)
    words = [word for word in re.split(r"[,\s]+", entry.strip("{}").replace(" = ", "=")) if word]
    if not words:
        raise ConfigError("empty { } group", parameter="plugins")
    timeouts: dict[str, float] = {}
    policies: dict[str, FailurePolicy] = {}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        stage, kind = _split_key(key)
        if not equals or not kind:
            raise ConfigError(
                f"{words[0]}: option {word!r}: want [stage_]timeout=TIME or [stage_]default_action=ACTION",
                parameter="plugins",
            )
        if kind == "timeout":
            timeouts[stage] = _seconds(words[0], value)
        else:
            policies[stage] = _policy(words[0], value)
    return PluginOptions(words[0], timeouts, policies)


def _split_key(key: str) -> tuple[str, str]:
    for kind in ("timeout", "default_action"):
        if key == kind:
            return "", kind
        stage = key.removesuffix("_" + kind)
        if stage != key and stage in STAGES:
            return stage, kind
    return "", ""


def _seconds(name: str, value: str) -> float:
    match = _SECONDS.fullmatch(value)
    if match is None or not int(match[1]):
        raise ConfigError(f"{name}: timeout {value!r}: want a positive time such as 30s", parameter="plugins")
    return float(int(match[1]) * _UNIT_SECONDS[match[2]])


def _policy(name: str, value: str) -> FailurePolicy:
    try:
        return FailurePolicy(value)
    except ValueError:
        known = ", ".join(policy.value for policy in FailurePolicy)
        raise ConfigError(f"{name}: default_action {value!r}: want one of {known}", parameter="plugins") from None
