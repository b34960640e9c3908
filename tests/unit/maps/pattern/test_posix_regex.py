"""The C library's regular expressions: exact, and no way to stop the event loop with them."""

from __future__ import annotations

import time

import pytest

from gateway.maps.pattern.posix_regex import PosixPattern


def test_bracket_classes_and_word_limits() -> None:
    assert PosixPattern(rb"^[[:alpha:]]+[[:digit:]]{2,3}$").matches(b"Abc123")
    assert PosixPattern(rb"\<dsl\>").matches(b"host-dsl-1")
    assert not PosixPattern(rb"\<dsl\>").matches(b"hostdsl1")


def test_leftmost_longest() -> None:
    pattern = PosixPattern(b"(a|ab)(c|bcde)?", needs_groups=True)
    assert pattern.group_count == 2
    assert pattern.groups(b"xabcde") == [b"abcde", b"a", b"bcde"]
    assert pattern.groups(b"x") is None


def test_flags() -> None:
    assert PosixPattern(b"ABC").matches(b"xabc")
    assert not PosixPattern(b"ABC", is_case_folding=False).matches(b"xabc")
    assert not PosixPattern(b"^b$").matches(b"a\nb\nc")
    assert PosixPattern(b"^b$", is_multiline=True).matches(b"a\nb\nc")
    assert PosixPattern(rb"\(a\)\1", is_extended=False, needs_groups=True).groups(b"xaa") is not None


def test_octets_are_matched_not_characters() -> None:
    assert PosixPattern(b"^..$").matches("é".encode())
    assert PosixPattern(b"^.$").matches(b"\xff")


@pytest.mark.parametrize("pattern", [b"(", b"[", b"a{2,1}", b"*a(", b"[[:nope:]]", b"a\0b"])
def test_bad_expressions(pattern: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        PosixPattern(pattern)


def test_a_hostile_key_takes_no_exponential_time() -> None:
    started = time.process_time()
    assert not PosixPattern(b"(a+)+@x$").matches(b"a" * 200 + b"@y")
    assert time.process_time() - started < 1.0


def test_more_than_nine_groups() -> None:
    pattern = PosixPattern(b"(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)?", needs_groups=True)
    assert pattern.groups(b"abcdefghij") == [b"abcdefghij", *(bytes([octet]) for octet in b"abcdefghij"), b""]
