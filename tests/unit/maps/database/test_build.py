"""Replacing database files: whole or not at all, one tool after the other, with the right owner and permissions."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from gateway.maps.database.build import SUFFIXES, new_mode, replacing, rights_of, writer_class

NOBODY = 65534


def replace(target: Path, content: bytes, mode: int = 0o644, *, keeps: bool = False) -> None:
    with replacing(str(target), mode, keeps=keeps) as path, open(path, "ab") as file:
        file.write(content)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_kind_has_a_writer() -> None:
    assert all(writer_class(kind) for kind in SUFFIXES)
    assert writer_class("pcre") is None


def test_a_new_file_takes_the_name_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "t.cdb"
    replace(target, b"one", 0o640)
    assert (target.read_bytes(), mode_of(target)) == (b"one", 0o640)
    with replacing(str(target), 0o644) as path:
        Path(path).write_bytes(b"two")
        assert target.read_bytes() == b"one"
    assert (target.read_bytes(), mode_of(target)) == (b"two", 0o640)
    replace(target, b" three", keeps=True)
    assert target.read_bytes() == b"two three"
    assert os.listdir(tmp_path) == ["t.cdb"]


def test_the_copy_of_nothing_is_empty(tmp_path: Path) -> None:
    replace(tmp_path / "t", b"x", keeps=True)
    assert (tmp_path / "t").read_bytes() == b"x"


def test_nothing_changes_when_it_fails(tmp_path: Path) -> None:
    target = tmp_path / "t"
    replace(target, b"one")
    with pytest.raises(KeyboardInterrupt), replacing(str(target), 0o644) as path:
        Path(path).write_bytes(b"tw")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["t"]


def test_what_a_killed_tool_left_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "t.new").write_bytes(b"half")
    replace(tmp_path / "t", b"whole")
    assert (tmp_path / "t").read_bytes() == b"whole"


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "fifo"])
def test_nobody_can_make_us_write_elsewhere(tmp_path: Path, kind: str) -> None:
    victim, new = tmp_path / "victim", tmp_path / "t.new"
    victim.write_bytes(b"precious")
    match kind:
        case "symlink":
            new.symlink_to(victim)
        case "hardlink":
            new.hardlink_to(victim)
        case "fifo":
            os.mkfifo(new)
    if kind == "symlink":
        with pytest.raises(OSError, match="symbolic"):
            replace(tmp_path / "t", b"whole")
    else:
        replace(tmp_path / "t", b"whole")
        assert (tmp_path / "t").read_bytes() == b"whole"
    assert victim.read_bytes() == b"precious"


def test_one_tool_waits_for_the_other(tmp_path: Path) -> None:
    target = tmp_path / "t"
    second = threading.Thread(target=replace, args=(target, b"+second"), kwargs={"keeps": True})
    with replacing(str(target), 0o644) as path:
        second.start()
        Path(path).write_bytes(b"first")
        second.join(0.05)
        assert second.is_alive()
    second.join(10)
    assert target.read_bytes() == b"first+second"


def test_what_is_changed_is_locked_against_postfix(tmp_path: Path) -> None:
    target = tmp_path / "t"
    replace(target, b"x")
    with replacing(str(target), 0o644, keeps=True), open(target, "rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("source", "inherits", "expected"),
    [(0o600, True, 0o600), (0o640, True, 0o640), (0o666, True, 0o644), (0o400, True, 0o600), (0o600, False, 0o644)],
)
def test_a_new_file_is_as_readable_as_its_source(tmp_path: Path, source: int, inherits: bool, expected: int) -> None:
    (tmp_path / "s").touch()
    (tmp_path / "s").chmod(source)
    assert new_mode((tmp_path / "s").stat(), inherits=inherits) == expected


# -- root works as the owner of the source -----------------------------------------------------------------------------


@pytest.mark.peer("root")
def test_root_becomes_the_owner_for_a_while(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.touch()
    before = os.geteuid(), os.getegid(), os.getgroups()
    os.chown(source, NOBODY, 8)
    with rights_of(source.stat()):
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (NOBODY, 8, [8])
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
    with rights_of(None):
        assert os.geteuid() == 0


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory that others can reach."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o711)
    return tmp_path


@pytest.mark.peer("root")
def test_a_new_table_belongs_to_the_owner_of_its_source(shared: Path) -> None:
    source = shared / "s"
    source.touch()
    os.chown(source, NOBODY, 8)
    with pytest.raises(PermissionError), rights_of(source.stat()):
        replace(shared / "t", b"x")
    os.chown(shared, NOBODY, -1)
    with rights_of(source.stat()):
        replace(shared / "t", b"x")
    status = (shared / "t").stat()
    assert (status.st_uid, status.st_gid) == (NOBODY, 8)


@pytest.mark.peer("root")
def test_an_owner_may_replace_a_table_in_a_directory_of_root(shared: Path) -> None:
    source, target = shared / "s", shared / "t"
    for path in (source, target):
        path.touch()
        os.chown(path, NOBODY, 8)
    target.chmod(0o640)
    with rights_of(source.stat()):
        replace(target, b"x")
    status = target.stat()
    assert (target.read_bytes(), status.st_uid, status.st_gid, mode_of(target)) == (b"x", NOBODY, 8, 0o640)
    with pytest.raises(KeyboardInterrupt), rights_of(source.stat()), replacing(str(target), 0o644):
        raise KeyboardInterrupt
    assert sorted(os.listdir(shared)) == ["s", "t"]
    os.chown(target, 0, 0)
    with pytest.raises(PermissionError), rights_of(source.stat()):
        replace(target, b"y")


@pytest.mark.peer("root")
def test_root_leaves_a_table_to_its_owner(tmp_path: Path) -> None:
    target = tmp_path / "t"
    target.touch()
    os.chown(target, NOBODY, 8)
    (tmp_path / "t.new").touch()
    os.chown(tmp_path / "t.new", NOBODY, 8)  # left by a killed tool of the owner
    replace(target, b"x")
    assert (target.stat().st_uid, target.stat().st_gid, target.read_bytes()) == (NOBODY, 8, b"x")
