"""Content: its end, its dots, its line ends, its measures; however it is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.proto.body_reader import LONG_LINE, SMALL, ChunkReader, Content, DataReader


def read(pieces: list[bytes], content: Content) -> tuple[bytes, bytes | None]:
    """Message and what stands behind it; None when the end did not come."""
    reader, out = DataReader(content), b""
    for index, piece in enumerate(pieces):
        data, rest = reader.feed(piece, 0)
        out += data
        if rest >= 0:
            return out, piece[rest:] + b"".join(pieces[index + 1 :])
    return out, None


def reference(octets: bytes, *, may_repair: bool) -> tuple[bytes, bytes | None]:
    """RFC 5321 §4.5.2 the slow way: line by line."""
    end = (b"\r\n" + octets).find(b"\r\n.\r\n")
    if end < 0:
        return b"", None
    message, rest = octets[: max(end, 0)], octets[end + 3 :]
    if may_repair:
        message = message.replace(b"\r\n", b"\n").replace(b"\r", b" ").replace(b"\n", b"\r\n")
    lines = message.split(b"\r\n")
    return b"\r\n".join(line.removeprefix(b".") for line in lines), rest


fragments = st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"\r\n.", b"a", b"..", b"\r\n.\r\n", b"\n.\n", b"x" * 999])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(fragments, max_size=14).map(b"".join), st.lists(st.integers(0, 60), max_size=6), st.booleans())
def test_the_slow_way_reads_the_same(octets: bytes, cuts: list[int], may_repair: bool) -> None:
    edges = [0, *sorted({cut for cut in cuts if cut < len(octets)}), len(octets)]
    pieces = [octets[a:b] for a, b in itertools.pairwise(edges) if a < b]
    content = Content(0, may_repair=may_repair)
    message, rest = read(pieces, content)
    wanted, wanted_rest = reference(octets, may_repair=may_repair)
    assert rest == wanted_rest
    if rest is None:
        return
    body = (b"\r\n" + octets)[2 : len(octets) + 2 - len(rest) - 3]
    is_clean = body.count(b"\n") == body.count(b"\r\n") == body.count(b"\r")
    assert content.is_void is (not is_clean and not may_repair)
    if not content.is_void:
        assert message == wanted
        assert content.size_bytes == len(message)
        assert content.has_long_lines is any(len(line) > LONG_LINE for line in message.split(b"\r\n"))


def test_small_pieces_are_given_out_together() -> None:
    reader = DataReader(Content(0, may_repair=False))
    given_out = [reader.feed(b"x", 0)[0] for _ in range(SMALL)]
    assert given_out[-1] == b"x" * SMALL
    assert not any(given_out[:-1])


def test_the_limit_voids_at_once_and_the_end_is_still_found() -> None:
    content = Content(10, may_repair=False)
    reader = DataReader(content)
    assert reader.feed(b"12345678\r\n", 0) == (b"", -1)
    assert not content.is_too_big
    assert reader.feed(b"more\r\nlong", 0) == (b"", -1)
    assert content.is_too_big
    assert reader.feed(b"a\nb\r\n.\r\nNEXT", 0) == (b"", 8)
    assert not content.has_bare_lf, "nothing is looked at any more"


def test_what_is_seen() -> None:
    content = Content(0, may_repair=True)
    message, _ = read([b"\xe4\0\r\na\nb\rc\r\n.\r\n"], content)
    assert message == b"\xe4\0\r\na\r\nb c\r\n"
    assert content.is_8bit
    assert content.has_nul
    assert content.has_bare_lf
    assert content.has_bare_cr
    assert not content.has_long_lines


@pytest.mark.parametrize(("octets", "name"), [(b"a\rb\nc", "cr"), (b"a\nb\rc", "lf"), (b"\n", "lf"), (b"\r\r\n", "cr")])
def test_the_first_bare_octet_is_named(octets: bytes, name: str) -> None:
    content = Content(0, may_repair=False)
    read([octets + b"\r\n.\r\n"], content)
    assert (content.has_bare_cr, content.has_bare_lf) == (name == "cr", name == "lf")


@pytest.mark.parametrize("length", [997, 998, 999, 1000, 2500])
@pytest.mark.parametrize("size", [1, 7, 997, 5000])
def test_long_lines_are_seen_across_pieces(length: int, size: int) -> None:
    octets = b"short\r\n" * 3 + b"x" * length + b"\r\nshort\r\n.\r\n"
    content = Content(0, may_repair=False)
    read([octets[i : i + size] for i in range(0, len(octets), size)], content)
    assert content.has_long_lines is (length > LONG_LINE)


def chunks(pieces: list[tuple[bytes, bool]], *, may_repair: bool = False) -> tuple[bytes, Content]:
    content = Content(0, may_repair=may_repair)
    reader, out = ChunkReader(content), b""
    for octets, is_last in pieces:
        reader.announce(len(octets), is_last=is_last)
        data, rest = reader.feed(octets + b"NEXT", 0)
        assert rest == len(octets)
        assert reader.is_at_end
        out += data
    return out, content


def test_chunks_keep_dots_and_may_cut_crlf() -> None:
    out, content = chunks([(b"a\r\n.\r\n.\r", False), (b"\n.", False), (b"", True)])
    assert out == b"a\r\n.\r\n.\r\n.\r\n"
    assert not content.is_void


def test_chunks_that_end_in_cr() -> None:
    out, content = chunks([(b"a\r", True)])
    assert content.has_bare_cr
    assert content.is_void
    assert not out
    assert chunks([(b"a\r", False), (b"", True)], may_repair=True)[0] == b"a \r\n"


def test_chunks_in_pieces() -> None:
    reader = ChunkReader(Content(0, may_repair=False))
    reader.announce(6, is_last=True)
    assert reader.feed(b"BDAT 6 LAST\r\na\r", 13) == (b"", -1)
    assert not reader.is_at_end
    assert reader.feed(b"\nbc", 0) == (b"", -1)
    assert reader.feed(b"dNEXT", 0) == (b"a\r\nbcd\r\n", 1)
