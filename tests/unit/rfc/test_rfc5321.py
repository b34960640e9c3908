"""Paths: what is an address, what is none, and that no input costs more than its length."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.address import Address
from gateway.rfc.rfc5321 import MAX_LOCAL, BadPath, NeedsSmtputf8, parse_path, split_path

GOOD = {
    b"<>": Address.NULL,
    b"< >": Address.NULL,
    b"<a@b.example>": Address("a", "b.example"),
    b"a@b.example": Address("a", "b.example"),
    b"< a@b.example >": Address("a", "b.example"),
    b"<A@B.Example.>": Address("A", "b.example"),
    b"<postmaster>": Address("postmaster", ""),
    b'<"a b"@c.example>': Address("a b", "c.example"),
    b'<"a\\"\\\\b"@c>': Address('a"\\b', "c"),
    b'<"a"."b"@c>': Address("a.b", "c"),
    b'<a."b c"@d>': Address("a.b c", "d"),
    b'<"a@b"@c.example>': Address("a@b", "c.example"),
    b'<"a>b"@c.example>': Address("a>b", "c.example"),
    b"<@x.example,@y.example:a@b.example>": Address("a", "b.example"),
    b"<@x.example:@y.example:a@b.example>": Address("a", "b.example"),
    b"<@[192.0.2.1]:a@b.example>": Address("a", "b.example"),
    b"<a@[192.0.2.1]>": Address("a", "[192.0.2.1]"),
    b"<a@[IPv6:2001:DB8::1]>": Address("a", "[ipv6:2001:db8::1]"),
    b"<a@b_c.example>": Address("a", "b_c.example"),
    b"<.a..@c.example>": Address(".a..", "c.example"),
    b"<a@1.example>": Address("a", "1.example"),
    b"<a@xn--9ca.example>": Address("a", "xn--9ca.example"),
    "<ä@Ö.example>".encode(): Address("ä", "ö.example"),
    b"<\xff@b.example>": Address("\udcff", "b.example"),
    b"<" + b"a" * MAX_LOCAL + b"@b.example>": Address("a" * MAX_LOCAL, "b.example"),
}
BAD = [
    b"", b"<", b">", b"<a@b", b"a@b>", b"<<a@b>>", b"<@b>", b"<@b:>", b"<@:a@b>", b"<a@>", b"<@>", b"@", b"<a@b@c>", b"<a b@c>",
    b"<a@b c>", b"<a,b@c>", b"<a;b@c>", b"<a:b@c>", b"<x:a@b;>", b"<a@b(c)>", b"<(c)a@b>", b'<""@c>', b'<"a@b>', b'<"a"b"@c>',
    b"<a\\ b@c>", b"<a\x00@b>", b"<a\n@b>", b"<a\r\n@b>", b'<"a\nb"@c>', b'<"a\\\nb"@c>', b"<a\x01@b>", b"<a@b\x00>", b"<-a@b>",
    b"<a@-b>", b"<a@b->", b"<a@b-.c>", b"<a@b..c>", b"<a@.b>", b"<a@.>", b"<a@192.0.2.1>", b"<a@123>", b"<a@[300.1.1.1]>",
    b"<a@[1.2.3]>", b"<a@[::1]>", b"<a@[IPv6:x]>", b"<a@[]>", b"<a@[192.0.2.1>", b"<a@\xff.example>", b"<a@b!c>",
    b"<a@" + b"b" * 64 + b">", b"<a@" + b".".join([b"b" * 60] * 5) + b">", b"<" + b"a" * (MAX_LOCAL + 1) + b"@b>",
]  # fmt: skip


@pytest.mark.parametrize("raw", GOOD)
def test_good_paths(raw: bytes) -> None:
    assert parse_path(raw) == GOOD[raw]


@pytest.mark.parametrize("raw", BAD)
def test_bad_paths(raw: bytes) -> None:
    with pytest.raises(BadPath):
        parse_path(raw)


def test_switches() -> None:
    with pytest.raises(NeedsSmtputf8):
        parse_path("<a@ö.example>".encode(), False)
    assert parse_path("<ö@b.example>".encode(), False).local == "ö"
    with pytest.raises(BadPath):
        parse_path(b"a@b.example", True, True)
    assert parse_path(b"<a@b.example>", True, True)
    assert parse_path(b"<-a@b>", True, False, True).local == "-a"


@pytest.mark.parametrize(
    ("raw", "path", "rest"),
    [
        (b"<a@b>", b"<a@b>", b""),
        (b" \t<a@b> SIZE=5  BODY=7BIT", b"<a@b>", b"SIZE=5  BODY=7BIT"),
        (b"<a@b>\tSIZE=5", b"<a@b>", b"SIZE=5"),
        (b'<"a> b"@c> x', b'<"a> b"@c>', b"x"),
        (b'"a b"@c x', b'"a b"@c', b"x"),
        (b"Foo <a@b>", b"Foo", b"<a@b>"),
    ],
)
def test_split_path(raw: bytes, path: bytes, rest: bytes) -> None:
    assert split_path(raw) == (path, rest)


@pytest.mark.parametrize("raw", [b"<a@b", b"<a@b>x", b'<"a@b>', b'"a', b"", b" ", b"a<b>", b"\\"])
def test_split_refuses_what_is_unbalanced(raw: bytes) -> None:
    with pytest.raises(BadPath):
        split_path(raw)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet='ab.@<>"\\ ,:;()[]-\t\0é', max_size=24).map(str.encode))
def test_an_address_survives_its_own_quoting(raw: bytes) -> None:
    """Whatever is accepted can be written and read again as the same address, and holds no control octet."""
    try:
        path, _ = split_path(raw)
        address = parse_path(path)
    except BadPath:
        return
    assert not any(ord(letter) < 32 or letter == "\x7f" for letter in str(address))
    assert parse_path(f"<{address.quoted}>".encode(), True, True, True) == address


@pytest.mark.parametrize(
    "raw", [b'<"' + b"\\" * 2001, b"<@" + b"a,@" * 700, b"a." * 1000 + b"(", b'""' * 1000, b"<" * 2000, b'<"a"' * 500]
)
def test_hostile_paths_are_cheap(raw: bytes) -> None:
    began = time.process_time()
    with pytest.raises(BadPath):
        parse_path(raw)
    with contextlib.suppress(BadPath):
        split_path(raw)
    assert time.process_time() - began < 0.05
