"""``regexp:`` — POSIX regular expressions to results, as the C library matches them. Source: regexp_table(5).

Keys are not folded: matching ignores case unless the flag ``i`` turns that off.
"""

from __future__ import annotations

import re

from gateway.maps.pattern.literals import Syntax
from gateway.maps.pattern.posix_regex import PosixPattern
from gateway.maps.pattern.table import Flagged, PatternTable

_BACK_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]")


class RegexpTable(PatternTable):
    """Every key is matched whole, as it came; one with a NUL is not found, for the C library would see half of it."""

    known_flags = "imx"

    def get(self, key: str) -> str | None:
        """See :meth:`PatternTable.get`."""
        return None if "\0" in key else super().get(key)

    def compile(self, pattern: Flagged, *, needs_groups: bool) -> PosixPattern:
        """See :meth:`PatternTable.compile`."""
        return PosixPattern(
            pattern.octets,
            is_extended=pattern.is_on("x", default=True),
            is_case_folding=pattern.is_on("i", default=True),
            is_multiline=pattern.is_on("m"),
            needs_groups=needs_groups,
        )

    def syntax(self, pattern: Flagged) -> Syntax | None:
        """See :meth:`PatternTable.syntax`."""
        return Syntax.POSIX_EXTENDED if pattern.is_on("x", default=True) else None

    def oddity(self, pattern: Flagged) -> str:
        """See :meth:`PatternTable.oddity`."""
        if _BACK_REFERENCE.search(pattern.expression):
            return "with a back-reference, one long key can keep the C library busy for minutes; pcre: has a limit"
        return ""
