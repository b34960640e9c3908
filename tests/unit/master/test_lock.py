"""The pid lock."""

import os
from pathlib import Path

import pytest

from gateway.master.lock import PID_FILE, AlreadyRunning, PidLock, running_pid


def test_one_master_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "pid").mkdir()
    assert running_pid(str(tmp_path)) is None
    lock = PidLock(str(tmp_path))
    assert running_pid(str(tmp_path)) == os.getpid()
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        PidLock(str(tmp_path))
    lock.release()
    assert running_pid(str(tmp_path)) is None
    PidLock(str(tmp_path)).release()


def test_a_stale_file_is_no_master(tmp_path: Path) -> None:
    (tmp_path / "pid").mkdir()
    (tmp_path / PID_FILE).write_text("1\n")
    assert running_pid(str(tmp_path)) is None
    PidLock(str(tmp_path)).release()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "pid").mkdir()
    (tmp_path / PID_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        PidLock(str(tmp_path))
    assert not (tmp_path / "elsewhere").exists()
