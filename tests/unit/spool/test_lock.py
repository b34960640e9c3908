from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.model.errors import SpoolError
from gateway.spool.lock import OwnerLock, owner_of


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "owner.pid")
    assert owner_of(path) is None
    lock = OwnerLock(path)
    assert owner_of(path) == os.getpid()
    with pytest.raises(SpoolError, match=f"locked by process {os.getpid()}"):
        OwnerLock(path)
    lock.release()
    lock.release()
    assert owner_of(path) is None
    OwnerLock(path).release()


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="No such file"):
        OwnerLock(str(tmp_path / "missing/owner.pid"))
