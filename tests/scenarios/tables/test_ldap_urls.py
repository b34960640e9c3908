"""LDAP URLs are read as libldap's ldap_url_parse reads them."""

from __future__ import annotations

import ctypes
import ctypes.util
import random

import pytest

from gateway.maps.ldap.text import BASE, is_ldap_url, parse_ldap_url

pytestmark = pytest.mark.peer("slapd")  # which brings libldap

HEADS = [
    "ldap://",
    "ldaps://",
    "ldapi://",
    "LDAP://",
    "URL:ldap://",
    "url:LdapS://",
    "<ldap://",
    "<URL:ldap://",
    "http://",
    "ldap:/",
    "ldap",
    "",
]
HOSTS = [
    "",
    "h",
    "127.0.0.1",
    "h:1",
    "h:0",
    "h:",
    "h:x",
    "h:65535",
    "[::1]",
    "[::1]:22",
    "[::1",
    "a b",
    "h%20x",
    "%2ftmp%2fs",
    "u@h",
    "h,i",
]
PARTS = ["", "/", "/dc=x", "//dc=x", "/ dc=x", "/dc%3Dx", "?", "?x", "/?", "/dc=é"]
ATTRIBUTES = ["", "?", "?mail", "?mail,cn", "?mail,,cn", "?,", "?*", "? mail ", "?%6dail", "?a;b"]
SCOPES = [
    "",
    "?",
    "?sub",
    "?one",
    "?base",
    "?SUB",
    "?onelevel",
    "?subtree",
    "?children",
    "?subordinate",
    "?bad",
    "?%73ub",
]
FILTERS = ["", "?", "?(a=b)", "?a=b", "?(a=%28)", "?(&(a=b)(c=*))"]
ENDS = ["", "?", "?x", "?!x,y=1", "?x?", ">", "?x>"]


class _Description(ctypes.Structure):
    _fields_ = (
        ("next", ctypes.c_void_p),
        ("scheme", ctypes.c_char_p),
        ("host", ctypes.c_char_p),
        ("port", ctypes.c_int),
        ("dn", ctypes.c_char_p),
        ("attributes", ctypes.POINTER(ctypes.c_char_p)),
        ("scope", ctypes.c_int),
        ("filter", ctypes.c_char_p),
    )


def _theirs(library: ctypes.CDLL, url: str) -> tuple[object, ...] | None:
    found = ctypes.POINTER(_Description)()
    if library.ldap_url_parse(url.encode(), ctypes.byref(found)):
        return None
    it = found.contents
    names: list[str] = []
    while it.attributes and it.attributes[len(names)] is not None:
        names.append(it.attributes[len(names)].decode())
    texts = [(value or b"").decode() for value in (it.scheme, it.host, it.dn, it.filter)]
    read = (texts[0].lower(), texts[1], it.port, texts[2], tuple(names), it.scope, texts[3])
    library.ldap_free_urldesc(found)
    return None if "?" in texts[2] else read  # "ldapi://??x": no DN has a "?" that is not escaped


def _ours(url: str) -> tuple[object, ...] | None:
    try:
        it = parse_ldap_url(url)
    except ValueError:
        return None
    return (it.scheme, it.host, it.port, it.base, it.attributes, BASE if it.scope is None else it.scope, it.filter)


def test_urls_are_read_as_libldap_reads_them() -> None:
    name = ctypes.util.find_library("ldap")
    assert name
    library = ctypes.CDLL(name)
    draw = random.Random("url")
    urls = {"".join(map(draw.choice, (HEADS, HOSTS, PARTS, ATTRIBUTES, SCOPES, FILTERS, ENDS))) for _ in range(6000)}
    assert {url: _ours(url) for url in urls if is_ldap_url(url)} == {
        url: _theirs(library, url) for url in urls if is_ldap_url(url)
    }
    assert {url for url in urls if is_ldap_url(url)} == {url for url in urls if library.ldap_is_ldap_url(url.encode())}
    assert sum(_ours(url) is not None for url in urls) > 500


@pytest.mark.parametrize("url", ["ldap:///dc=%zz", "ldap:///dc=%4", "ldap:///?%", "ldap:///???(a=%g0)"])
def test_a_broken_escape_is_an_error_and_not_an_empty_part(url: str) -> None:
    """libldap makes the whole part empty: a search of another base."""
    with pytest.raises(ValueError, match="hexadecimal"):
        parse_ldap_url(url)
