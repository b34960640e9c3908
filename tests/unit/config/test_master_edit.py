from __future__ import annotations

import pytest

from gateway.config.master_cf import Row, parse_master_cf, parse_row
from gateway.config.master_edit import add_row, edit_rows, is_match, set_row
from gateway.model.errors import ConfigError

TEXT = """# top
smtp  inet n - y - - smtpd
#  -o commented=1
  -o a=b
# between
relay unix - - y - - smtp

# end
"""
LINES = TEXT.split("\n")


def test_rows_that_stay_are_not_touched() -> None:
    assert edit_rows(LINES, lambda row: row) == LINES


def test_a_row_is_replaced_and_comments_stay() -> None:
    assert (
        "\n".join(set_row(LINES, "smtp", "inet", "smtp inet n - n - 5 smtpd -v"))
        == """# top
smtp       inet  n       -       n       -       5       smtpd -v
#  -o commented=1
# between
relay unix - - y - - smtp

# end
"""
    )


def test_a_row_is_added_at_the_end() -> None:
    after = set_row(LINES, "new", "unix", "new unix - - n - - pipe flags=R { a  b }")
    assert after[:-2] == LINES[:-1]
    assert after[-2:] == ["new        unix  -       -       n       -       -       pipe flags=R {a  b}", ""]
    assert add_row([], parse_row("a unix - - n - - b"))[0].startswith("a ")


def test_rows_are_taken_away_or_commented_out() -> None:
    def drop(row: Row) -> Row | None:
        return None if is_match(row, "*", "inet") else row

    assert [row.key for row in parse_master_cf(edit_rows(LINES, drop))] == [("relay", "unix")]
    commented = edit_rows(LINES, drop, comment_out=True)
    assert commented[1:4] == ["#smtp  inet n - y - - smtpd", "#  -o commented=1", "#  -o a=b"]
    assert [row.key for row in parse_master_cf(commented)] == [("relay", "unix")]


@pytest.mark.parametrize("text", ["x unix - -", "a unix - - n - - b\nc unix - - n - - d"])
def test_what_is_no_row_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        set_row(LINES, "x", "unix", text)
