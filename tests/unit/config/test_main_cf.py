from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.lines import BLANKS
from gateway.config.main_cf import check_setting, edit_main_cf, parse_main_cf, read_main_cf, split_setting
from gateway.model.errors import ConfigError


def values(lines: list[str]) -> dict[str, str]:
    return {name: setting.value for name, setting in parse_main_cf(lines)[0].items()}


def edited(text: str, **kwargs) -> str:
    return "\n".join(edit_main_cf(text.split("\n"), **kwargs))


def test_settings_have_their_place() -> None:
    settings, warnings = parse_main_cf(["# c", "a = b = c", "  d", "empty=", "b=1"], "main.cf")
    assert {name: (s.value, s.line) for name, s in settings.items()} == {
        "a": ("b = c  d", 2),
        "empty": ("", 4),
        "b": ("1", 5),
    }
    assert warnings == []


def test_the_last_of_several_counts_and_is_told() -> None:
    settings, warnings = parse_main_cf(["a = 1", "b = 2", "a = 3"], "main.cf")
    assert settings["a"].value == "3"
    assert warnings == ["main.cf, line 3: overriding earlier entry: a=1"]


def test_an_indented_first_line_is_left_out_and_told() -> None:
    settings, warnings = parse_main_cf(["  a = 1", " 2", "b = 3"], "main.cf")
    assert {name: setting.value for name, setting in settings.items()} == {"b": "3"}
    assert warnings == ['main.cf, line 1: logical line must not start with whitespace: "a = 1 2"']
    assert edit_main_cf(["  a = 1", "b = 3"], change={"a": "2", "b": "4"}) == ["  a = 1", "b = 4", "a = 2", ""]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("myhostname", 'expected "name = value"'),
        ("my hostname = x", 'expected "name = value"'),
        ("= x", "no parameter name"),
    ],
)
def test_syntax_errors_have_file_and_line(line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_main_cf(["# c", line], "/etc/x/main.cf")
    assert (caught.value.file, caught.value.line) == ("/etc/x/main.cf", 2)


def test_a_file_is_read(tmp_path) -> None:
    path = tmp_path / "main.cf"
    path.write_text("a = 1\n")
    assert read_main_cf(str(path))[0]["a"].value == "1"


TEXT = """# top

myhostname = a

  # inner
  b
# after
foo = 1
myhostname = c
#myhostname = old
last = 2
"""


def test_a_change_keeps_comments_and_order() -> None:
    after = edited(TEXT, change={"myhostname": "new", "mynetworks": "x  y"})
    assert (
        after
        == """# top

myhostname = new

  # inner
# after
foo = 1
myhostname = new
#myhostname = old
last = 2
mynetworks = x  y
"""
    )


def test_commenting_out_and_removing() -> None:
    assert edited("a = 1\n  b\n  # c\n  d\nz = 1\n", comment_out=["a"]) == "#a = 1\n#  b\n  # c\n#  d\nz = 1\n"
    assert edited("a = 1\n  b\n  # c\n  d\nz = 1\n", remove=["a", "missing"]) == "  # c\nz = 1\n"


def test_a_last_line_without_end_gets_one() -> None:
    assert edited("a = 1", change={"b": "2"}) == "a = 1\nb = 2\n"
    assert edited("", change={"b": "2"}) == "b = 2\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [("a", "x\ny"), ("a", "x\0"), ("", "x"), ("#a", "x"), ("a b", "x"), ("a=b", "x"), ("a", " x"), ("a\n", "x")],
)
def test_what_would_not_read_back_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError):
        check_setting(name, value)


NAMES = st.text(alphabet="abc_1", min_size=1, max_size=4)
VALUES = st.text(alphabet=st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",)), max_size=20).map(
    lambda value: value.strip(BLANKS)
)
LINES = st.lists(
    st.one_of(
        st.builds("{} = {}".format, NAMES, VALUES),
        st.builds("  {}".format, VALUES),
        st.sampled_from(["", "# comment", "   # indented", "\t"]),
    ),
    max_size=12,
)


def is_main_cf(lines: list[str]) -> bool:
    try:
        parse_main_cf(lines)
    except ConfigError:
        return False
    return True


@given(LINES.filter(is_main_cf), st.dictionaries(NAMES, VALUES, max_size=3))
def test_an_edit_reads_back_and_changes_nothing_else(lines: list[str], change: dict[str, str]) -> None:
    after = edit_main_cf(lines, change=change)
    assert values(after) == values(lines) | change
    comments = [line for line in lines if line.lstrip(BLANKS).startswith("#")]
    assert [line for line in after if line.lstrip(BLANKS).startswith("#")] == comments
    assert edit_main_cf(after, change=change) == after


@given(LINES.filter(is_main_cf), st.sets(NAMES, max_size=3), st.booleans())
def test_what_is_taken_away_is_gone(lines: list[str], names: set[str], is_comment: bool) -> None:
    after = edit_main_cf(lines, comment_out=names if is_comment else (), remove=() if is_comment else names)
    assert values(after) == {name: value for name, value in values(lines).items() if name not in names}


@given(NAMES, VALUES)
def test_a_setting_splits_into_what_made_it(name: str, value: str) -> None:
    assert split_setting(f"{name} = {value}") == (name, value)
