"""The parameters that rows of master.cf bring, such as ``relay_destination_concurrency_limit``.

Source: "Postfix master.cf service-defined parameters" of postconf(1) -C service.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.config.known.transport import (
    DELIVERY_COMMANDS,
    SUFFIXES,
    TIME_LIMIT,
    TIME_LIMIT_COMMANDS,
    TIME_LIMIT_DEFAULT,
)
from gateway.config.master_cf import Row
from gateway.config.parameter import Parameter
from gateway.config.registry import Registry


def service_parameters(rows: Iterable[Row], registry: Registry) -> dict[str, Parameter]:
    """By name: a row's transport or program decides which ones it brings."""
    found: dict[str, Parameter] = {}
    for row in rows:
        suffixes: dict[str, str] = {}
        if row.fields[1] != "inet" and row.command in DELIVERY_COMMANDS:
            suffixes |= SUFFIXES
        if row.command in TIME_LIMIT_COMMANDS:
            suffixes[TIME_LIMIT] = TIME_LIMIT_DEFAULT
        for suffix, fallback in suffixes.items():
            name = f"{row.fields[0]}_{suffix}"
            found[name] = registry.get(name) or Parameter(name, default=f"${fallback}")
    return found
