"""The recipients of a message as they will be stored: each once.

Source: cleanup(8), "Eliminate duplicate envelope recipient addresses"; postconf(5) enable_original_recipient,
duplicate_filter_limit.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.config import Config
from gateway.maps.table import folded
from gateway.model.envelope import Recipient


class DuplicateFilter:
    """What makes two recipients the same.

    With ``enable_original_recipient`` they are two when they were two for the sender, or ask for other notifications:
    both get their mail. Otherwise the address alone counts, and the first one's wishes.
    """

    def __init__(self, config: Config) -> None:
        self._has_originals = config.boolean("enable_original_recipient")
        self._limit = config.integer("duplicate_filter_limit")

    def unique(self, recipients: Iterable[Recipient]) -> list[Recipient]:
        """The recipients in order, each the first time; behind ``duplicate_filter_limit`` of them nobody is compared
        with newcomers any more (0: no limit).
        """
        seen: set[object] = set()
        kept = []
        for recipient in recipients:
            key = self._key(recipient)
            if key not in seen:
                kept.append(recipient)
                if not self._limit or len(seen) < self._limit:
                    seen.add(key)
        return kept

    def _key(self, recipient: Recipient) -> object:
        address = folded(str(recipient.address))
        if not self._has_originals:
            return address
        original = folded(recipient.original) or address
        return address, original, folded(recipient.orcpt) or f"rfc822;{original}", frozenset(recipient.notify)
