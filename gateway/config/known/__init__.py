"""The tables of known parameters, one file a topic."""

from __future__ import annotations

from functools import cache

from gateway.config.known import (
    addressing,
    content,
    lmtp,
    local,
    postgate,
    postscreen,
    queue,
    smtp_client,
    smtpd,
    system,
    tls_client,
    tls_server,
)
from gateway.config.known.effects import with_effects
from gateway.config.parameter import Parameter
from gateway.config.registry import Registry

_TABLES = {
    "Addresses, classes and routing": addressing,
    "SMTP server": smtpd,
    "SMTP server: TLS and SASL": tls_server,
    "Message content": content,
    "Queue and notifications": queue,
    "SMTP client": smtp_client,
    "LMTP client": lmtp,
    "SMTP and LMTP client: TLS and SASL": tls_client,
    "Local delivery": local,
    "Postscreen and the TLS proxy": postscreen,
    "System, processes and logging": system,
    "Parameters of Postgate": postgate,
}

TOPICS: dict[str, tuple[str, ...]] = {
    title: tuple(parameter.name for parameter in table.PARAMETERS) for title, table in _TABLES.items()
}
"""Names of parameters by topic, in the order of the manual."""


@cache
def _parameters() -> tuple[Parameter, ...]:
    return tuple(with_effects(parameter for table in _TABLES.values() for parameter in table.PARAMETERS))


def default_registry() -> Registry:
    """A new registry with every parameter of Postfix 3.7 and ours."""
    return Registry(_parameters())
