"""The library: groups, limits on steps and memory, errors."""

from __future__ import annotations

import time

import pytest

from gateway.maps.pattern.expression import MatchFailed
from gateway.maps.pattern.pcre2 import CASELESS, PcrePattern


def test_groups_are_octets() -> None:
    pattern = PcrePattern(rb"(a)(x)?(.)\K(b)", CASELESS)
    assert pattern.group_count == 4
    assert pattern.groups(b"-A\xffb") == [b"b", b"A", b"", b"\xff", b"b"]
    assert pattern.groups(b"x") is None


@pytest.mark.parametrize(
    ("expression", "message"), [(b"(", "offset 1: missing"), (b"a{2,1}", "offset"), (b"[b-a]", "range out of order")]
)
def test_bad_expressions(expression: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PcrePattern(expression)


def test_a_hostile_key_takes_milliseconds() -> None:
    pattern = PcrePattern(b"^(a+)+$")
    started = time.process_time()
    with pytest.raises(MatchFailed, match="match limit exceeded"):
        pattern.matches(b"a" * 40 + b"b")
    assert time.process_time() - started < 0.5


def test_memory_is_bounded() -> None:
    pattern = PcrePattern(b"^(?:(a)|(b))*c")
    assert not pattern.matches(b"ab" * 1000)
    with pytest.raises(MatchFailed, match="limit exceeded"):
        pattern.matches(b"ab" * 500_000)
    assert pattern.groups(b"abc") == [b"abc", b"a", b"b"]
