"""Directories: made with the right modes, never through a link, and judged."""

import os
import stat
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.master.directories import LAYOUT, make, problems
from gateway.model.errors import ConfigError


def config(tmp_path: Path) -> Config:
    return Config.from_settings(
        {
            "queue_directory": str(tmp_path / "deep" / "queue"),
            "data_directory": str(tmp_path / "deep" / "data"),
            "mail_owner": "root",
            "setgid_group": "no-such-group",
        }
    )


def test_the_layout_is_made_once(tmp_path: Path) -> None:
    settings = config(tmp_path)
    assert make(settings) == []
    queue = tmp_path / "deep" / "queue"
    for item in LAYOUT:
        mode = stat.S_IMODE((queue / item.path).stat().st_mode)
        # Without the group nobody shares the maildrop.
        assert mode == (0o700 if item.path == "maildrop" else item.mode), item.path
    assert make(settings) == []


def test_what_others_may_write_is_reported(tmp_path: Path) -> None:
    settings = config(tmp_path)
    make(settings)
    private = tmp_path / "deep" / "queue" / "private"
    private.chmod(0o777)
    (tmp_path / "deep" / "queue" / "corrupt").rmdir()
    found = problems(settings)
    assert len(found) == 2
    assert any("lets others write" in line for line in found)
    assert any("No such file" in line for line in found)


def test_a_link_or_file_in_the_way_stops_the_start(tmp_path: Path) -> None:
    settings = config(tmp_path)
    queue = tmp_path / "deep" / "queue"
    queue.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (queue / "private").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="private is not a directory"):
        make(settings)
    assert problems(settings)
    assert os.listdir(tmp_path / "elsewhere") == []


def test_what_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("a file")
    with pytest.raises(ConfigError, match="cannot make"):
        make(config(tmp_path))
