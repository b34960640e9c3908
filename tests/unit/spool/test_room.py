from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.spool import room as room_module
from gateway.spool.room import RESERVE_BYTES, Room
from gateway.spool.schema import PAGE_BYTES


@pytest.fixture(autouse=True)
def _always_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "CHECK_S", 0.0)


def test_room_is_kept_and_given_up(tmp_path: Path) -> None:
    reserve = tmp_path / "reserve"
    room = Room(str(tmp_path), str(reserve), 0)
    assert room.has_room()
    assert 0 < reserve.stat().st_size <= RESERVE_BYTES
    assert room.give_up_reserve()
    assert not reserve.exists()
    assert not room.give_up_reserve()
    assert room.has_room(), "there is room for it again"
    assert reserve.exists()


def test_no_room_for_the_reserve_is_no_room_for_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    room = Room(str(tmp_path), str(tmp_path / "reserve"), 0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", fail)
        assert not room.has_room()
        assert not (tmp_path / "reserve").exists()
    assert room.has_room()


def test_queue_minfree(tmp_path: Path) -> None:
    assert not Room(str(tmp_path), str(tmp_path / "reserve"), 1 << 62).has_room()
    assert Room(str(tmp_path), str(tmp_path / "reserve"), 1).has_room()


def test_what_is_under_way_fits_into_the_reserve(tmp_path: Path) -> None:
    room = Room(str(tmp_path), str(tmp_path / "reserve"), 0)
    room.has_room()
    size = (tmp_path / "reserve").stat().st_size
    assert room.checkpoint_pages * PAGE_BYTES + room.group_bytes <= size
