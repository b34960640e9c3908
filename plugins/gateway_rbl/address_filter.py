"""Which addresses of a list count: ``127.0.0.2``, ``127.0.0.[2;4..8;11]``.

Source: postconf(5), reject_rbl_client: each ``d`` is a number, or numbers and ``number..number`` ranges in brackets.
"""

from __future__ import annotations

import re

import msgspec

from gateway.model.errors import ConfigError

_NUMBER = "[0-9]{1,9}"
_MEMBER = rf"{_NUMBER}(?:\.\.{_NUMBER})?"
_FIELD = rf"({_NUMBER}|\[{_MEMBER}(?:;{_MEMBER})*\])"
_PATTERN = re.compile(r"\.".join([_FIELD] * 4))


class AddressFilter(msgspec.Struct, frozen=True):
    """A set of IPv4 addresses: for each of the four octets, the numbers that it may be."""

    octets: tuple[frozenset[int], ...]

    @classmethod
    def parse(cls, text: str) -> AddressFilter:
        """Read ``d.d.d.d``.

        Raises:
            ConfigError: bad syntax, a number above 255, or a range from high to low.
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise ConfigError(f'"{text}": expected d.d.d.d, each d a number or, in brackets, numbers as in [2;4..8;11]')
        return cls(tuple(_numbers(field, text) for field in match.groups()))

    def matches(self, address: str) -> bool:
        """True for an address, in dotted decimal form, that is in the set."""
        return all(int(octet) in allowed for octet, allowed in zip(address.split("."), self.octets, strict=True))


def _numbers(field: str, text: str) -> frozenset[int]:
    found: set[int] = set()
    for member in field.strip("[]").split(";"):
        low, _, high = member.partition("..")
        first, last = int(low), int(high or low)
        if max(first, last) > 255:
            raise ConfigError(f'"{text}": {member} is more than an octet holds')
        if first > last:
            raise ConfigError(f'"{text}": the range {member} is empty')
        found.update(range(first, last + 1))
    return frozenset(found)
