"""The tables of known parameters, one file a topic."""

from __future__ import annotations

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
from gateway.config.registry import Registry

_TABLES = (
    addressing, content, lmtp, local, postgate, postscreen, queue, smtp_client, smtpd, system, tls_client, tls_server,
)  # fmt: skip


def default_registry() -> Registry:
    """A new registry with every parameter of Postfix 3.7 and ours."""
    return Registry(parameter for table in _TABLES for parameter in table.PARAMETERS)
