"""Upkeep."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.spool.faults import Fault
from gateway.spool.interface import Log


def quarantine(queue_directory: str, queue_id: str, blobs: Sequence[object]) -> None:
    """Keep."""


class Upkeep:
    """Upkeep."""

    def __init__(self, directory: str, path: str, log: Log, report: Callable[[Fault], None]) -> None:
        pass

    def stop(self) -> None:
        """Stop."""
