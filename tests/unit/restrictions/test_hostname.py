"""Host name syntax."""

from __future__ import annotations

import pytest

from gateway.restrictions.hostname import is_address_literal, is_fully_qualified, is_hostname


@pytest.mark.parametrize(
    ("name", "valid", "qualified"),
    [
        ("foo", True, False),
        ("foo.", True, False),
        ("foo.example", True, True),
        ("foo.example.", True, True),
        ("foo_bar.example", True, True),
        ("é.example", True, True),
        ("a.1", True, True),
        ("", False, False),
        (".", False, False),
        ("1.2.3.4", False, False),
        ("-a.b", False, False),
        ("a-.b", False, False),
        ("a..b", False, False),
        ("a b", False, False),
        ("a\n", False, False),
        ("x" * 64 + ".b", False, False),
        (".".join(["abcdefgh"] * 40), False, False),
    ],
)
def test_names(name: str, valid: bool, qualified: bool) -> None:
    assert (is_hostname(name), is_fully_qualified(name)) == (valid, qualified)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("[1.2.3.4]", True),
        ("[IPv6:::1]", True),
        ("[::1]", False),
        ("[1.2.3]", False),
        ("1.2.3.4", False),
        ("[]", False),
    ],
)
def test_literals(text: str, valid: bool) -> None:
    assert is_address_literal(text) is valid
