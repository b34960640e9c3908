"""Reload: once a second at most, whole or not at all, with a warning and the old content when broken."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gateway.config import Config
from gateway.maps import MemoryTable, Tables
from gateway.maps.source import INLINE_PARSE_LIMIT


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


def setup(tmp_path: Path, text: str = "a 1\n", kind: str = "texthash") -> tuple[Path, Clock, Tables, MemoryTable]:
    path, clock = tmp_path / "t", Clock()
    path.write_text(text)
    tables = Tables(Config.from_settings({}), clock=clock)
    table = tables.open(f"{kind}:{path}")
    assert isinstance(table, MemoryTable)
    return path, clock, tables, table


def test_a_changed_file_is_seen_after_a_second(tmp_path: Path) -> None:
    path, clock, _, table = setup(tmp_path)
    replace(path, "a 2\n")
    assert table.get("a") == "1"
    clock.now += 0.9
    assert table.get("a") == "1"
    clock.now += 0.2
    assert table.get("a") == "2"


def test_a_broken_file_keeps_the_content_and_is_told_once(tmp_path: Path) -> None:
    path, clock, tables, table = setup(tmp_path, "192.0.2.1 1\n", "cidr")
    replace(path, "192.0.2.1 2\nif 192.0.2.0/24\n")
    for _ in range(3):
        clock.now += 2
        assert table.get("192.0.2.1") == "1"
    assert len(tables.warnings) == 1
    assert "line 2: if without endif; keeping the content it had" in tables.warnings[0]
    replace(path, "192.0.2.1 3\n")
    clock.now += 2
    assert table.get("192.0.2.1") == "3"


def test_a_removed_file_keeps_the_content_and_is_told_once(tmp_path: Path) -> None:
    path, clock, tables, table = setup(tmp_path, "192.0.2.1 1\n", "cidr")
    path.unlink()
    for _ in range(3):
        clock.now += 2
        assert table.get("192.0.2.1") == "1"
    assert len(tables.warnings) == 1
    told: list[str] = []
    tables.on_warning = told.append
    path.write_text("endif\n")
    clock.now += 2
    assert table.get("192.0.2.1") == "1"
    assert len(told) == 1


def test_a_large_file_is_parsed_beside_the_lookups(tmp_path: Path) -> None:
    path, clock, _, table = setup(tmp_path)
    replace(path, "a 2\n" + "".join(f"key{n} value\n" for n in range(INLINE_PARSE_LIMIT // 10)))
    clock.now += 2
    table.get("a")
    deadline = time.monotonic() + 10
    while table.get("a") != "2" and time.monotonic() < deadline:
        os.sched_yield()
    assert table.get("a") == "2"
    assert table.get("key0") == "value"
