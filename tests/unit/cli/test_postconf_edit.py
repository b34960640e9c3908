from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli.console import Fatal
from gateway.cli.postconf import main
from gateway.config import read
from gateway.config.lines import BLANKS
from gateway.model.errors import ConfigError

MAIN = """# top

myhostname = a

  # inner
  b
# after
foo = 1
myhostname = c
#myhostname = old
last = 2
"""
MASTER = """# top
smtp      inet  n       -       y       -       -       smtpd
  -o a=b -o { c = d e }
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name

# end
"""


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "main.cf").write_text(MAIN)
    (tmp_path / "master.cf").write_text(MASTER)
    return tmp_path


def edit(directory: pathlib.Path, *arguments: str) -> str:
    """The file after an edit of main.cf."""
    assert main(["-c", str(directory), *arguments]) == 0
    return (directory / "main.cf").read_text()


def edit_master(directory: pathlib.Path, *arguments: str) -> str:
    assert main(["-c", str(directory), *arguments]) == 0
    return (directory / "master.cf").read_text()


def without_comments(text: str) -> list[str]:
    return [line for line in text.split("\n") if line and not line.startswith("#")]


@pytest.mark.peer("postfix")
@pytest.mark.parametrize(
    "arguments",
    [
        ["-e", "myhostname=new", "mynetworks = x  y"],
        ["foo="],
        ["-e", "foo = a = {b c}"],
        ["-X", "myhostname", "nosuch"],
        ["-#", "myhostname", "last"],
    ],
    ids=" ".join,
)
def test_main_cf_is_edited_as_postfix_does(directory: pathlib.Path, arguments: list[str]) -> None:
    theirs = directory / "theirs"
    theirs.mkdir()
    shutil.copy(directory / "main.cf", theirs)
    subprocess.run(["/usr/sbin/postconf", "-c", str(theirs), *arguments], check=True, capture_output=True, timeout=20)
    assert edit(directory, *arguments) == (theirs / "main.cf").read_text()


@pytest.mark.peer("postfix")
@pytest.mark.parametrize(
    "arguments",
    [
        ["-M", "new/unix=new unix - - n - - pipe flags=R { a  b }"],
        ["-M", "smtp/inet=smtp inet n - n - 5 smtpd -v"],
        ["-P", "smtp/inet/a=zz", "relay/unix/smtp_helo_timeout=5"],
        ["-P", "*/*/stress=1"],
        ["-PX", "smtp/inet/a"],
        ["-MX", "relay/unix"],
        ["-M#", "smtp/inet"],
        ["-F", "smtp/*/chroot=n", "relay/unix/command=smtp -v"],
    ],
    ids=" ".join,
)
def test_master_cf_is_edited_as_postfix_does(directory: pathlib.Path, arguments: list[str]) -> None:
    theirs = directory / "theirs"
    theirs.mkdir()
    for name in ("main.cf", "master.cf"):
        shutil.copy(directory / name, theirs)
    subprocess.run(["/usr/sbin/postconf", "-c", str(theirs), *arguments], check=True, capture_output=True, timeout=20)
    ours, expected = edit_master(directory, *arguments), (theirs / "master.cf").read_text()
    assert without_comments(ours) == without_comments(expected)
    # A row that Postfix changes moves behind the comments that follow it; ours stays where it was.
    assert sorted(ours.split("\n")) == sorted(expected.split("\n"))


NAMES = st.sampled_from(["myhostname", "foo", "last", "smtpd_banner", "x_1"])
VALUES = st.text(alphabet=st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",)), max_size=30).map(
    lambda value: value.strip(BLANKS)
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=3))
def test_what_is_written_reads_back(directory: pathlib.Path, change: dict[str, str]) -> None:
    (directory / "main.cf").write_text(MAIN)
    before = {name: setting.value for name, setting in read(str(directory)).settings.items()}
    edit(directory, "-e", *(f"{name}={value}" for name, value in change.items()))
    after = read(str(directory)).settings
    assert {name: setting.value for name, setting in after.items()} == before | change


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="abc =,:/$", max_size=20).map(lambda value: value.strip(BLANKS)))
def test_an_override_reads_back(directory: pathlib.Path, value: str) -> None:
    (directory / "master.cf").write_text(MASTER)
    edit_master(directory, "-P", f"smtp/inet/smtpd_banner={value}")
    assert read(str(directory)).services[0].overrides == {"a": "b", "c": "d e", "smtpd_banner": value}


def test_nothing_is_written_when_nothing_changes(directory: pathlib.Path) -> None:
    before = (directory / "main.cf").stat().st_ino
    edit(directory, "-e", "last=2")
    assert (directory / "main.cf").stat().st_ino == before


def test_no_match_is_told(directory: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edit_master(directory, "-P", "nosuch/unix/a=1") == MASTER
    assert 'unmatched request: "nosuch/unix/a=1"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["-e", "nothing"], ConfigError, 'expected "name = value"'),
        (["-e", "a=x\ny"], Fatal, "one line"),
        (["-e", "# a=x"], ConfigError, "expected|cannot be"),
        (["-X", "a=x"], Fatal, "without values"),
        (["-FX", "smtp/inet/chroot"], Fatal, "do not specify -X"),
        (["-P#", "smtp/inet/a"], Fatal, "do not specify -#"),
        (["-F", "smtp/inet/chroot=q"], ConfigError, 'chroot "q"'),
        (["-F", "smtp/inet/nothing=q"], Fatal, "expected one of"),
        (["-M", "bad/unix=x unix - -"], ConfigError, "4 columns"),
        (["-M", "smtp=smtp inet n - - - - smtpd"], Fatal, "expected service/type"),
        (["-M", "smtp/inet=a\nb"], Fatal, "one line"),
        (["-P", "smtp/inet/a b=c"], ConfigError, "expected"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    directory: pathlib.Path, arguments: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        main(["-c", str(directory), *arguments])
    assert (directory / "main.cf").read_text() == MAIN
    assert (directory / "master.cf").read_text() == MASTER
