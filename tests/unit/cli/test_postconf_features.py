"""postconf -a -A -b -l -m -t -T."""

from __future__ import annotations

import pathlib
import re
import ssl
import subprocess

import pytest

from gateway.cli.console import Fatal
from gateway.cli.postconf import main

TEMPLATE = """\
failure_template = <<EOF
Subject: Not delivered

From $myhostname: $$ $maximal_queue_lifetime_days
EOF
"""


def run(capsys: pytest.CaptureFixture[str], directory: pathlib.Path, *arguments: str) -> str:
    assert main(["-c", str(directory), *arguments]) == 0
    return capsys.readouterr().out


@pytest.fixture
def site(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmyhostname = mx.example.com\n")
    (tmp_path / "master.cf").write_text("")
    (tmp_path / "bounce").write_text(TEMPLATE)
    return tmp_path


def test_no_way_to_log_in_is_claimed(site: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, site, "-a") == ""
    assert run(capsys, site, "-A") == ""


def test_table_types_are_those_that_open(site: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    types = run(capsys, site, "-m").split()
    assert types == sorted(types)
    assert {"cidr", "hash", "inline", "proxy", "regexp", "texthash"} <= set(types)


def test_a_plugin_adds_its_types(site: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "mine.py").write_text(
        "from gateway.hooks import hookimpl\n@hookimpl\ndef lookup_tables(register):\n    register('moon', None)\n"
    )
    (site / "mine.py").chmod(0o600)
    with (site / "main.cf").open("a") as main_cf:
        main_cf.write(f"plugins = {site}/mine.py\n")
    assert "moon" in run(capsys, site, "-m").split()
    with (site / "main.cf").open("a") as main_cf:
        main_cf.write("plugins = no_such\n")
    assert main(["-c", str(site), "-m"]) == 0
    assert "no_such" in capsys.readouterr().err


def test_the_tls_library(site: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, site, "-T", "run-version") == f"{ssl.OPENSSL_VERSION}\n"
    assert re.fullmatch(r"OpenSSL [0-9]+\.[0-9]+\.[0-9]+\n", run(capsys, site, "-T", "compile-version"))
    assert "rsa" in run(capsys, site, "-T", "public-key-algorithms").split()
    with pytest.raises(Fatal, match="unknown 'postconf -T' mode: other"):
        main(["-T", "other"])


def test_templates_of_main_cf_of_a_file_and_built_in(site: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    built_in = run(capsys, site, "-t")
    assert run(capsys, site, "-t", "") == built_in
    assert [line for line in built_in.splitlines() if line.endswith("<<EOF")] == [
        f"{kind}_template = <<EOF" for kind in ("failure", "delay", "success", "verify")
    ]
    assert "$myhostname" in built_in
    of_file = run(capsys, site, "-t", str(site / "bounce"))
    assert "From $myhostname: $$ $maximal_queue_lifetime_days\nEOF\n\ndelay_template" in of_file
    with (site / "main.cf").open("a") as main_cf:
        main_cf.write("bounce_template_file = $config_directory/bounce\n")
    assert run(capsys, site, "-t") == of_file
    assert run(capsys, site, "-t", "") == built_in
    assert run(capsys, site, "-b").startswith("expanded_failure_text = <<EOF\nFrom mx.example.com: $ 5\nEOF\n\n")
    with pytest.raises(Fatal, match="one template file"):
        main(["-c", str(site), "-b", "a", "b"])


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("mode", ["-t", "-b"])
def test_a_template_file_is_shown_as_postfix_shows_it(
    site: pathlib.Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    text = "".join(TEMPLATE.replace("failure", kind) for kind in ("failure", "delay", "success", "verify"))
    (site / "bounce").write_text(text.replace("Subject: Not", "Charset: utf-8\nFrom:  x\nsubject : Not", 1) + "# end\n")
    arguments = ["-c", str(site), mode, str(site / "bounce")]
    theirs = subprocess.run(["postconf", *arguments], capture_output=True, text=True, check=True, timeout=20).stdout
    ours = run(capsys, site, mode, str(site / "bounce"))
    # The postmaster's subject is a built-in text of each.
    assert [line for line in ours.splitlines() if "Postmaster" not in line] == [
        line for line in theirs.splitlines() if "Postmaster" not in line
    ]
    assert ours.count("mx.example.com" if mode == "-b" else "$myhostname") == 4
