"""Keys: which octets a table stores for them."""

from __future__ import annotations

import pytest

from gateway.config import Config
from gateway.maps.folding import Folding, decoded, encoded, folded_octets, is_utf8
from gateway.model.errors import TableError


def folding(smtputf8: str) -> Folding:
    return Folding(Config.from_settings({"smtputf8_enable": smtputf8}))


@pytest.mark.parametrize(
    ("key", "in_utf8", "in_octets"),
    [
        ("Joe@EXAMPLE", b"joe@example", b"joe@example"),
        ("É", "é".encode(), "É".encode()),
        ("ß", b"ss", "ß".encode()),
        ("a\udcff", None, b"a\xff"),
        ("a\0b", None, None),
        ("é\0", None, None),
        ("", b"", b""),
    ],
)
def test_keys(key: str, in_utf8: bytes | None, in_octets: bytes | None) -> None:
    strict, sloppy = folding("yes"), folding("no")
    assert (strict.octets(key), sloppy.octets(key)) == (in_utf8, in_octets)
    if "\0" not in key:
        assert strict.text(key) == (None if in_utf8 is None else decoded(in_utf8))


def test_case_can_be_kept() -> None:
    strict = folding("yes")
    strict.folds = False
    assert [strict.octets(key) for key in ("A", "É", "\udcff")] == [b"A", "É".encode(), None]
    assert strict.text("A") == "A"


def test_values() -> None:
    assert folding("no").value("hash:x", b"\xff") == "\udcff"
    assert folding("yes").value("hash:x", "é".encode()) == "é"
    with pytest.raises(TableError, match="hash:x: the value is not UTF-8"):
        folding("yes").value("hash:x", b"\xff")


def test_octets_and_text() -> None:
    assert decoded(b"a\xff") == "a\udcff"
    assert encoded("a\udcff") == b"a\xff"
    assert [is_utf8(text) for text in ("a", "é", "\udcff")] == [True, True, False]
    assert folded_octets("ÉA".encode(), in_utf8=True) == "éa".encode()
    assert folded_octets("ÉA".encode(), in_utf8=False) == "Éa".encode()
