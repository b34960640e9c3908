"""Templates of notifications: files, what is wrong with them, and their texts expanded."""

from __future__ import annotations

import pathlib

import pytest

from gateway.config import Config
from gateway.config.bounce_template import BUILT_IN, Template, TemplateKind, expanded_lines, read_templates
from gateway.model.errors import ConfigError

GOOD = """\
# comment

failure_template = <<END
charset: utf-8
FROM:   Bob
Subject : Not $this
Postmaster-Subject: Copy

Dear ä,
 END
END
"""


def read(tmp_path: pathlib.Path, text: str) -> tuple[dict[TemplateKind, Template], list[str]]:
    path, warnings = tmp_path / "b", list[str]()
    path.write_text(text)
    templates = read_templates(str(path), warnings.append)
    return templates, [warning.removeprefix(str(path)) for warning in warnings]


def test_a_template_replaces_a_built_in_one(tmp_path: pathlib.Path) -> None:
    templates, warnings = read(tmp_path, GOOD)
    assert warnings == []
    assert templates[TemplateKind.FAILURE] == Template(
        TemplateKind.FAILURE, "Not $this", ("Dear ä,", " END"), "utf-8", "Bob", "Copy"
    )
    assert templates[TemplateKind.DELAY] is BUILT_IN[TemplateKind.DELAY]


def test_what_is_shown_reads_back(tmp_path: pathlib.Path) -> None:
    shown = "\n\n".join("\n".join(template.shown()) for template in BUILT_IN.values())
    assert read(tmp_path, shown + "\n") == (BUILT_IN, [])


def test_headers_may_be_left_out(tmp_path: pathlib.Path) -> None:
    for text in ("only text\n", "\nonly text\n", "Subject: x\nonly text\n", "Subject: x\r\n\r\nonly text\r\n"):
        templates, warnings = read(tmp_path, f"delay_template = <<E\n{text}E\n")
        assert (templates[TemplateKind.DELAY].lines, warnings) == (("only text",), [])
    assert read(tmp_path, "delay_template = text")[0][TemplateKind.DELAY].lines == ("text",)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("Foo: x\n\ny", ': unknown "Foo" header label in success template -- ignoring this template'),
        ("Subject:\n\ny", ': empty "Subject" header value in success template -- ignoring this template'),
        ("Subject: ä\n\ny", ': non-ASCII "Subject" header value in success template -- ignoring this template'),
        ("Subject: x\n", ": missing message text in success template -- ignoring this template"),
        ("Subject: x\n\nä", ": 8-bit message text in success template: specify a charset other than us-ascii"),
        ("Postmaster-Subject: x\n\ny", ': inapplicable "Postmaster-Subject" header label in success template'),
    ],
)
def test_a_wrong_template_is_left_out(tmp_path: pathlib.Path, text: str, warning: str) -> None:
    templates, warnings = read(tmp_path, f"success_template = <<E\n{text}\nE\n")
    assert templates == BUILT_IN
    assert len(warnings) == 1
    assert warnings[0].startswith(warning)


def test_names_and_ends_that_are_missing(tmp_path: pathlib.Path) -> None:
    assert read(tmp_path, "other_template = <<E\nx\nE\n")[1] == [
        ", line 1: unknown template name: other_template -- ignoring this template"
    ]
    templates, warnings = read(tmp_path, "verify_template = <<E\nx\n")
    assert (templates[TemplateKind.VERIFY].lines, warnings) == (("x",), [', line 2: missing "E" end marker'])


@pytest.mark.parametrize("text", ["failure_template\n", "failure_template = <<\n", "failure_template = <<'E'\n"])
def test_what_is_no_template_file_is_an_error(tmp_path: pathlib.Path, text: str) -> None:
    with pytest.raises(ConfigError, match="line 1"):
        read(tmp_path, text)


def expanded(text: str, **settings: str) -> tuple[list[str], list[str]]:
    config = Config.from_settings({"myhostname": "mx.example.com", "compatibility_level": "3.6", **settings})
    warnings: list[str] = []
    template = Template(TemplateKind.DELAY, "s", tuple(text.split("\n")))
    return expanded_lines(template, config, warnings.append, file="f"), warnings


def test_names_are_filled_in() -> None:
    lines, warnings = expanded("$myhostname $$ ${mine}\n${none?a}${none:b} $(mail_name)", mine="$max_use")
    assert (lines, warnings) == (["mx.example.com $ 100", "b Postfix"], [])


@pytest.mark.parametrize(
    ("setting", "unit", "number", "warning"),
    [
        ("36h", "hours", "36", ""),
        ("36h", "days", "1", ""),
        ("90s", "minutes", "1", ""),
        ("90s", "hours", "0", 'f: zero result of "maximal_queue_lifetime_hours" in delay template: a smaller unit'),
        ("999s", "seconds", "999", ""),
        ("1000s", "seconds", "1000", 'f: excessive result "1000" of "maximal_queue_lifetime_seconds"'),
        ("0", "weeks", "0", ""),
    ],
)
def test_times_are_cut_to_whole_units(setting: str, unit: str, number: str, warning: str) -> None:
    lines, warnings = expanded(f"$maximal_queue_lifetime_{unit}", maximal_queue_lifetime=setting)
    assert lines == [number]
    assert len(warnings) == bool(warning)
    assert all(text.startswith(warning) for text in warnings)


def test_our_names_are_readable_where_utf8_is_allowed() -> None:
    host = "mx.xn--exmple-cua.org"
    assert expanded("$myhostname $mydomain", myhostname=host)[0] == ["mx.exämple.org exämple.org"]
    assert expanded("$myhostname", myhostname=host, smtputf8_enable="no")[0] == [host]
    assert expanded("$myhostname", myhostname="xn--\x7f.example")[0] == ["xn--\x7f.example"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$none", r"undefined name \$none in delay template"),
        ("${none}", "undefined name"),
        ("$delay_warning_time_years", 'unrecognized suffix "years"'),
        ("${", "never closed"),
    ],
)
def test_texts_that_cannot_be_filled_in(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        expanded(text)
