from __future__ import annotations

import pathlib

import pytest

from gateway.config.master_cf import (
    Row,
    Service,
    override_places,
    parse_master_cf,
    parse_row,
    read_master_cf,
    service_of,
    split_arguments,
    split_options,
    unbrace,
)
from gateway.model.errors import ConfigError


def service(text: str) -> Service:
    return service_of(parse_row(text), default_chroot=False)


def test_columns_and_defaults() -> None:
    assert service("relay unix - - - - - smtp") == Service(
        name="relay",
        type="unix",
        private=True,
        unprivileged=True,
        chroot=False,
        wakeup=0,
        wakeup_is_lazy=False,
        maxproc=None,
        command="smtp",
        args=(),
        overrides={},
    )
    flush = service("flush unix n n y 1000? 5 flush -v")
    assert (flush.private, flush.unprivileged, flush.chroot) == (False, False, True)
    assert (flush.wakeup, flush.wakeup_is_lazy, flush.maxproc, flush.args) == (1000, True, 5, ("-v",))
    assert service_of(parse_row("x unix - - - - - x"), default_chroot=True).chroot is True


def test_overrides_in_all_their_forms() -> None:
    row = parse_row("s inet n - n - - smtpd -v -o a=1 -o { b = x  y } -o {c=z} -od=2 -o e=")
    assert row.arguments == ("-v", "-o", "a=1", "-o", "{b=x  y}", "-o", "c=z", "-od=2", "-o", "e=")
    assert split_options(row) == ({"a": "1", "b": "x  y", "c": "z", "d": "2", "e": ""}, ("-v",))


def test_arguments_of_the_program_are_left_alone() -> None:
    row = parse_row("m unix - n n - - pipe -o x=1 flags=R user=vmail:vmail argv=/bin/d -o y=2 { a  b } ${recipient}")
    overrides, arguments = split_options(row)
    assert overrides == {"x": "1"}
    assert arguments == ("flags=R", "user=vmail:vmail", "argv=/bin/d", "-o", "y=2", "a  b", "${recipient}")
    assert override_places(row.arguments) == [1]


def test_rows_continue_over_comments() -> None:
    rows = parse_master_cf(
        ["# c", "smtp inet n - n - - smtpd", "# between", "  -o a=1", "", "\t-v", "x unix - - - - - y"]
    )
    assert [(row.key, row.arguments, row.line, row.last) for row in rows] == [
        (("smtp", "inet"), ("-o", "a=1", "-v"), 2, 6),
        (("x", "unix"), (), 7, 7),
    ]


def test_the_same_name_may_have_several_types() -> None:
    rows = parse_master_cf(["smtp inet n - n - - smtpd", "smtp unix - - n - - smtp", "smtp pass - - n - - smtpd"])
    assert [row.fields[1] for row in rows] == ["inet", "unix", "pass"]


def test_a_second_row_of_the_same_name_and_type_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"master\.cf, line 3: service smtp/inet is already defined in line 1"):
        parse_master_cf(["smtp inet n - n - - smtpd", "", "smtp inet n - n - 5 smtpd"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smtp inet n - n - -", "7 columns, expected at least 8"),
        ("smtp", "1 columns"),
        ("smtp tcp n - n - - smtpd", 'service type "tcp": expected one of inet, unix'),
        ("smtp inet y - n - - smtpd", "inet service cannot be private"),
        ("smtp inet - - n - - smtpd", "inet service cannot be private"),
        ("smtp unix q - n - - smtpd", 'private "q": expected y, n or -'),
        ("smtp unix - Y n - - smtpd", 'unprivileged "Y"'),
        ("smtp unix - - 1 - - smtpd", 'chroot "1"'),
        ("smtp unix - - n 5m - smtpd", 'wakeup "5m": expected seconds'),
        ("smtp unix - - n -1 - smtpd", 'wakeup "-1"'),
        ("smtp unix - - n - many smtpd", 'maxproc "many": expected a number or -'),
        ("smtp unix - - n - - smtpd -o { a = b", "never closed"),
        ("smtp unix - - n - - smtpd -o { a }", 'expected "name = value"'),
    ],
)
def test_errors_say_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_master_cf(["# c", text])
    assert (caught.value.file, caught.value.line) == ("master.cf", 2)


@pytest.mark.parametrize(
    "text", ["s inet n - n - - smtpd -o", "s inet n - n - - smtpd -o a", "s inet n - n - - smtpd -o =x"]
)
def test_an_override_needs_a_name_and_a_value(text: str) -> None:
    with pytest.raises(ConfigError):
        split_options(parse_row(text, file="master.cf", line=1))


def test_splitting() -> None:
    assert split_arguments("a  {b { c } d} e{f g}h }") == ["a", "{b { c } d}", "e{f g}h", "}"]
    assert [unbrace(text) for text in ("{ a b }", "{}", "x{y}", "plain")] == ["a b", "", "x{y}", "plain"]


def test_rows_know_their_key() -> None:
    assert Row(("a", "unix", "-", "-", "-", "-", "-"), "c", ()).key == ("a", "unix")


def test_a_file_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "master.cf"
    path.write_text("smtp inet n - n - - smtpd\n")
    assert read_master_cf(str(path))[0].file == str(path)


STOCK = pathlib.Path("/usr/share/postfix/master.cf.dist")


@pytest.mark.peer("postfix")
def test_the_stock_master_cf_of_debian_is_read() -> None:
    services = [service_of(row, default_chroot=False) for row in read_master_cf(str(STOCK))]
    names = {(item.name, item.type) for item in services}
    assert {("smtp", "inet"), ("smtp", "unix"), ("relay", "unix"), ("postlog", "unix-dgram")} <= names
    maildrop = next(item for item in services if item.name == "maildrop")
    assert maildrop.args == ("flags=DRXhu", "user=vmail", "argv=/usr/bin/maildrop", "-d", "${recipient}")


def test_our_own_rows_are_all_of_postfix() -> None:
    ours = pathlib.Path(__file__).parents[3] / "etc" / "master.cf"
    names = {row.key for row in read_master_cf(str(ours))}
    expected = "pickup cleanup qmgr rewrite bounce defer trace flush proxymap smtp relay showq error retry discard local virtual lmtp anvil scache"
    assert {(name, "unix") for name in expected.split()} <= names
    assert ("smtp", "inet") in names
