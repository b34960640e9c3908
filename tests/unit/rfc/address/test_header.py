"""Address lists of headers: what is an address, and what stays as it was. Expected values: Postfix's."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rfc.address.header import GROUP, MAILBOX, Mailbox, lines, parse
from gateway.rfc.address.tokens import COMMENT, scan

ADDRESSES = {
    "": [],
    "a": ["a"],
    "a, b": ["a", "b"],
    "a b": ["a", "b"],
    "a@b c@d": ["a@b", "c@d"],
    "a . b @ c": ["a.b@c"],
    "Full Name <a@b>": ["a@b"],
    '"Name, Full" <a@b>, c': ["a@b", "c"],
    "<a>": ["a"],
    "a <b> c": ["b", "c"],
    "a <>": [],
    "<>": [],
    "g: a, b;": ["a", "b"],
    "g:;": [],
    "undisclosed-recipients:;": [],
    "g: <a>, x <b>; c": ["a", "b", "c"],
    "a:b": ["a:b"],
    "<@r1,@r2:u@d>": ["@r1, @r2:u@d"],
    "a (x) b": ["a", "b"],
    "(x) a": ["a"],
    "<(x)a>": ["a"],
    "a <b c>": ["bc"],
    "a!b, c%d": ["a!b", "c%d"],
    '"a b"@c': ['"a b"@c'],
    "a@[1.2.3.4]": ["a@[1.2.3.4]"],
    "a <b": ["a<b"],
    "a> b": ["a", "b"],
    "a,,b": ["a", "b"],
    ",;:<>": [],
}
PRINTED = {
    "a b": ["a,", "b"],
    "a  ,  b(x)": ["a,", "b (x)"],
    "(x) a": ["a (x)"],
    "Name   <a>": ["Name <a>"],
    "a (c1) (c2) <b>(c3)": ["a (c1) (c2) <b>(c3)"],
    "g : a , b ; c": ["g: a,", "b;,", "c"],
    "g:;": ["g: ;"],
    "g: <a>;": ["g: <a>;"],
    "<<a>>": ["< <a>>"],
    "J. Q. Public <c>": ["J.Q.Public <c>"],
    "a,,b": ["a,", ",", "b"],
    "a (x\n y)": ["a (x", " y)"],
    "<(c)a>": ["<a (c)>"],
    "a@(c),": ["a@ (c),", ""],
}


def _mailboxes(text: str) -> list[str]:
    return [node.text for node in parse(scan(text)) if isinstance(node, Mailbox)]


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses(text: str) -> None:
    assert _mailboxes(text) == ADDRESSES[text]


@pytest.mark.parametrize("text", PRINTED)
def test_printing(text: str) -> None:
    assert lines(parse(scan(text))) == PRINTED[text]


def test_kinds() -> None:
    assert [node.kind for node in parse(scan("g: a (x);"))] == ["atom", GROUP, MAILBOX, COMMENT, ";"]


@given(st.text(alphabet=st.sampled_from('ab @.,:;<>()[]"\\%!\n'), max_size=50))
def test_nothing_is_lost(text: str) -> None:
    before = sorted(token for token in scan(text) if token.kind not in ",:")
    after = [
        token
        for node in parse(scan(text))
        for token in (node.tokens if isinstance(node, Mailbox) else [node])
        if token.kind not in (",", ":", GROUP)
    ]
    assert sorted(after) == before


@pytest.mark.parametrize("text", ["a:", ";", "<a>", "a ", "<", ">", ",", "(a)", ":;", "a@b,"])
def test_cost_grows_with_the_length_only(text: str) -> None:
    hostile = text * (50_000 // len(text))
    begin = time.process_time()
    lines(parse(scan(hostile)))
    assert time.process_time() - begin < 2.0
