"""Long queue IDs in Postfix's form, e.g. ``3Pt2mN2VXxznjll``.

Six (later more) digits of the time in seconds and four of the microseconds, base 52; the letter ``z``; a number in base
51 (which leaves ``z`` out, so the last ``z`` always separates). The alphabet has no vowels, so no words, and is in
ASCII order: IDs sort by time. Where Postfix has the inode number we have a number that no other process and no earlier
process has: worker number and a random start value. Source: postconf(5) enable_long_queue_ids.
"""

from __future__ import annotations

import os
import re

ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
MAX_LENGTH = 32
_VALID = re.compile(f"[0-9A-Za-z]{{6,{MAX_LENGTH}}}")
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
_START_BITS = 18
_WORKER_BITS = 10


def is_queue_id(text: str) -> bool:
    """True when ``text`` may name a message here: letters and digits only, so it is also a safe file name."""
    return _VALID.fullmatch(text) is not None


def _encode(number: int, base: int) -> str:
    """``number`` in digits of :data:`ALPHABET`, at least one."""
    digits = []
    while True:
        number, digit = divmod(number, base)
        digits.append(ALPHABET[digit])
        if not number:
            return "".join(reversed(digits))


def timestamp_of(queue_id: str) -> float | None:
    """Seconds since the epoch at which a long queue ID was made; None for text that is not one."""
    head, has_z, _ = queue_id.rpartition("z")
    if not has_z or len(head) < 10 or not is_queue_id(queue_id) or any(c not in ALPHABET for c in head):
        return None
    seconds = microseconds = 0
    for character in head[:-4]:
        seconds = seconds * 52 + ALPHABET.index(character)
    for character in head[-4:]:
        microseconds = microseconds * 52 + ALPHABET.index(character)
    return seconds + microseconds / 1e6 if microseconds < 1_000_000 else None


class QueueIds:
    """A source of queue IDs for one process.

    Args:
        worker: this process's number among its siblings, 0 to 1023; siblings differ.
        start: a number below 2**18 that earlier processes of that worker did not have; random when not given. Only
            matters when the clock goes back over a restart.
    """

    def __init__(self, worker: int = 0, start: int | None = None) -> None:
        if start is None:
            start = int.from_bytes(os.urandom(4), "big")
        number = (start % (1 << _START_BITS)) << _WORKER_BITS | (worker % (1 << _WORKER_BITS))
        self._tail = "z" + _encode(number, 51)
        self._last_us = 0
        self._second = -1
        self._second_text = ""

    def next(self, now: float) -> str:
        """A new ID, greater than every one before it from this source, even when the clock stands still or goes back.

        Args:
            now: seconds since the epoch.
        """
        us = int(now * 1_000_000)
        if us <= self._last_us:
            us = self._last_us + 1
        self._last_us = us
        second, fraction = divmod(us, 1_000_000)
        if second != self._second:
            self._second, self._second_text = second, _encode(second, 52).rjust(6, "0")
        high, low = divmod(fraction, 2704)
        return self._second_text + _PAIRS[high] + _PAIRS[low] + self._tail
