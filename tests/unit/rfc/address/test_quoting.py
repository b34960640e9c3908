"""Internal form and external form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.address import Address
from gateway.rfc.address.quoting import address_of, quoted, unquoted

FORMS = {
    "a@b": "a@b",
    "a.b+c@d": "a.b+c@d",
    "a": "a",
    "": '""',
    "@b": '""@b',
    "a b@c": '"a b"@c',
    "a b": '"a b"',
    "a@b@c": '"a@b"@c',
    ".a@b": '".a"@b',
    "a.@b": '"a."@b',
    "a..b@c": '"a..b"@c',
    'a"\\b@c': '"a\\"\\\\b"@c',
    "a\x01b@c": '"a\x01b"@c',
    "ä@ö": "ä@ö",
    "\udcff@b": "\udcff@b",
    "a(b)@c": '"a(b)"@c',
    "a%b@c": "a%b@c",
    "a!b": "a!b",
    "a@[1.2.3.4]": "a@[1.2.3.4]",
}


@pytest.mark.parametrize("text", FORMS)
def test_forms(text: str) -> None:
    assert quoted(text) == FORMS[text]
    assert unquoted(FORMS[text]) == text


def test_a_source_route_is_not_quoted() -> None:
    assert quoted("@a,@b:c d@e") == '@a,@b:"c d"@e'
    assert quoted("@a@b") == '"@a"@b'


def test_unquoted_reads_what_is_no_address_too() -> None:
    assert unquoted('"a b') == "a b"
    assert unquoted("a (comment) @b") == "a (comment)@b"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a@B.Example", Address("a", "b.example")),
        ("a@b@c", Address("a@b", "c")),
        ("a", Address("a", "")),
        ("", Address.NULL),
        ("a@", Address("a@", "")),
        ("@b", Address("", "b")),
        ("@", Address("@", "")),
        ("a@b..", Address("a", "b..")),
    ],
)
def test_address_of(text: str, address: Address) -> None:
    assert address_of(text) == address
    assert str(address) == text.lower() or text == "a@B.Example"


def test_the_empty_local_part_is_seen() -> None:
    assert Address("", "b").quoted == '""@b'
    assert Address.NULL.quoted == ""


@given(
    st.text(st.characters(exclude_characters="\t\r\n"), min_size=1, max_size=30), st.sampled_from(["b.c", "[1.2.3.4]"])
)
def test_every_local_part_survives(local: str, domain: str) -> None:
    if not (local.startswith("@") and ":" in local):
        assert address_of(unquoted(quoted(f"{local}@{domain}"))) == Address(local, domain)
