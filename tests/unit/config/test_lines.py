from __future__ import annotations

import pytest

from gateway.config.lines import MAX_LINE, is_comment, logical_lines, read_lines
from gateway.model.errors import ConfigError


def texts(text: str) -> list[str]:
    return [line.text for line in logical_lines(text.split("\n"))]


def test_comments_and_empty_lines_may_stand_inside_a_continuation() -> None:
    assert texts("a = 1\n\n# comment\n  # indented comment\n\t2\nb = 3") == ["a = 1\t2", "b = 3"]


def test_white_space_inside_stays_as_it_was() -> None:
    assert texts("a = x  y \n   z  \n") == ["a = x  y    z"]


def test_line_numbers_are_those_of_the_file() -> None:
    lines = list(logical_lines(["# 1", "a = 1", "", "  more", "# 5", "b = 2"]))
    assert [(line.first, line.last) for line in lines] == [(2, 4), (6, 6)]


def test_an_indented_first_line_is_marked() -> None:
    assert [line.is_indented for line in logical_lines(["  a = 1", "b = 2"])] == [True, False]


def test_only_ascii_white_space_counts() -> None:
    assert texts("a = 1\n\u00a0b = 2") == ["a = 1", "\u00a0b = 2"]
    assert not is_comment("\u2003#")


def test_nul_and_endless_lines_are_errors() -> None:
    with pytest.raises(ConfigError, match=r"main\.cf, line 2: NUL"):
        list(logical_lines(["a = 1", "b = \0"], "main.cf"))
    with pytest.raises(ConfigError, match="longer than"):
        list(logical_lines(["a = 1", " " + "x" * MAX_LINE]))


def test_octets_that_are_no_utf8_survive(tmp_path) -> None:
    path = tmp_path / "main.cf"
    path.write_bytes(b"a = \xff\xfe\nb = \xc3\xa9\n")
    assert read_lines(str(path)) == ["a = \udcff\udcfe", "b = é", ""]


def test_an_unreadable_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/nonexistent/main\.cf: cannot read: No such file"):
        read_lines("/nonexistent/main.cf")
