from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rfc import rfc5322

BLOCK = (
    b"From me Thu\r\nReceived: by a\r\n\tid 1\r\nSubject : caf\xe9\r\nX-Empty:\r\nreceived:by b\r\nno header\r\nLast: x"
)


def test_headers_come_in_order_with_their_octets() -> None:
    found = list(rfc5322.iter_headers(BLOCK))
    assert [header.name for header in found] == ["Received", "Subject", "X-Empty", "received", "Last"]
    assert found[0].raw_value == b" by a\r\n\tid 1"
    assert BLOCK[found[0].start : found[0].end] == b"Received: by a\r\n\tid 1\r\n"
    assert BLOCK[found[4].start : found[4].end] == b"Last: x"


def test_text_is_unfolded_and_keeps_foreign_octets() -> None:
    found = list(rfc5322.iter_headers(BLOCK))
    assert found[0].text == "by a\tid 1"
    assert found[1].text.encode("utf-8", "surrogateescape") == b"caf\xe9"
    assert found[2].text == ""


def test_scanning_can_go_on_behind_a_field() -> None:
    first = next(rfc5322.iter_headers(BLOCK))
    assert next(header.name for header in rfc5322.iter_headers(BLOCK, first.end)) == "Subject"


@pytest.mark.parametrize(("index", "value"), [(1, b" by a\r\n\tid 1"), (2, b"by b"), (3, None)])
def test_find_counts_headers_of_one_name(index: int, value: bytes | None) -> None:
    header = rfc5322.find(BLOCK, "RECEIVED", index)
    assert (header.raw_value if header else None) == value


def test_bare_newlines_and_odd_names() -> None:
    assert [h.raw_value for h in rfc5322.iter_headers(b"A: 1\n 2\nB: 3\n")] == [b" 1\n 2", b" 3"]
    assert list(rfc5322.iter_headers(b": no name\r\n caf\xe9: x\r\n")) == []
    assert rfc5322.find(b"A: 1\r\n", "\udcff") is None


def test_unfold() -> None:
    assert rfc5322.unfold(b" a\r\n b\n\tc \r\n") == b"a b\tc"


@given(st.lists(st.tuples(st.from_regex(rb"[!-9;-~]{1,20}", fullmatch=True), st.from_regex(rb"[ -~\x80-\xff]{0,40}", fullmatch=True))))  # fmt: skip
def test_every_field_of_a_block_is_found_where_it_stands(fields: list[tuple[bytes, bytes]]) -> None:
    block = b"".join(name + b":" + value + b"\r\n" for name, value in fields)
    found = list(rfc5322.iter_headers(block))
    assert [(h.raw_name, h.raw_value) for h in found] == fields
    assert b"".join(block[h.start : h.end] for h in found) == block


def test_fold_breaks_between_words_only() -> None:
    assert rfc5322.fold(b"X", [b"a"]) == b"X: a\r\n"
    assert rfc5322.fold(b"X", [b"a" * 70, b"b" * 70, b"c"]) == b"X: " + b"a" * 70 + b"\r\n " + b"b" * 70 + b" c\r\n"
    assert rfc5322.fold(b"X", [b"a" * 200]) == b"X: " + b"a" * 200 + b"\r\n"


@pytest.mark.parametrize(
    ("offset_s", "zone", "text"),
    [
        (0, "UTC", "Sun, 22 Nov 2026 13:29:36 +0000 (UTC)"),
        (-12600, "", "Sun, 22 Nov 2026 09:59:36 -0330"),
        (7200, "CEST", "Sun, 22 Nov 2026 15:29:36 +0200 (CEST)"),
    ],
)
def test_date_time(offset_s: int, zone: str, text: str) -> None:
    assert rfc5322.date_time(1795354176.7, offset_s, zone) == text
    assert parsedate_to_datetime(text).timestamp() == 1795354176
