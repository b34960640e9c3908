"""Tables opened without a gateway around them."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.source import Surroundings


def surroundings(
    settings: dict[str, str] | None = None,
    *,
    directory: str = "",
    clock: Callable[[], float] = time.monotonic,
    warnings: list[str] | None = None,
    lines: list[str] | None = None,
) -> Surroundings:
    """What a table is opened with; warnings and log lines go to the lists."""
    config = Config.from_settings(settings or {})
    told = lines if lines is not None else []
    kept = warnings if warnings is not None else []
    return Surroundings(directory, clock, kept.append, config, Tables(config).open, told.append)
