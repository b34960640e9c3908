"""postgate: check and plugins on good and bad configurations, and one real life from start to stop."""

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway import cli
from gateway.cli import lifecycle
from gateway.cli.check import check
from gateway.cli.status import span
from gateway.master.lock import running_pid


class Site:
    """A configuration directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"

    def write(self, master_cf: str = "127.0.0.1:0 inet n - n - - smtpd\n", **settings: str) -> None:
        values = {
            "compatibility_level": "3.6",
            "queue_directory": str(self.directory / "queue"),
            "data_directory": str(self.directory / "data"),
            "maillog_file": str(self.log),
            "maillog_file_prefixes": str(self.directory),
            "mail_owner": "root",
            "myhostname": "mx.example.com",
            "smtpd_workers": "1",
            **settings,
        }
        (self.directory / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in values.items()))
        (self.directory / "master.cf").write_text(master_cf)

    def run(self, *arguments: str) -> int:
        return cli.run("postgate", ["-c", str(self.directory), *arguments])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.write()
    return made


def test_a_good_configuration_has_no_findings(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.run("check") == 0
    done = capsys.readouterr()
    assert (done.out, done.err) == ("", "")
    assert not (site.directory / "queue").exists()


def test_every_wrong_value_is_named_with_its_line(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.write(smtpd_timeout="soon", smtpd_hard_error_limit="few", no_such_parameter="x")
    assert site.run("check") == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    file = site.directory / "main.cf"
    lines = file.read_text().splitlines()
    for name in ("smtpd_timeout", "smtpd_hard_error_limit"):
        number = next(n for n, line in enumerate(lines, 1) if line.startswith(name))
        assert any(line.startswith(f"postgate: fatal: {file}, line {number}: {name}: ") for line in errors)


@pytest.mark.parametrize(
    ("settings", "master_cf", "text"),
    [
        ({"plugins": "no-such"}, "", "plugin no-such is not installed"),
        ({}, "nowhere inet n - n - - smtpd\n", "unknown port 'nowhere'"),
        ({}, "one line\n", "master.cf, line 1"),
        ({"maillog_file": "/etc/passwd"}, "", "maillog_file_prefixes"),
        (
            {"smtpd_recipient_restrictions": "check_recipient_access texthash:/no/such/file, reject"},
            "127.0.0.1:0 inet n - n - - smtpd\n",
            "/no/such/file",
        ),
    ],
)
def test_what_workers_would_fail_on_is_found(site: Site, settings: dict[str, str], master_cf: str, text: str) -> None:
    site.write(master_cf, **settings)
    findings = check(str(site.directory))
    assert any(text in error for error in findings.errors), findings


def test_warnings_are_no_errors(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.write(smtpd_tiemout="5s")
    assert site.run("check", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["errors"] == []
    assert any("did you mean smtpd_timeout" in warning for warning in found["warnings"])


def test_plugins_are_listed_with_their_chains(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.directory / "mine.py").write_text(
        "from gateway.hooks import hookimpl\n"
        "@hookimpl\n"
        "def rcpt(session): return None\n"
        "@hookimpl\n"
        "def commands(register):\n"
        "    register('greet', lambda arguments, config: print('hello', *arguments) or 3)\n"
    )
    (site.directory / "mine.py").chmod(0o600)
    site.write(plugins=f"{site.directory}/mine.py, access")
    assert site.run("plugins") == 0
    table = capsys.readouterr().out
    assert "mine    -" in table
    assert "rcpt          mine" in table
    assert site.run("plugins", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [plugin["name"] for plugin in found["plugins"]][:2] == ["mine", "access"]
    assert found["plugins"][0]["source"] == f"{site.directory}/mine.py"
    assert found["chains"]["rcpt"] == ["mine"]
    assert site.run("greet", "world") == 3
    assert capsys.readouterr().out == "hello world\n"
    assert site.run("dance") == 64
    assert "there are: start, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 64, ""),
        (["-h"], 0, ""),
        (["-Z"], 64, "usage"),
        (["status", "--xml"], 64, "takes no"),
        (["stop"], 1, "is not running"),
        (["reload"], 1, "is not running"),
        (["status"], 1, "is not running"),
        (["flush"], 69, "mail system is down"),
    ],
)
def test_when_nothing_runs(
    site: Site, arguments: list[str], status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.run(*arguments) == status
    assert text in capsys.readouterr().err


def test_status_of_nothing_in_json(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.run("status", "--json") == 1
    assert json.loads(capsys.readouterr().out) == {"running": False}


def test_start_refuses_what_cannot_work(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.write(maillog_file="/dev/stdout", maillog_file_prefixes="/dev/stdout")
    assert site.run("start") == 1
    assert "needs start-fg" in capsys.readouterr().err
    site.write(smtpd_timeout="soon")
    assert site.run("start") == 1
    assert "smtpd_timeout" in capsys.readouterr().err
    site.write(plugins="no-such")
    assert site.run("start") == 1
    assert "plugin no-such is not installed" in capsys.readouterr().err
    assert running_pid(str(site.directory / "queue")) is None


def test_a_master_that_dies_without_a_word_is_reported(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle.sys, "executable", "/bin/false")
    assert site.run("start") == 1
    assert "the master process ended early" in capsys.readouterr().err


def status(site: Site, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert site.run("status", "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_from_start_to_stop(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.write("127.0.0.1:0 inet n - n - - smtpd\nrelay unix - - n - - smtp\nsmtp unix - - n - - smtp\n")
    assert site.run("start") == 0
    try:
        found = status(site, capsys)
        assert found["running"]
        assert [process["role"] for process in found["processes"]] == ["scheduler", "smtpd"]
        assert found["queue"]["deferred"] == 0
        assert os.getpgid(found["pid"]) == found["pid"]
        assert site.run("start") == 1
        assert f"already running: pid {found['pid']}" in capsys.readouterr().err
        port = int(found["listening"][0]["address"].rpartition(":")[2])
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            assert client.ehlo()[0] == 250
            assert client.mail("a@example.org")[0] == 250
            assert site.run("reload") == 0
            # A transaction that began on the old configuration is finished on it.
            assert client.rcpt("b@example.org")[0] == 250
        site.write("127.0.0.1:0 inet n - n - - smtpd\n", smtpd_timeout="soon")
        assert site.run("reload") == 69
        assert "reload refused" in capsys.readouterr().err
        assert site.run("flush") == 0
        assert site.run("status") == 0
        assert "scheduler/0" in capsys.readouterr().out
    finally:
        assert site.run("stop") == 0
    assert running_pid(str(site.directory / "queue")) is None
    log = site.log.read_text()
    assert "panic" not in log
    assert "daemon started -- version" in log


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0s"), (61.9, "1m 1s"), (3600, "1h"), (90061, "1d 1h"), (86400 * 3 + 5, "3d 5s")]
)
def test_spans(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_in_the_foreground_with_the_log_on_stdout(site: Site, tmp_path: Path) -> None:
    site.write(maillog_file="/dev/stdout", maillog_file_prefixes="/dev/stdout")
    script = "import sys; from gateway.cli import run; sys.exit(run('postgate', sys.argv[1:]))"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        process = subprocess.Popen(
            [sys.executable, "-Ic", script, "-c", str(site.directory), "start-fg"],
            stdout=subprocess.PIPE,
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
            text=True,
        )
        try:
            assert systemd.recv(1000).startswith(b"READY=1\n")
            process.send_signal(signal.SIGHUP)
            assert systemd.recv(1000).startswith(b"RELOADING=1\n")
            assert systemd.recv(1000) == b"READY=1"
            process.send_signal(signal.SIGINT)
            assert systemd.recv(1000) == b"STOPPING=1"
            out, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
    for text in ("starting the Postgate mail system", "daemon started", "reload -- version", "terminating on signal 2"):
        assert text in out
