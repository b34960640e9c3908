"""What an SMTP server said it can do."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

KEYWORDS_LIMIT = 100


class Capabilities(msgspec.Struct, frozen=True, gc=False):
    """What a server said it can do.

    Args:
        name: how it calls itself.
        keywords: EHLO keywords, upper-case, with their arguments; empty after HELO.
        is_esmtp: EHLO or LHLO was accepted.
        size_limit: octets (SIZE); 0: no limit known.
    """

    name: str = ""
    keywords: dict[str, str] = {}
    is_esmtp: bool = False
    has_pipelining: bool = False
    has_8bitmime: bool = False
    has_smtputf8: bool = False
    has_dsn: bool = False
    has_size: bool = False
    size_limit: int = 0

    @classmethod
    def of(cls, greeting: str, lines: Iterable[str], discard: Iterable[str] = ()) -> Capabilities:
        """Read an EHLO reply.

        Args:
            greeting: first line, without the code.
            lines: the other lines, without the code.
            discard: keywords to overlook, upper-case (``smtp_discard_ehlo_keywords``).
        """
        unwanted = frozenset(discard)
        keywords: dict[str, str] = {}
        for line in lines:
            keyword, _, argument = line.strip().partition(" ")
            keyword = keyword.upper()
            if keyword and keyword not in unwanted and len(keywords) < KEYWORDS_LIMIT:
                keywords[keyword] = argument.strip()
        size = keywords.get("SIZE", "")
        return cls(
            name=greeting.partition(" ")[0],
            keywords=keywords,
            is_esmtp=True,
            has_pipelining="PIPELINING" in keywords,
            has_8bitmime="8BITMIME" in keywords,
            has_smtputf8="SMTPUTF8" in keywords,
            has_dsn="DSN" in keywords,
            has_size="SIZE" in keywords,
            size_limit=int(size) if size.isascii() and size.isdigit() and len(size) < 20 else 0,
        )
