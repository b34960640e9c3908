from __future__ import annotations

import pytest

from gateway.config.layout import (
    WIDTH,
    format_command,
    format_override,
    format_row,
    format_value,
    split_blanks,
    with_override,
)
from gateway.config.master_cf import parse_row


def test_columns_are_aligned_while_they_fit() -> None:
    assert (
        format_row(parse_row("smtp inet n - y - - smtpd -v"))
        == "smtp       inet  n       -       y       -       -       smtpd -v"
    )
    assert (
        format_row(parse_row("127.0.0.1:25 inet n - - - - smtpd"))
        == "127.0.0.1:25 inet n      -       -       -       -       smtpd"
    )
    assert (
        format_row(parse_row("postlog unix-dgram n - n - 1 postlogd"))
        == "postlog    unix-dgram n  -       n       -       1       postlogd"
    )


def test_folded_rows_give_each_setting_a_line() -> None:
    row = parse_row("x unix - - n - - pipe -v -o a=1 -o { b = c d } -D flags=R user=x argv=" + "y" * 80 + " z")
    assert format_row(row, fold=True).split("\n") == [
        "x          unix  -       -       n       -       -       pipe -v",
        "    -o a=1",
        "    -o {b=c d}",
        "    -D flags=R user=x",
        "    argv=" + "y" * 80,
        "    z",
    ]


def test_values() -> None:
    assert format_value(" a  b\tc ", first="n =") == "n = a b c"
    assert format_value("", first="n =") == "n ="
    assert format_value("a b") == "a b"
    folded = format_value("word " * 40, first="name =", fold=True).split("\n")
    assert max(len(line) for line in folded) <= WIDTH
    assert " ".join(" ".join(folded).split()) == "name = " + " ".join(["word"] * 40)
    assert all(line.startswith("    ") for line in folded[1:])


def test_small_parts() -> None:
    assert split_blanks(" a\tb\u00a0c ") == ["a", "b\u00a0c"]
    assert [format_override("n", value) for value in ("x", "x y", "")] == ["n=x", "{n=x y}", "n="]
    assert format_command(parse_row("s inet n - n - - smtpd -o a=1 b")) == "smtpd -o a=1 b"


@pytest.mark.parametrize(
    ("arguments", "name", "value", "expected"),
    [
        ("", "a", "1", "smtpd -o a=1"),
        ("-v -o a=1 -o b=2", "a", "x y", "smtpd -v -o {a=x y} -o b=2"),
        ("-v -o a=1 -o b=2", "c", "3", "smtpd -v -o a=1 -o b=2 -o c=3"),
        ("-o a=1 -o a=2 -v", "a", "3", "smtpd -o a=3 -v"),
        ("-o a=1 -v", "a", None, "smtpd -v"),
        ("-o a=1 flags=R argv=x -o a=2", "a", "3", "smtpd -o a=3 flags=R argv=x -o a=2"),
        ("flags=R argv=x -o a=2", "a", "3", "smtpd -o a=3 flags=R argv=x -o a=2"),
    ],
)
def test_overrides_are_changed_in_place(arguments: str, name: str, value: str | None, expected: str) -> None:
    row = parse_row(f"s inet n - n - - smtpd {arguments}")
    assert format_command(with_override(row, name, value)) == expected
