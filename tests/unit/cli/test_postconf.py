"""postconf by itself, and side by side with Postfix's."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from gateway.cli.console import Fatal
from gateway.cli.postconf import main
from gateway.model.errors import ConfigError

# Postfix waits two seconds before it reads a file that has just been written.
LONG_AGO = (1e9, 1e9)

MAIN = r"""# tricky on purpose
compatibility_level = 3.7
myhostname = mx.example.com
words = x
  y	z<blanks>
# comment between
   w

b1=${ta?{ p }:{ q }}
ta = 1
b2=${tb?{ p } : { q }}
b3=${tb?yes}${tb:no : it}
b4=${ta ? foo }
b5=${{$ta} == {1}}
b6=${{$ta} == {01} ? {eq} : {ne}}
b7=${{abc} < {abd}?{lt}:{ge}}
b8=$$x$(ta)y$tb z
b9=${{2} < {10} ? {num} : {str}}
b10=${{ 1 } == {1} ? {t} : {f}}
b11=${{3.10} >level {3.9} ? {t} : {f}}
b12=${ta:{x}}|${ta?{x}}|${tb:{x}}
b13=${ta?a{b}c:{d}}
b14=${tb?{b}:c}
b15=${{a}!={b}?yes}
b16=${ta?{$b9}:{}}
dup = 1
dup = 2
empty =
b17 = {a b}  c
b18= a = b = c
mydestination = $words $b1 $b2 $b3 $b4 $b5 $b6 $b7 $b8 $b9 $b10 $b11 $b12 $b13 $b14 $b15 $b16 $dup $empty $b17 $b18
bad.name-x = 1
mua_unused = x
smtpd_restriction_classes = strict
strict = reject_unauth_destination, check_client_access inline:{{1.2.3.4 = OK},{5.6.7.8 = REJECT}}, check_sender_access hash:/etc/postfix/sender
alias_maps = ldap:lx
lx_server_host = h
default_rbl_reply = $rbl_code no, ${rbl_reason?$rbl_reason}
smtpd_reject_footer = call $myhostname
relay_destination_concurrency_limit = 3
smtp_helo_name = ${myhostname?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}
smtpd_banner = aaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbb ccccccccccccccccccccc ddddd eeeeeeeeeeeeeeeeeeeeeeeeeeeee ffffffffffff
maximal_queue_lifetime = 3d
""".replace("<blanks>", "  ")

MASTER = r"""# services
smtp inet  n       -       y       -       -       smtpd
  -o smtpd_banner=hello -o { smtp_helo_name = d e }
# between
  -v
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name -o smtp_helo_timeout=$smtp_mail_timeout
foo     unix  -       -       y       -       -       pipe flags=R user=x:y argv=/bin/foo { a b } ${x} -o bar
p1 pass - - n 10? 3 smtpd -o myorigin=
127.0.0.1:25 inet n - - - - smtpd
foo2     unix  -       -       y       -       -       pipe -v flags=R user=x:yyy bbb argv=/bin/foo { a b } -o foo=bar ${x} abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz
foo3     unix  -       -       y       -       -       pipe -v -o stress=1 -o {   smtpd_banner = bar foo   bar foo } -D user=x:yyy
foo4     unix  -       -       y       -       -       smtpd -o stress=yes -o smtpd_timeout=$stress -o smtpd_banner=$smtpd_timeout
lmtp unix - - y - - lmtp
policy unix - n n - - spawn
error unix - - n - - error
local unix - n n - - local
postlog   unix-dgram n  -       n       -       1       postlogd
"""

# Names whose defaults are not Postfix's on purpose, and why.
DIFFERENT = {
    "config_directory": "our files live under postgate",
    "daemon_directory": "the same",
    "data_directory": "the same",
    "meta_directory": "the same",
    "queue_directory": "the same",
    "sample_directory": "the same",
    "html_directory": "chosen when the system was built",
    "readme_directory": "the same",
    "shlib_directory": "the same",
    "mail_release_date": "our own release",
    "mail_version": "our own version",
    "process_id": "another process",
    "process_name": "another program",
    "smtpd_forbid_bare_newline": "safe by default, as Postfix 3.9 is",
}


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    for name, text in (("main.cf", MAIN), ("master.cf", MASTER)):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, LONG_AGO)
    return tmp_path


class Output:
    """What one call printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], directory: pathlib.Path) -> None:
        self._capsys, self._directory = capsys, directory
        self.error = ""

    def __call__(self, *arguments: str) -> str:
        assert main(["-c", str(self._directory), *arguments]) == 0
        text, self.error = self._capsys.readouterr()
        return text

    def of_postfix(self, *arguments: str) -> str:
        command = ["/usr/sbin/postconf", "-c", str(self._directory), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


@pytest.fixture
def postconf(capsys: pytest.CaptureFixture[str], directory: pathlib.Path) -> Output:
    return Output(capsys, directory)


def pairs(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition(" =") for line in text.splitlines())}


