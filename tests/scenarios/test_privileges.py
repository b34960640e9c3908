"""As root with an unprivileged mail_owner, and as an ordinary user: an installed gateway, started by ``postgate start``."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from peers.ports import free_port, wait_for
from peers.wheels import ROOT, install, python_for_all, run

pytestmark = [
    pytest.mark.peer("postfix"),  # for the account, too
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else"),
]


@pytest.fixture(scope="module")
def bin_directory() -> Iterator[Path]:
    """``bin`` of a venv that every account can use."""
    python = python_for_all()
    assert python, "no Python 3.11 that other accounts can read: apt-get install python3.11 python3-venv"
    folder = Path(tempfile.mkdtemp(prefix="postgate-installed-"))
    folder.chmod(0o755)
    yield install(folder, ROOT, python=python).parent
    shutil.rmtree(folder)


@pytest.fixture
def directory() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="postgate-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def configure(folder: Path) -> int:
    port = free_port()
    (folder / "main.cf").write_text(
        "compatibility_level = 3.7\nmyhostname = gw.example\nmydestination =\nmynetworks = 127.0.0.0/8\n"
        f"default_transport = discard\nqueue_directory = {folder}/queue\ndata_directory = {folder}/data\n"
        f"maillog_file = {folder}/maillog\nmaillog_file_prefixes = {folder}\nsmtpd_workers = 1\n"
    )
    (folder / "master.cf").write_text(
        f"127.0.0.1:{port} inet n - n - - smtpd\ndiscard unix - - n - - discard\npickup unix n - n 60 1 pickup\n"
    )
    return port


def status_of(bin_directory: Path, folder: Path) -> dict[str, object]:
    answer: dict[str, object] = json.loads(
        run(bin_directory / "postgate", "-c", folder, "status", "--json", cwd=folder)
    )
    return answer


def deliver_one(folder: Path, port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("a@b.example", ["c@d.example"], b"Subject: x\r\n\r\nx\r\n")
    wait_for(lambda: "status=sent" in (folder / "maillog").read_text(), "the delivery", 10)


def test_root_gives_its_rights_away(bin_directory: Path, directory: Path) -> None:
    port = configure(directory)
    run(bin_directory / "postgate", "-c", directory, "start", cwd=directory)
    try:
        pids = [entry["pid"] for entry in status_of(bin_directory, directory)["processes"]]  # type: ignore[attr-defined]
        owner = pwd.getpwnam("postfix").pw_uid
        assert len(pids) == 2
        assert [set(psutil.Process(pid).uids()) for pid in pids] == [{owner}, {owner}]
        assert all("CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text() for pid in pids)
        deliver_one(directory, port)
        sent = subprocess.run(
            ["su", "-s", "/bin/sh", "nobody", "-c", f"{bin_directory}/sendmail -C {directory} you@d.example"],
            input=b"Subject: local\n\nx\n", capture_output=True, check=False,
        )  # fmt: skip
        assert (sent.returncode, sent.stderr) == (0, b"")
        nobody = pwd.getpwnam("nobody").pw_uid
        wait_for(lambda: f"uid={nobody} from=<nobody>" in (directory / "maillog").read_text(), "the pickup", 15)
        wait_for(lambda: (directory / "maillog").read_text().count("status=sent") == 2, "the second delivery", 10)
    finally:
        run(bin_directory / "postgate", "-c", directory, "stop", cwd=directory)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_an_ordinary_user_needs_no_root(bin_directory: Path, directory: Path) -> None:
    port = configure(directory)
    shutil.chown(directory, "nobody")

    def as_nobody(command: str) -> str:
        return run(
            "su", "-s", "/bin/sh", "nobody", "-c", f"{bin_directory}/postgate -c {directory} {command}", cwd=directory
        )

    as_nobody("start")
    try:
        deliver_one(directory, port)
        owners = {path.owner() for path in (directory / "queue").rglob("*")}
    finally:
        as_nobody("stop")
    assert owners == {"nobody"}
