"""Debian's own configuration, and five from real life, load as they are.

``postconf`` shows of them what Postfix's shows, octet by octet, and ``postgate check`` passes: it has no error, and no
warning but of what is without effect here or served by nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from gateway.cli.check import check
from gateway.cli.postconf import main
from gateway.config.known import default_registry

HERE = pathlib.Path(__file__).parent
DEBIAN = pathlib.Path("/usr/share/postfix")
NAMES = ["debian", "debian-dist", "mailman", "null-client", "perimeter-amavis", "relay-ldap", "virtual-pgsql"]
# What Debian's installation script adds for an "Internet Site".
INSTALLED = """
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mx.example.com
alias_maps = hash:$config_directory/aliases
alias_database = hash:$config_directory/aliases
mydestination = $myhostname, mx.example.com, localhost.example.com, , localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
"""
# Postfix waits two seconds before it reads a file that has just been written.
LONG_AGO = (1e9, 1e9)

# Chosen when the one or the other was built.
SAME = """daemon_directory=/d data_directory=/var/lib/d meta_directory=/m queue_directory=/q sample_directory=/s
    html_directory=/h readme_directory=/r shlib_directory=/l mail_version=1 mail_release_date=2 smtpd_forbid_bare_newline=no"""
OURS = {parameter.name for parameter in default_registry() if parameter.origin == "postgate"}


def is_own(line: str) -> bool:
    """True for what only one of them has, and for what names the process itself."""
    return line.partition(" =")[0] in OURS | {"process_id", "process_name", "debugger_command"}


def copied(name: str, directory: pathlib.Path) -> pathlib.Path:
    """A private copy of a configuration, its files long unchanged."""
    if name == "debian":
        text = (DEBIAN / "main.cf.debian").read_text() + (DEBIAN / "main.cf.tls").read_text() + INSTALLED
        (directory / "main.cf").write_text(text)
        (directory / "aliases").write_text("postmaster: root\n")
    if name == "debian-dist":
        shutil.copy(DEBIAN / "main.cf.dist", directory / "main.cf")
    if name.startswith("debian"):
        shutil.copy(DEBIAN / "master.cf.dist", directory / "master.cf")
    else:
        shutil.copytree(HERE / name, directory, dirs_exist_ok=True)
    for path in directory.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o640)
        os.utime(path, LONG_AGO)
    return directory


def postgate(arguments: list[str]) -> tuple[str, set[str]]:
    output, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        assert main(arguments) == 0
    return output.getvalue(), set(error.getvalue().splitlines())


def postfix(arguments: list[str]) -> tuple[str, set[str]]:
    done = subprocess.run(["postconf", *arguments], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout, set(done.stderr.splitlines())


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("name", NAMES)
def test_postconf_shows_what_postfix_shows(name: str, tmp_path: pathlib.Path) -> None:
    directory = str(copied(name, tmp_path))
    same = [part for setting in SAME.split() for part in ("-o", setting)]
    modes = ["-n", "-nx", "-nf", "-M", "-Mf", "-Mx", "-F", "-Fx", "-P", "-Px", "-C user", "-C service", "-nC builtin"]
    for mode in (*modes, "", "-x", "-f"):
        arguments = ["-c", directory, *mode.split(), *same]
        (shown, warnings), (expected, theirs) = postgate(arguments), postfix(arguments)
        kept, wanted = ([line for line in text.splitlines() if not is_own(line)] for text in (shown, expected))
        assert kept == wanted, mode
        assert warnings == theirs, mode
        assert len(kept) > 800 or mode in modes


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("name", ["mailman"])
def test_a_bounce_template_file_is_shown_as_postfix_shows_it(name: str, tmp_path: pathlib.Path) -> None:
    directory = str(copied(name, tmp_path))

    def written(text: str) -> list[str]:
        """The templates that the file has; what is built in has other words."""
        return text.partition("success_te")[0].split("\n")

    for mode in ("-t", "-b"):
        ours, theirs = (shown(["-c", directory, mode])[0] for shown in (postgate, postfix))
        assert written(ours)[:18] == written(theirs)[:18]
        assert "Prices are in" in ours


ERRORS: dict[str, list[str]] = {
    # Debian fills this in; Postfix starts with it no more than we do.
    "debian-dist": ['main.cf, line 675: setgid_group: bad value "": must not be empty'],
}
UNSERVED = {
    "debian": {"local", "pipe", "virtual"},
    "debian-dist": set(),
    "mailman": {"local", "pipe", "qmqpd", "spawn", "virtual"},
    "perimeter-amavis": {"local", "postscreen"},
    "virtual-pgsql": {"local", "virtual"},
}


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("name", NAMES)
def test_check_passes(name: str, tmp_path: pathlib.Path) -> None:
    directory = copied(name, tmp_path)
    text = (directory / "main.cf").read_text()
    for kind, table in set(re.findall(r"\b(hash|lmdb):\$config_directory/(\w+)", text)):
        tool = "postalias" if table == "aliases" else "postmap"
        subprocess.run([tool, "-c", directory, f"{kind}:{directory}/{table}"], check=True, timeout=20)
    # The places of a test, and the user whose Python everybody can read.
    places = {name: directory / name for name in ("queue_directory", "data_directory", "maillog_file")}
    places["maillog_file_prefixes"] = directory
    with (directory / "main.cf").open("a") as main_cf:
        main_cf.write("".join(f"{name} = {path}\n" for name, path in places.items()) + "mail_owner = root\n")
    findings = check(str(directory))
    assert [line.removeprefix(f"{directory}/") for line in findings.errors] == ERRORS.get(name, [])
    told = re.compile(r"master\.cf, line \d+: (?P<row>\S+): (?P<command>\w+) is not available: nothing ")
    unserved = {match["command"] for line in findings.warnings if (match := told.search(line))}
    assert unserved == UNSERVED.get(name, set())
    plain = re.compile(
        rf"{told.pattern}|: accepted without effect: |: chroot is not carried out; \d+ rows ask for it: "
    )
    assert [line for line in findings.warnings if not plain.search(line)] == []