# -- beside Postfix ----------------------------------------------------------------------------------------------------


@pytest.mark.peer("postfix")
@pytest.mark.parametrize(
    "arguments",
    [
        ["-n"],
        ["-nx"],
        ["-nf"],
        ["-nh"],
        ["-nH"],
        ["-C", "user"],
        ["-C", "service"],
        ["-nC", "builtin"],
        ["-M"],
        ["-Mf"],
        ["-Mx"],
        ["-P"],
        ["-Px"],
        ["-Ph"],
        ["-PH"],
        ["-F"],
        ["-Fx"],
        ["-M", "smtp"],
        ["-M", "*/pass", "relay/unix"],
        ["-P", "*/unix/syslog_name"],
        ["-F", "smtp/inet/command", "relay/*/chroot"],
        ["-h", "mydestination", "myhostname"],
        ["-x", "-o", "ta=", "b1", "mydestination", "mydomain"],
        ["-d", "mynetworks", "mydomain", "myhostname"],
        ["-x", "mynetworks", "relay_domains", "default_rbl_reply", "smtpd_reject_footer"],
        ["-l"],
    ],
    ids=" ".join,
)
def test_the_output_is_that_of_postfix(postconf: Output, arguments: list[str]) -> None:
    expected = postconf.of_postfix(*arguments)
    assert expected
    assert postconf(*arguments) == expected


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("arguments", [["-d"], ["-dx"], []], ids=" ".join)
def test_all_names_and_defaults_are_those_of_postfix(postconf: Output, arguments: list[str]) -> None:
    theirs, ours = pairs(postconf.of_postfix(*arguments)), pairs(postconf(*arguments))
    missing = theirs.keys() - ours.keys()
    assert not missing
    paths = ("/var/lib/postfix", "/var/lib/postgate")
    wrong = {
        name: (value, ours[name])
        for name, value in theirs.items()
        if name not in DIFFERENT and ours[name] != value.replace(*paths)
    }
    # Values made of those in the table follow them.
    wrong = {name: values for name, values in wrong.items() if name != "milter_macro_v"}
    assert wrong == {}
    assert len(theirs) > 800


@pytest.mark.peer("postfix")
def test_the_table_of_differences_holds_no_name_in_vain(postconf: Output) -> None:
    theirs, ours = pairs(postconf.of_postfix("-d")), pairs(postconf("-d"))
    for name in DIFFERENT:
        assert theirs[name] != ours[name], name


# -- by itself ---------------------------------------------------------------------------------------------------------


def test_what_is_set_and_what_holds(postconf: Output) -> None:
    assert "maximal_queue_lifetime = 3d\n" in postconf("-n")
    assert "plugins" not in pairs(postconf("-n"))
    every = pairs(postconf())
    assert every["plugins"].startswith(" access, ")
    assert every["relay_destination_concurrency_limit"] == " 3"
    assert every["relay_destination_rate_delay"] == " $default_destination_rate_delay"
    assert list(every) == sorted(every)


def test_names_are_answered_in_the_order_of_the_question(postconf: Output) -> None:
    assert (
        postconf("smtpd_recipient_limit", "myhostname") == "smtpd_recipient_limit = 1000\nmyhostname = mx.example.com\n"
    )


def test_unknown_and_unused_names_are_told(postconf: Output) -> None:
    assert postconf("myhostnam") == ""
    assert "postconf: warning: myhostnam: unknown parameter; did you mean myhostname?" in postconf.error
    assert "main.cf: unused parameter: mua_unused=x" in postconf.error
    assert "main.cf, line 27: overriding earlier entry: dup=1" in postconf.error


