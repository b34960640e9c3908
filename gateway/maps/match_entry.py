"""One entry of a list of domains or networks."""

from __future__ import annotations

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """One word of a list, without its ``!``."""

    text: str
    is_negated: bool
