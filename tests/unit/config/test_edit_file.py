from __future__ import annotations

import os
import pathlib

import pytest

from gateway.config.edit_file import replace_lines
from gateway.model.errors import ConfigError


def test_contents_change_and_mode_stays(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "main.cf"
    path.write_text("old\n")
    path.chmod(0o640)
    replace_lines(str(path), ["a = \udcff", ""])
    assert path.read_bytes() == b"a = \xff\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["main.cf"]


def test_a_link_keeps_pointing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").write_text("old\n")
    (tmp_path / "main.cf").symlink_to("real")
    replace_lines(str(tmp_path / "main.cf"), ["new", ""])
    assert (tmp_path / "main.cf").is_symlink()
    assert (tmp_path / "real").read_text() == "new\n"


def test_a_new_file_can_be_read_by_all(tmp_path: pathlib.Path) -> None:
    replace_lines(str(tmp_path / "new.cf"), ["a", ""])
    assert (tmp_path / "new.cf").stat().st_mode & 0o777 == 0o644


def test_a_failure_leaves_the_old_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "main.cf"
    path.write_text("old\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="cannot write: No space left"):
        replace_lines(str(path), ["new"])
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["main.cf"]
    with pytest.raises(ConfigError):
        replace_lines("/nonexistent/main.cf", ["x"])
