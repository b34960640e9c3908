"""One restriction of a compiled list."""

from __future__ import annotations

import msgspec

from gateway.model.restriction import Restriction


class Step(msgspec.Struct, frozen=True):
    """One restriction of a compiled list.

    Args:
        name: as in main.cf, for the ledger.
        restriction: asked with the session.
        is_warning: ``warn_if_reject`` stands before it, or before the class it came with.
        deadline_s: for what it awaits; 0 when its waits are bounded already.
    """

    name: str
    restriction: Restriction
    is_warning: bool = False
    deadline_s: float = 0.0
