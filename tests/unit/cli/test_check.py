"""postgate check: findings with their places, what is without effect, tables, JSON, and how long it takes."""

from __future__ import annotations

import json
import pathlib

import pytest
from peers.site import site

from gateway import cli
from gateway.cli import check as module
from gateway.cli.check import check


@pytest.mark.peer("root")
def test_what_is_without_effect_is_told_with_the_reason(tmp_path: pathlib.Path) -> None:
    directory = site(
        tmp_path,
        "127.0.0.1:0 inet n - n - - smtpd\n  -o smtpd_sasl_type=dovecot\nrelay unix - - n - - smtp\n",
        smtpd_tls_security_level="encrypt",
        relay_transport_rate_delay="1s",
        smtpd_timeout="100s",
    )
    assert check(directory).errors == []
    assert check(directory).warnings == [
        f"{directory}/main.cf, line 8: smtpd_tls_security_level: accepted without effect: "
        "TLS is not spoken yet, neither with clients nor with servers",
        f"{directory}/main.cf, line 9: relay_transport_rate_delay: accepted without effect: "
        "the scheduler serves destinations in turn, and recipients need no memory of their own",
        f"{directory}/master.cf, line 1: smtpd_sasl_type: accepted without effect: "
        "nobody can log in yet: SASL is not spoken",
    ]


@pytest.mark.peer("root")
def test_rows_that_nothing_serves_are_told(tmp_path: pathlib.Path) -> None:
    rows = """
        smtp inet n - n - 1 postscreen
        smtpd pass - - n - - smtpd
        local unix - n n - - local
        verify unix - - y - 1 verify
        127.0.0.1:0 inet n - y - - smtpd
    """
    directory = site(tmp_path, "\n".join(line.strip() for line in rows.splitlines()))
    found = check(directory)
    assert found.errors == []
    assert [warning.removeprefix(f"{directory}/master.cf, line ") for warning in found.warnings] == [
        "2: smtp/inet: postscreen is not available: nothing listens here",
        "4: local/unix: local is not available: nothing serves this, and mail routed to it is deferred",
        "5: chroot is not carried out; 2 rows ask for it: verify/unix, 127.0.0.1:0/inet",
    ]


@pytest.mark.peer("root")
def test_a_fault_that_lint_and_services_meet_is_told_once(tmp_path: pathlib.Path) -> None:
    directory = site(tmp_path, smtpd_recipient_restrictions="check_recipient_access texthash:/no/such, reject")
    assert check(directory).errors == [
        "/no/such: table texthash:/no/such: cannot open: No such file or directory "
        f"(smtpd_recipient_restrictions, {directory}/main.cf, line 8)"
    ]


@pytest.mark.peer("root")
def test_findings_have_places_in_json(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t").write_text("a x\nA y\n")
    directory = site(tmp_path, transport_maps=f"texthash:{tmp_path}/t", virtual_alias_maps="texthash:none")
    assert cli.run("postgate", ["-c", directory, "check", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["findings"] == [
        {
            "severity": "warning",
            "text": 'duplicate entry: "a"',
            "file": f"{directory}/t",
            "line": 2,
            "parameter": "",
        },
        {
            "severity": "error",
            "text": "table texthash:none: cannot open: No such file or directory "
            f"(virtual_alias_maps, {directory}/main.cf, line 9)",
            "file": f"{directory}/none",
            "line": 0,
            "parameter": "",
        },
    ]
    assert shown["warnings"] == [f'{directory}/t, line 2: duplicate entry: "a"']
    assert len(shown["errors"]) == 1


@pytest.mark.peer("root")
def test_a_check_that_takes_long_says_what_it_is_at(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = site(tmp_path, transport_maps="inline:{a=b}")
    assert check(directory).found == []
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(module, "PROGRESS_AFTER_S", -1.0)
    assert check(directory).found == []
    assert capfd.readouterr().err == "postgate: checking table 1 of 1: inline:{a=b}\n"


@pytest.mark.peer("root")
def test_writable_configuration_files_are_told(tmp_path: pathlib.Path) -> None:
    directory = site(tmp_path)
    (tmp_path / "master.cf").chmod(0o666)
    assert check(directory).warnings == [f"{directory}/master.cf: everybody may write to it"]


def test_syntax_errors_have_places(tmp_path: pathlib.Path) -> None:
    directory = site(tmp_path, "one line\n")
    (found,) = check(directory).found
    assert (found.file, found.line) == (f"{directory}/master.cf", 1)