def test_what_only_tells_cannot_be_set(postconf: Output, directory: pathlib.Path) -> None:
    (directory / "main.cf").write_text("process_id = 3\nmax_use = $process_id\nconfig_directory = /x\n")
    (directory / "master.cf").write_text("smtp inet n - n - - smtpd -o service_name=x -o biff=$service_name\n")
    assert postconf("-nx") == f"config_directory = /x\nmax_use = {os.getpid()}\n"
    assert "main.cf: read-only parameter assignment: process_id=3\n" in postconf.error
    assert f"main.cf, line 3: overriding earlier entry: config_directory={directory}\n" in postconf.error
    assert postconf("-Px") == "smtp/inet/biff = smtp\n"
    assert "master.cf: read-only parameter assignment: service_name=x\n" in postconf.error


def test_the_last_class_counts(postconf: Output) -> None:
    assert postconf("-C", "builtin", "-C", "service") == postconf("-C", "service")


def test_table_files_are_looked_through(postconf: Output, directory: pathlib.Path) -> None:
    (directory / "l.cf").write_text("server_host = h\nnonsense = 1\n")
    (directory / "main.cf").write_text(f"alias_maps = ldap:{directory}/l.cf, pgsql:/no/such\n")
    assert postconf("-h", "alias_maps") == f"ldap:{directory}/l.cf, pgsql:/no/such\n"
    assert f"postconf: warning: ldap:{directory}/l.cf: unused parameter: nonsense=1\n" in postconf.error
    assert 'warning: open "pgsql" configuration "/no/such": No such file or directory\n' in postconf.error


def test_unmatched_services_are_told(postconf: Output) -> None:
    assert (
        postconf("-P", "smtp/inet/nothing", "relay/unix/syslog_name")
        == "relay/unix/syslog_name = postfix/$service_name\n"
    )
    assert 'unmatched request: "smtp/inet/nothing"' in postconf.error


def test_a_default_can_be_expanded_with_another_value(postconf: Output) -> None:
    assert postconf("-xh", "-o", "stress=yes", "smtpd_hard_error_limit", "smtpd_timeout") == "1\n10s\n"


def test_the_directory_comes_from_the_environment(
    directory: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_CONFIG", str(directory))
    assert main(["-h", "config_directory", "myhostname"]) == 0
    assert capsys.readouterr().out == f"{directory}\nmx.example.com\n"


def test_a_plugin_that_cannot_be_loaded_hides_nothing_else(postconf: Output, directory: pathlib.Path) -> None:
    (directory / "main.cf").write_text("plugins = no_such_plugin\nmyhostname = a.b\n")
    assert postconf("-n", "myhostname") == "myhostname = a.b\n"
    assert "no_such_plugin" in postconf.error


def test_table_types(postconf: Output) -> None:
    assert {"texthash", "inline", "cidr", "regexp"} <= set(postconf("-m").split())


def test_octets_come_out_as_they_are(directory: pathlib.Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (directory / "main.cf").write_bytes(b"smtpd_banner = \xff\xc3\xa9\n")
    assert main(["-c", str(directory), "-h", "smtpd_banner"]) == 0
    assert capfdbinary.readouterr().out == b"\xff\xc3\xa9\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "-n"], "specify one of -d -n"),
        (["-M", "-n"], "with option -M, do not specify -n"),
        (["-M", "-P"], "specify one of -M -P"),
        (["-e", "-X", "a"], "specify one of -e -X"),
        (["-C", "mine"], "expected builtin, service, user or all"),
        (["-F", "smtp/inet/maxproc"], '"maxproc": expected one of service, type'),
        (["-M", "smtp/inet/x"], "expected service/type"),
        (["-T", "any"], "unknown 'postconf -T' mode: any"),
        (["-z"], "usage: postconf"),
    ],
)
def test_bad_usage_is_refused(directory: pathlib.Path, arguments: list[str], message: str) -> None:
    with pytest.raises(Fatal, match=message):
        main(["-c", str(directory), *arguments])


def test_a_broken_file_is_named(directory: pathlib.Path) -> None:
    (directory / "main.cf").write_text("myhostname\n")
    with pytest.raises(ConfigError, match=r"main\.cf, line 1"):
        main(["-c", str(directory)])
