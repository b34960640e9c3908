from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.maps.ldap.text import (
    BASE,
    CHILDREN,
    ONE,
    SUBTREE,
    LdapUrl,
    covers,
    is_ldap_url,
    parse_ldap_url,
    quoted_in_dn,
    quoted_in_filter,
)


def unquoted(text: str) -> str:
    return re.sub(r"\\([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), text)


@given(st.text())
def test_nothing_in_a_filter_value_keeps_a_meaning(text: str) -> None:
    quoted = quoted_in_filter(text)
    assert not set(re.sub(r"\\[0-9A-F]{2}", "", quoted)) & set("*()\\\0")
    assert unquoted(quoted) == text


@given(st.text())
def test_nothing_in_a_value_of_a_dn_keeps_a_meaning(text: str) -> None:
    quoted = quoted_in_dn(text)
    assert not set(re.sub(r"\\[0-9A-F]{2}", "", quoted)) & set('"+,;<>\\\0# ')
    assert unquoted(quoted) == text


def test_quoting_leaves_addresses_as_they_are() -> None:
    assert quoted_in_filter("joe.user+ext@example.test") == "joe.user+ext@example.test"
    assert quoted_in_dn("joe.user@example.test") == "joe.user@example.test"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ldap://", LdapUrl("ldap", "", 389)),
        ("LDAPS://Host", LdapUrl("ldaps", "Host", 636)),
        ("ldap://host:1389/", LdapUrl("ldap", "host", 1389)),
        ("ldap://[::1]:7/", LdapUrl("ldap", "::1", 7)),
        ("ldapi://%2Frun%2Fs", LdapUrl("ldapi", "/run/s", 0)),
        ("ldap:///dc=x?mail,cn?one?(a=%28)", LdapUrl("ldap", "", 389, "dc=x", ("mail", "cn"), ONE, "(a=()")),
        ("ldap:///dc%3Dx??sub", LdapUrl("ldap", "", 389, "dc=x", (), SUBTREE)),
        ("ldap:///dc=x??base?", LdapUrl("ldap", "", 389, "dc=x", (), BASE)),
        ("ldap:///dc=x??children", LdapUrl("ldap", "", 389, "dc=x", (), CHILDREN)),
        ("ldap:///dc=x????!ext", LdapUrl("ldap", "", 389, "dc=x")),
        ("<URL:ldap:///dc=x>", LdapUrl("ldap", "", 389, "dc=x")),
        ("ldap://h?ignored?more", LdapUrl("ldap", "h", 389)),
        ("ldap:///o=\udcff", LdapUrl("ldap", "", 389, "o=\udcff")),
    ],
)
def test_urls(text: str, url: LdapUrl) -> None:
    assert is_ldap_url(text)
    assert parse_ldap_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "http://x",
        "ldap:/x",
        "ldap://h:",
        "ldap://h:x",
        "ldap://h:70000",
        "ldap://[::1",
        "<ldap:///",
        "ldap:///??near",
        "ldap:///dc=x????",
        "ldap:///dc=x????a?b",
        "ldap:///%",
        "ldap:///%1",
        "ldap:///x?%zz",
        "ldapi://??x",
    ],
)
def test_malformed_urls(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_ldap_url(text)


def test_servers_for_messages() -> None:
    assert parse_ldap_url("ldap://[::1]/dc=x").server == "ldap://[::1]:389"
    assert parse_ldap_url("ldapi://%2Frun%2Fs").server == "ldapi:///run/s"


@pytest.mark.parametrize(
    ("general", "special", "relation"),
    [
        ("mail", "MAIL", 1),
        ("mail", "mail;lang-en", 1),
        ("mail;lang-en", "mail", -1),
        ("mail", "mailbox", 0),
        ("mailbox", "mail", 0),
        ("mail;a", "mail;b", 0),
        ("", "mail", 0),
    ],
)
def test_attribute_descriptions(general: str, special: str, relation: int) -> None:
    assert covers(general, special) == relation
