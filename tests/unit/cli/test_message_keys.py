"""Where headers end, and which lines belong to attached messages. Compared with Postfix in tests/scenarios/tables."""

from __future__ import annotations

import pytest

from gateway.cli.message_keys import Limits, Word, message_keys, parameters


def keys(text: bytes, *, follows_mime: bool = True, limits: Limits | None = None) -> tuple[list[bytes], list[bytes]]:
    """Header and body keys."""
    found = list(message_keys(text.split(b"\n"), limits or Limits(), follows_mime=follows_mime))
    return [key for kind, key in found if kind == "header"], [key for kind, key in found if kind == "body"]


def test_fields_and_lines() -> None:
    assert keys(b"A: b\n c\n\td\nE :  f\n\nbody\nG: h") == ([b"A: b\n c\n\td", b"E:  f"], [b"", b"body", b"G: h"])


def test_text_ends_the_header_block() -> None:
    assert keys(b"A: b\ntext\nC: d") == ([b"A: b"], [b"", b"text", b"C: d"])
    assert keys(b" lead\nC: d") == ([], [b"", b" lead", b"C: d"])
    assert keys(b"\xc3\xa9: x") == ([], [b"", b"\xc3\xa9: x"])


MULTIPART = b"Content-Type: multipart/%s; boundary=%s\n\npreamble\n--B\n%s\n--B--\nX: y"


@pytest.mark.parametrize(
    ("subtype", "boundary", "part", "headers", "body"),
    [
        (b"mixed", b"B", b"A: b\n\nC: d", [b"A: b"], [b"", b"C: d"]),
        (b"mixed", b'"B" (x)', b"A: b\n\nC: d", [b"A: b"], [b"", b"C: d"]),
        (b"digest", b"B", b"A: b\n\nC: d\n\nE: f", [b"A: b", b"C: d"], [b"", b"", b"E: f"]),
        (b"mixed", b"B", b"Content-Type: message/rfc822\n\nC: d", [b"Content-Type: message/rfc822", b"C: d"], [b""]),
        (b"mixed", b"B", b"no header\nC: d", [], [b"no header", b"C: d"]),
        (b"mixed", b"Z", b"A: b\n\nC: d", [], [b"A: b", b"", b"C: d"]),
    ],
)
def test_parts(subtype: bytes, boundary: bytes, part: bytes, headers: list[bytes], body: list[bytes]) -> None:
    found = keys(MULTIPART % (subtype, boundary, part))
    assert found[0][1:] == headers
    assert found[1] == [b"", b"preamble", b"--B", *body, b"--B--", b"X: y"]


def test_without_mime_all_lines_behind_the_headers_are_body() -> None:
    text = MULTIPART % (b"mixed", b"B", b"A: b\n\nC: d")
    headers, body = keys(text, follows_mime=False)
    assert len(headers) == 1
    assert body == text.split(b"\n")[1:]


def test_an_outer_boundary_ends_inner_parts() -> None:
    outer, inner = b"Content-Type: multipart/mixed; boundary=A", b"Content-Type: multipart/mixed; boundary=B"
    headers, _ = keys(
        b"\n".join([outer, b"", b"--A", inner, b"", b"--B", b"X: 1", b"--A", b"Y: 2", b"", b"--B", b"Z: 3"])
    )
    assert headers == [outer, inner, b"X: 1", b"Y: 2"]


def test_limits() -> None:
    text = MULTIPART % (b"mixed", b"BBBB", b"A: b")
    assert len(keys(text)[0]) == 1
    assert len(keys(text, limits=Limits(boundary_bytes=1))[0]) == 2
    assert len(keys(MULTIPART % (b"mixed", b"B", b"A: b"), limits=Limits(nesting=-1))[0]) == 1
    assert keys(b"A: bcd\n e\n f", limits=Limits(header_bytes=8))[0] == [b"A: bcd\n e"]


def test_words() -> None:
    assert list(parameters(b' a/b (c (d) \\) ) ; "q\\"r" = [x]; y=z=0')) == [
        [Word(b"a"), Word(b"/"), Word(b"b")],
        [Word(b'q"r', is_quoted=True), Word(b"="), Word(b"[")],
        [Word(b"y"), Word(b"="), Word(b"z")],
    ]
    assert list(parameters(b"(never closed")) == [[]]
    assert Word(b"A").name == b"a"
    assert Word(b"A", is_quoted=True).name == b""
