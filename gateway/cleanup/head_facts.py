"""What cleanup needs of a header block."""

from __future__ import annotations

import msgspec


class HeadFacts(msgspec.Struct, frozen=True, gc=False):
    """What cleanup needs of a header block.

    Args:
        message_id: value of the first Message-ID, brackets included, or empty.
        hops: number of Received headers.
        names: lower-case names present.
    """

    message_id: str
    hops: int
    names: frozenset[bytes]
