"""Addresses in headers: completed where they must be, untouched octets where nothing changes."""

from __future__ import annotations

import time

import pytest

from gateway.cleanup.header_addresses import HeaderAddresses, header_rewriters
from gateway.config import Config
from gateway.maps.rewriting import Rewriting
from gateway.rfc.address.fields import NAMES

SETTINGS = {"compatibility_level": "3.6", "myhostname": "mx.here.example", "myorigin": "Origin.example"}


def rewriter(**settings: str) -> HeaderAddresses:
    config = Config.from_settings(SETTINGS | settings)
    return header_rewriters(config, Rewriting(config))[0]


UNCHANGED = [
    b"",
    b"Subject: a\r\n",
    b"From: a@b.c\r\n",
    b"From: <a@b.c>\r\n",
    b'from:  "A  B"   <a@b.c>\t(x)\r\n',
    b"To:\r\n a@b.c,\r\n\tB C\r\n D <d@e.f>\r\n",
    b"To: a@b.c.d,b@c.d , c@d.e\r\n",
    b"To : a@b.c\r\n",
    b"To:\r\n",
    b"To: \r\n",
    b"To: undisclosed-recipients:;\r\n",
    b"To: g: a@b.c, d@e.f;\r\n",
    b"To: a@b\r\n",
    b"To: a@b.c d@e.f\r\n",
    b"To: a@[192.0.2.1]\r\n",
    b"To: (only a comment\r\n",
    b"To: a (x) @ b.c\r\n",
    b"To: <>\r\n",
    b"To: =?utf-8?q?=C3=A4?= <a@b.c>, \xc3\xa4\xff <a@b.c>\r\n",
    b'To: "a\\"b" <"c d"@e.f>\r\n',
    b"X-To: a\r\nDelivered-To: a\r\nSubject: To: a\r\n To: a\r\n",
    b"Received: from a\r\n\tfor a\r\nFrom: a@b.c\r\n",
]
CHANGED = {
    b"From: a\r\n": b"From: a@Origin.example\r\n",
    b"FROM : a\r\n": b"FROM: a@Origin.example\r\n",
    b"to:a,  b@c.d\r\n": b"to: a@Origin.example, b@c.d\r\n",
    b"To:\r\n a\r\n": b"To: a@Origin.example\r\n",
    b"To: a!b, c%d\r\n": b"To: b@a, c@d\r\n",
    b"To: a@b.c.\r\n": b"To: a@b.c\r\n",
    b"To: <@r:a@b.c>\r\n": b"To: <a@b.c>\r\n",
    b"To: A  B <a>\r\n": b"To: A B <a@Origin.example>\r\n",
    b"To: (c) a\r\n": b"To: a@Origin.example (c)\r\n",
    b"To: a (c\r\n\td)\r\n": b"To: a@Origin.example (c \td)\r\n",
    b"To: g: a;, b\r\n": b"To: g: a@Origin.example;, b@Origin.example\r\n",
    b'To: "a b", "c"@d.e\r\n': b'To: "a b"@Origin.example, c@d.e\r\n',
    b"To: \xc3\xa4 <a>, \xff\r\n": b"To: \xc3\xa4 <a@Origin.example>, \xff@Origin.example\r\n",
    b"Subject: x\r\nTo: a\r\nX: a\r\nCc: b\r\n": (
        b"Subject: x\r\nTo: a@Origin.example\r\nX: a\r\nCc: b@Origin.example\r\n"
    ),
}


@pytest.mark.parametrize("head", UNCHANGED)
def test_a_header_in_which_nothing_changes_keeps_its_octets(head: bytes) -> None:
    assert rewriter().rewrite(head) == head
    assert rewriter().rewrite(head + b"To: a\r\n") == head + b"To: a@Origin.example\r\n"


@pytest.mark.parametrize("head", CHANGED)
def test_changed_headers(head: bytes) -> None:
    assert rewriter().rewrite(head) == CHANGED[head]
    again = rewriter().rewrite(CHANGED[head])
    assert again == CHANGED[head]


def test_names() -> None:
    head = b"".join(b"%s: a\r\n" % name for name in NAMES)
    assert rewriter().rewrite(head) == head.replace(b": a\r", b": a@Origin.example\r")
    assert len(NAMES) == 18


def test_domains_are_completed_even_in_the_simplest_header() -> None:
    rules = rewriter(append_dot_mydomain="yes", mydomain="here.example")
    assert rules.rewrite(b"To: a@b\r\n") == b"To: a@b.here.example\r\n"
    assert rules.rewrite(b"To: a@b.c\r\n") == b"To: a@b.c\r\n"


def test_remote_clients() -> None:
    config = Config.from_settings(SETTINGS | {"remote_header_rewrite_domain": "remote.invalid"})
    remote = header_rewriters(config, Rewriting(config))[1]
    assert remote is not None
    assert remote.rewrite(b"From: a\r\nTo: b@c.d\r\n") == b"From: a@remote.invalid\r\nTo: b@c.d\r\n"
    config = Config.from_settings(SETTINGS)
    assert header_rewriters(config, Rewriting(config))[1] is None


def test_a_header_with_too_many_tokens_is_left_alone() -> None:
    rules = rewriter(header_address_token_limit="10")
    assert rules.rewrite(b"To: a, b, c, d, e\r\n") != b"To: a, b, c, d, e\r\n"
    assert rules.rewrite(b"To: a, b, c, d, e, f\r\n") == b"To: a, b, c, d, e, f\r\n"


@pytest.mark.parametrize(
    "value",
    [
        b"(", b"<", b'"', b"\\", b"a ", b"a,", b"a@b.c,", b"a@b.c ", b"a:", b"<a>", b"a.", b'"a" ', b"\r\n ", b"[", b"x y <",
        b"a@b.c (", b"!", b"%", b";", b"\xff", b'"\\', b'a"b" ',
    ],
)  # fmt: skip
def test_cost_grows_with_the_length_only(value: bytes) -> None:
    head = b"To: " + value * (60_000 // len(value)) + b"\r\n"
    begin = time.process_time()
    rewriter().rewrite(head)
    assert time.process_time() - begin < 2.0
