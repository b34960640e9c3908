"""Compatibility levels: ``3.6``, ``2``, compared part by part and never as decimals.

Source: compatibility_level and the ``<level`` family of postconf(5), Postfix 3.6 and later.
"""

from __future__ import annotations

import re

_LEVEL = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?(?:\.([0-9]{1,9}))?", re.ASCII)


def parse_level(text: str) -> tuple[int, int, int]:
    """``major.minor.patch``, the last two optional.

    Raises:
        ValueError: anything else.
    """
    match = _LEVEL.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'bad compatibility level "{text}": expected major.minor.patch, such as 3.6')
    return int(match[1]), int(match[2] or 0), int(match[3] or 0)
