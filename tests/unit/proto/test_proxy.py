"""PROXY headers, version 1 and 2; aiosmtpd's reader is the second opinion."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from aiosmtpd.proxy_protocol import get_proxy
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.proto.proxy import MAX_HEADER, MAX_V1, ProxyError, ProxyHeader, ProxyParser

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command: int, family: int, payload: bytes) -> bytes:
    return SIGNATURE + bytes((0x20 | command, family)) + struct.pack("!H", len(payload)) + payload


V4 = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2") + struct.pack("!HH", 40000, 25)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.2")
V6 += struct.pack("!HH", 40000, 25)
TLV = b"\x04\x00\x03abc"

GOOD = {
    b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 25\r\n": ("192.0.2.1", "40000", "192.0.2.2", "25"),
    b"PROXY TCP6 2001:db8::1 2001:DB8::2 40000 25\r\n": ("2001:db8::1", "40000", "2001:db8::2", "25"),
    b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 0\r\n": ("192.0.2.1", "1", "::1", "0"),
    v2(1, 0x11, V4): ("192.0.2.1", "40000", "192.0.2.2", "25"),
    v2(1, 0x11, V4 + TLV): ("192.0.2.1", "40000", "192.0.2.2", "25"),
    v2(1, 0x21, V6): ("2001:db8::1", "40000", "192.0.2.2", "25"),
}
LOCAL = [
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n",
    v2(0, 0x11, V4),
    v2(0, 0, b""),
    v2(1, 0, b"x"),
]
BAD = [
    b"EHLO x\r\n", b"PROXY\r\n", b"PROXY  TCP4\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
    b"PROXY TCP4 ::1 ::1 1 1\r\n", b"PROXY TCP6 192.0.2.1 192.0.2.1 1 1\r\n", b"PROXY TCP4 192.0.2.1 x 1 1\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 1\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 -1\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 \xb2\r\n", b"PROXY UDP4 192.0.2.1 192.0.2.2 1 1\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 1 \r\n", b"PROXY " + b"x" * MAX_V1,
    SIGNATURE + b"\x11\x11\x00\x0c" + V4, v2(2, 0x11, V4), v2(1, 0x11, V4[:11]), v2(1, 0x12, V4), v2(1, 0x31, b"x" * 216),
    SIGNATURE + b"\x21\x11" + struct.pack("!H", MAX_HEADER),
]  # fmt: skip


@pytest.mark.parametrize("raw", GOOD)
def test_headers_at_every_split(raw: bytes) -> None:
    header = ProxyHeader(False, *GOOD[raw], rest=b"EHLO")
    for cut in range(len(raw)):
        parser = ProxyParser()
        assert parser.feed(raw[:cut]) is None
        assert parser.feed(raw[cut:] + b"EHLO") == header


@pytest.mark.parametrize("raw", LOCAL)
def test_the_proxy_itself(raw: bytes) -> None:
    assert ProxyParser().feed(raw + b"x") == ProxyHeader(True, rest=b"x")


@pytest.mark.parametrize("raw", BAD)
def test_no_headers(raw: bytes) -> None:
    error = ProxyParser().feed(raw)
    assert isinstance(error, ProxyError)
    assert str(error)
    parser = ProxyParser()
    assert any(isinstance(parser.feed(raw[i : i + 1]), ProxyError) for i in range(len(raw)))


@pytest.mark.parametrize("raw", [*GOOD, *LOCAL])
def test_aiosmtpd_reads_the_same(raw: bytes) -> None:
    class Reader:
        """What aiosmtpd asks of a StreamReader wrapper."""

        def __init__(self, stream: asyncio.StreamReader) -> None:
            self._reader = stream

    async def read() -> object:
        stream = asyncio.StreamReader()
        stream.feed_data(raw)
        stream.feed_eof()
        return await get_proxy(stream)  # type: ignore[arg-type]

    ours, theirs = ProxyParser().feed(raw), asyncio.run(read())
    assert isinstance(ours, ProxyHeader)
    assert theirs.valid  # type: ignore[attr-defined]
    if not ours.is_local:
        given = theirs.src_addr  # type: ignore[attr-defined]
        assert ours.client_address == str(getattr(given, "ipv4_mapped", None) or given)
        assert ours.client_port == str(theirs.src_port)  # type: ignore[attr-defined]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(
        st.sampled_from([b"PROXY ", SIGNATURE, b"\x21\x11", b"TCP4 ", b"\r\n", b"\0", b"\xff\xff", b"1.2.3.4 "]),
        max_size=9,
    ),
    st.binary(max_size=40),
)
def test_hostile_octets_are_bounded(parts: list[bytes], tail: bytes) -> None:
    parser, fed = ProxyParser(), 0
    for piece in [*parts, tail] * 3:
        answer = parser.feed(piece)
        fed += len(piece)
        if answer is not None:
            break
        assert fed < MAX_HEADER
