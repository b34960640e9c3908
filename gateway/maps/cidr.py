"""``cidr:`` — networks to results, first match wins. Source: cidr_table(5).

Asking rule after rule costs 10,000 comparisons in a table of 10,000 networks, for every client. So plain rules are
compiled into one dictionary per prefix length: a lookup masks the address once per length in use (seldom more than
ten) and takes the match that stands first in the file. Rules with ``!`` stay a list: they match nearly everything, so
the first of them ends the search.
"""

from __future__ import annotations

import re

import msgspec

from gateway.config.lines import BLANKS, LogicalLine
from gateway.maps.network import BITS, Network, parse_address, parse_network
from gateway.maps.rules import enclosing, parse_rules
from gateway.maps.source import RuleSource, Surroundings
from gateway.maps.table import MemoryTable

_PATTERN = re.compile(f"[^{BLANKS}]*")


class _Line(msgspec.Struct, frozen=True, gc=False):
    """A compiled rule: position in the file, network, result, and the ``if`` lines around it."""

    order: int
    network: Network
    is_negated: bool
    result: str
    conditions: tuple[tuple[Network, bool], ...]

    def holds(self, address: tuple[int, int]) -> bool:
        """True when all ``if`` lines around the rule let the address in."""
        return all(
            network.version == address[0] and network.has(address) is not is_negated
            for network, is_negated in self.conditions
        )


class _Family:
    """The rules for one IP version. A rule never matches an address of the other version, ``!`` or not."""

    def __init__(self, lines: list[_Line], bits: int) -> None:
        self.negated = [line for line in lines if line.is_negated]
        by_prefix: dict[int, dict[int, list[_Line]]] = {}
        for line in lines:
            if line.is_negated:
                continue
            same = by_prefix.setdefault(line.network.prefix, {}).setdefault(line.network.value, [])
            # Behind an unconditional rule for the very same network nothing is reachable.
            if not same or same[-1].conditions:
                same.append(line)
        self.lengths = [(bits - prefix, networks) for prefix, networks in by_prefix.items()]

    def find(self, address: tuple[int, int]) -> str | None:
        """The result of the first rule that matches."""
        number = address[1]
        best: _Line | None = None
        for shift, networks in self.lengths:
            for line in networks.get(number >> shift, ()):
                if best is not None and line.order > best.order:
                    break
                if not line.conditions or line.holds(address):
                    best = line
                    break
        for line in self.negated:
            if best is not None and line.order > best.order:
                break
            if not line.network.has(address) and line.holds(address):
                best = line
                break
        return best.result if best is not None else None


class CidrTable(MemoryTable):
    """Asked for IP addresses; anything else is not found."""

    is_pattern = True

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        super().__init__(spec)
        self._source = RuleSource(spec, name, _parse, around)

    def get(self, key: str) -> str | None:
        """The result of the first network that has the address ``key``."""
        address = parse_address(key)
        if address is None:
            return None
        return self._source.fresh()[address[0]].find(address)


def _split(text: str) -> tuple[Network, str]:
    pattern = _PATTERN.match(text)
    assert pattern
    return parse_network(pattern[0]), text[pattern.end() :].strip(BLANKS)


def _parse(lines: list[LogicalLine], file: str) -> dict[int, _Family]:
    rules = parse_rules(lines, file, _split)
    compiled: list[_Line] = []
    for order, (rule, blocks) in enumerate(zip(rules, enclosing(rules), strict=True)):
        if rule.result is not None:
            conditions = tuple((rules[block].pattern, rules[block].is_negated) for block in blocks)
            compiled.append(_Line(order, rule.pattern, rule.is_negated, rule.result, conditions))
    return {
        version: _Family([line for line in compiled if line.network.version == version], bits)
        for version, bits in BITS.items()
    }
