"""Source files of alias tables: ``name: value, value``. Source: aliases(5), postalias(1).

The name is an address without domain, stored without its quotes; the value is stored in external form, for it will be
parsed again: ``address``, ``/file/name``, ``|command``, ``:include:/file/name``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from gateway.maps.database.records import Problem, Record, sound_lines
from gateway.maps.folding import decoded, encoded, folded_octets
from gateway.rfc.address.tokens import Token, internal, is_operator, scan, spelled


def alias_records(lines: Iterable[bytes], problem: Problem, *, in_utf8: bool, folds: bool = True) -> Iterator[Record]:
    """The records of an alias file; arguments as for :func:`gateway.maps.database.records.records`."""
    for line, number in sound_lines(lines, problem, in_utf8=in_utf8):
        tokens = scan(decoded(line))
        colon = next((at for at, token in enumerate(tokens) if token.kind == ":"), 0)
        name = tokens[:colon]
        kinds = {token.kind for token in name}
        if not name or colon + 1 == len(tokens) or "," in kinds:
            problem(number, "need name:value pair")
        elif "@" in kinds or "%" in kinds:
            problem(number, "name must be local")
        else:
            key = encoded(internal(name))
            yield (
                folded_octets(key, in_utf8=in_utf8) if folds else key,
                encoded(external(tokens[colon + 1 :])),
                number,
            )


def external(tokens: Iterable[Token]) -> str:
    """The text of a list of addresses: words apart, a blank behind each comma, as postalias(1) stores it."""
    parts: list[str] = []
    last = ","  # no blank before the first word
    for token in tokens:
        is_word = not is_operator(token.kind)
        if last != "," and (token.kind == "<" or (is_word and not is_operator(last))):
            parts.append(" ")
        parts.append(", " if token.kind == "," else spelled(token))
        last = token.kind
    return "".join(parts)


END_MARK = (b"@", b"@")
"""Stored last: Sendmail's sign that a table is complete. Source: postalias(1)."""


def nis_records(hostname: str, now: float | None = None) -> list[tuple[bytes, bytes]]:
    """What makes an alias table fit to be a NIS map; stored without null octets, not folded. Source: postalias(1)."""
    stamp = int(time.time() if now is None else now)
    return [(b"YP_LAST_MODIFIED", b"%010d" % stamp), (b"YP_MASTER_NAME", encoded(hostname))]
