"""Header fields with addresses: found, taken apart, printed and folded."""

from __future__ import annotations

import pytest

from gateway.rfc.address.fields import FIELD, FOLD_AT, NAMES, field, fold, parsed
from gateway.rfc.address.header import Mailbox

HEAD = b"""\
Received: from a\r
\tfor b\r
From: A <a@b.c>\r
tO :\r
 x@y.z,\r
\tw\r
X-To: a@b.c\r
Subject: to: a\r
 Cc: a@b.c\r
Cc:\r
"""


def test_fields_are_found_with_their_folded_lines() -> None:
    assert [match.groups() for match in FIELD.finditer(HEAD)] == [
        (b"From", b" A <a@b.c>\r"), (b"tO", b"\r\n x@y.z,\r\n\tw\r"), (b"Cc", b"\r"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_any_case(name: bytes) -> None:
    assert FIELD.match(name.title() + b": a\r\n")
    assert not FIELD.search(b"x-" + name + b": a\r\n")


def test_what_was_taken_apart_is_printed_again() -> None:
    nodes = parsed(b' "A B" <a@b.c> (x),\r\n g: c@d.e;\r')
    assert [node.text for node in nodes if isinstance(node, Mailbox)] == ["a@b.c", "c@d.e"]
    assert field(b"to", nodes) == b'to: "A B" <a@b.c>(x), g: c@d.e;\r'


def test_a_field_with_too_many_words_is_left_alone() -> None:
    assert len(parsed(b" a,b,c\r", 5)) == 5
    assert parsed(b" a,b,c\r", 4) == []
    assert len(parsed(b" a,b,c\r")) == 5


def test_lines_grow_to_a_limit() -> None:
    first, second = "a" * 40, "b" * (FOLD_AT - 41)
    assert fold([first, second]) == f"{first} {second}"
    assert fold([first, second], 1) == f"{first}\r\n\t{second}"
    assert fold([first, second + "b", "c"]) == f"{first}\r\n\t{second}b c"
    assert fold([first, " " + second]) == f"{first}\r\n {second}"
    assert fold(["x" * 100, "y"]) == f"{'x' * 100}\r\n\ty"
    assert fold(["ä" * 34, "b"]) == f"{'ä' * 34}\r\n\tb"  # octets count
