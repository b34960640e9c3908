"""postconf -j and -q: the same things as JSON, and without warnings of what nothing uses."""

from __future__ import annotations

import json
import pathlib
import sys

import pytest

from gateway.cli.console import Fatal
from gateway.cli.postconf import main

MAIN = b"myhostname = mx.example\nmydestination = $myhostname, b\nunused_one = 1\nmynetworks = \xe4 \xc3\xa4\nalias_maps = ldap:lx\n"
MASTER = b"smtp inet n - n - - smtpd\n  -o content_filter=x -o { unused_two = 2 3 }\nsmtp unix - - n - 7 smtp\n"


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "main.cf").write_bytes(MAIN)
    (tmp_path / "master.cf").write_bytes(MASTER)
    return tmp_path


def shown(directory: pathlib.Path, capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> object:
    assert main(["-c", str(directory), *arguments]) == 0
    sys.stdout.flush()
    return json.loads(capfdbinary.readouterr().out.decode("utf-8"))


def test_settings(directory: pathlib.Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert shown(directory, capfdbinary, "-jn", "myhostname", "mydestination", "mynetworks") == [
        {"name": "myhostname", "value": "mx.example"},
        {"name": "mydestination", "value": "$myhostname, b"},
        {"name": "mynetworks", "value": "\ufffd ä"},
    ]
    assert shown(directory, capfdbinary, "-jx", "mydestination") == [
        {"name": "mydestination", "value": "mx.example, b"}
    ]
    assert shown(directory, capfdbinary, "-jh", "myhostname") == [{"value": "mx.example"}]
    assert shown(directory, capfdbinary, "-jH", "myhostname") == [{"name": "myhostname"}]
    assert shown(directory, capfdbinary, "-jd", "mydestination") == [
        {"name": "mydestination", "value": "$myhostname, localhost.$mydomain, localhost"}
    ]
    assert shown(directory, capfdbinary, "-jo", "myhostname=a", "myhostname") == [{"name": "myhostname", "value": "a"}]
    assert shown(directory, capfdbinary, "-jn", "no_such") == []
    every = shown(directory, capfdbinary, "-j")
    assert isinstance(every, list)
    assert len(every) > 800


def test_services(directory: pathlib.Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    rows = shown(directory, capfdbinary, "-jM")
    assert isinstance(rows, list)
    assert rows[1] == {
        "service": "smtp", "type": "unix", "private": "-", "unprivileged": "-", "chroot": "n", "wakeup": "-",
        "process_limit": "7", "command": "smtp",
    }  # fmt: skip
    assert shown(directory, capfdbinary, "-jF", "smtp/unix/process_limit") == [
        {"service": "smtp", "type": "unix", "name": "process_limit", "value": "7"}
    ]
    assert shown(directory, capfdbinary, "-jP", "smtp/inet") == [
        {"service": "smtp", "type": "inet", "name": "content_filter", "value": "x"},
        {"service": "smtp", "type": "inet", "name": "unused_two", "value": "2 3"},
    ]
    assert shown(directory, capfdbinary, "-jPH", "smtp/inet/content_filter") == [
        {"service": "smtp", "type": "inet", "name": "content_filter"}
    ]


@pytest.mark.parametrize("mode", ["-n", "-j", "-M", "-F", "-P", "-x"])
def test_quiet(directory: pathlib.Path, capfd: pytest.CaptureFixture[str], mode: str) -> None:
    main(["-c", str(directory), mode])
    loud = capfd.readouterr()
    main(["-c", str(directory), "-q", mode])
    quiet = capfd.readouterr()
    assert quiet.out == loud.out
    assert "unused parameter: unused_two=2 3" in loud.err
    assert ("unused parameter: unused_one=1" in loud.err) is (mode not in ("-M", "-F", "-P"))
    assert "unused" not in quiet.err


def test_quiet_tells_everything_else(directory: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    (directory / "main.cf").write_text("myhostname = a\nmyhostname = b\nmynetworks = $nosuch\n")
    main(["-c", str(directory), "-qn", "unheard_of"])
    error = capfd.readouterr().err
    assert "overriding earlier entry" in error
    assert "undefined parameter: nosuch" in error
    assert "unheard_of: unknown parameter" in error


@pytest.mark.parametrize("arguments", [["-je", "a=b"], ["-jf"], ["-ja"], ["-jX", "a"], ["-jm"], ["-jb"]])
def test_json_is_for_what_is_shown_by_name(directory: pathlib.Path, arguments: list[str]) -> None:
    with pytest.raises(Fatal, match="specify one of -j"):
        main(["-c", str(directory), *arguments])


@pytest.mark.parametrize("letter", ["D", "N", "r"])
def test_options_that_no_postfix_has_are_refused_with_those_there_are(directory: pathlib.Path, letter: str) -> None:
    with pytest.raises(Fatal, match=rf"option -{letter} not recognized; usage: postconf \[-dfhHjnopqvx\]"):
        main(["-c", str(directory), f"-{letter}"])
