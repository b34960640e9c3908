"""DSN parameters and xtext."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rfc.rfc3461 import (
    BadParameter,
    decode_xtext,
    encode_xtext,
    parse_envid,
    parse_notify,
    parse_orcpt,
    parse_ret,
)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", b""), (b"abc", b"abc"), (b"a+2Bb", b"a+b"), (b"a+20b", b"a b"), (b"+3D", b"="), ("ä".encode(), "ä".encode()),
        (b"a=b", None), (b"+2b", None), (b"+2", None), (b"+", None), (b"a b", None), (b"a\x00", None),
        (b"+0A", None), (b"+00", None), (b"+7F", None), (b"+0D+0A", None),
    ],
)  # fmt: skip
def test_decode_xtext(raw: bytes, text: bytes | None) -> None:
    assert decode_xtext(raw) == text


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.text(alphabet=st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]), max_size=20)
)
def test_xtext_round_trip(text: str) -> None:
    encoded = encode_xtext(text)
    assert encoded.isascii()
    assert b" " not in encoded
    assert decode_xtext(encoded) == text.encode()


def test_encode_leaves_plain_text() -> None:
    assert encode_xtext("a@b.example") == b"a@b.example"
    assert encode_xtext("a+b=c d\n") == b"a+2Bb+3Dc+20d+0A"


def test_ret() -> None:
    assert parse_ret(b"full") == "FULL"
    assert parse_ret(b"HDRS") == "HDRS"
    with pytest.raises(BadParameter, match="Bad RET parameter syntax"):
        parse_ret(b"")


def test_envid() -> None:
    assert parse_envid(b"x+2By") == "x+y"
    for raw in (b"", b"+zz", b"x" * 101, b"a b"):
        with pytest.raises(BadParameter):
            parse_envid(raw)


def test_notify() -> None:
    assert parse_notify(b"never") == ("NEVER",)
    assert parse_notify(b"DELAY,success,DELAY") == ("DELAY", "SUCCESS")
    for raw in (b"", b"FOO", b"NEVER,FAILURE", b"SUCCESS,", b"SUCCESS DELAY"):
        with pytest.raises(BadParameter):
            parse_notify(raw)


def test_orcpt() -> None:
    assert parse_orcpt(b"rfc822;x+2By@z") == "rfc822;x+y@z"
    assert parse_orcpt("utf-8;ä@z".encode()) == "utf-8;ä@z"
    assert parse_orcpt(b"rfc822;") == "rfc822;"
    for raw in (b"", b"x", b";x", b"rfc822;+zz", b"a b;x", b"rfc822;+0Ax", b"rfc822;" + b"x" * 500):
        with pytest.raises(BadParameter):
            parse_orcpt(raw)
