"""Any text has tokens, and no text costs more than its length."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rfc.address.tokens import ATOM, COMMENT, LITERAL, QUOTED, Token, external, internal, printed, scan, spelled

SCANNED = {
    "": [],
    " \t\r\n": [],
    "a": [(ATOM, "a")],
    "a b": [(ATOM, "a"), (ATOM, "b")],
    "a.b@c": [(ATOM, "a"), (".", "."), (ATOM, "b"), ("@", "@"), (ATOM, "c")],
    "a!b%c": [(ATOM, "a"), ("!", "!"), (ATOM, "b"), ("%", "%"), (ATOM, "c")],
    '"a b"': [(QUOTED, "a b")],
    '"a\\"\\\\b"': [(QUOTED, 'a"\\b')],
    '""': [(QUOTED, "")],
    '"a': [(QUOTED, "a")],
    '"a\\"': [(QUOTED, 'a"')],
    '"a\\': [(QUOTED, "a")],
    '"a\\\\"': [(QUOTED, "a\\")],
    '"': [(QUOTED, "")],
    '"a"b': [(QUOTED, "a"), (ATOM, "b")],
    '"a\r\n b\tc"': [(QUOTED, "a   b c")],
    "[1.2]": [(LITERAL, "1.2")],
    "[1\\]2]": [(LITERAL, "1]2")],
    "[1.2": [(LITERAL, "1.2")],
    "[": [(LITERAL, "")],
    "(a)": [(COMMENT, "(a)")],
    "(a(b)c)d": [(COMMENT, "(a(b)c)"), (ATOM, "d")],
    "(a\\)b)c": [(COMMENT, "(a\\)b)"), (ATOM, "c")],
    "(a(b)c": [(COMMENT, "(a(b)c")],
    "(a\\": [(COMMENT, "(a\\")],
    "(": [(COMMENT, "(")],
    ")": [(")", ")")],
    "a\\ b": [(QUOTED, "a b")],
    "a\\@b": [(QUOTED, "a@b")],
    "a\\b": [(ATOM, "ab")],
    "a\\": [(ATOM, "a")],
    "\\": [(ATOM, "")],
    "a\x00b": [(QUOTED, "a\x00b")],
    "ä\xa0\udcff": [(ATOM, "ä\xa0\udcff")],
    "<,>;:": [("<", "<"), (",", ","), (">", ">"), (";", ";"), (":", ":")],
}


@pytest.mark.parametrize("text", SCANNED)
def test_tokens(text: str) -> None:
    assert scan(text) == SCANNED[text]


def test_the_limit_leaves_one_token_more() -> None:
    assert len(scan("a b c", 3)) == 3
    assert len(scan("a b c d e", 3)) == 4
    assert len(scan("a " * 100)) == 100


def test_printing() -> None:
    tokens = scan('a "b c"[d](e),<f>\\@')
    assert internal(tokens) == "a b c [d] (e), <f>@"
    assert printed(tokens) == 'a "b c" [d] (e), <f>"@"'
    assert external(tokens) == 'a"b c"[d](e), <f>"@"'
    assert spelled(Token(LITERAL, "a\\b")) == "[a\\\\b]"


@given(st.text(alphabet=st.sampled_from('ab @.,:;<>()[]"\\%!\t\r\nä\x00\udcff'), max_size=60))
def test_nothing_raises(text: str) -> None:
    tokens = scan(text)
    assert scan(text, 5) == tokens[:6]
    assert all(token.kind != COMMENT or token.text.startswith("(") for token in tokens)
    if "\\" not in text:  # backslashes are spent on reading; what they stood before may mean something without them
        words = [token for token in tokens if token.kind != COMMENT]
        assert scan(printed(words)) == words


@pytest.mark.parametrize(
    "text", ["(", ")", "()", "[", '"', "\\", "\\(", "a", "a ", "@", "<", '"\\"', "[]", "((", "(\\"]
)
def test_cost_grows_with_the_length_only(text: str) -> None:
    hostile = text * (100_000 // len(text))
    begin = time.process_time()
    internal(scan(hostile))
    assert time.process_time() - begin < 2.0
