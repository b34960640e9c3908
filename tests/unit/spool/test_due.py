from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway.spool import schema
from gateway.spool.due import FULL_SCAN_S, DueScan

NOW = 1_800_000_000.0


def _database(tmp_path: Path, count: int) -> sqlite3.Connection:
    connection = schema.connect_writer(str(tmp_path / "queue.db"))
    rows = [(number, f"id{number:06}", NOW + number, False, False, 0, b"") for number in range(count)]
    connection.execute("BEGIN")
    connection.executemany(schema.INSERT_MESSAGE, rows)
    connection.execute("COMMIT")
    return connection


def test_what_is_skipped_is_not_looked_at_again(tmp_path: Path) -> None:
    connection = _database(tmp_path, 1000)
    scan, looked_at = DueScan(), []

    def find(now: float, active: set[str]) -> list[str]:
        looked_at.clear()

        def is_skipped(queue_id: str) -> bool:
            looked_at.append(queue_id)
            return queue_id in active

        return [record.queue_id for record in scan.find(connection, now, 5, is_skipped)]

    active = {f"id{number:06}" for number in range(900)}
    assert find(NOW + 2000, active) == [f"id{number:06}" for number in range(900, 905)]
    assert len(looked_at) > 900
    assert find(NOW + 2001, active)[0] == "id000900"
    assert len(looked_at) < 10
    # A change that makes one of them due is seen at once; one that nobody told of, with the next full scan.
    active -= {"id000300", "id000100"}
    scan.lower(NOW + 300)
    assert find(NOW + 2002, active)[0] == "id000300"
    assert find(NOW + 2000 + FULL_SCAN_S, active)[:2] == ["id000100", "id000300"]
    assert find(NOW, set()) == ["id000000"], "a clock that went back starts anew"
    connection.close()


def test_the_scan_stays_at_the_last_skipped_when_nothing_is_left(tmp_path: Path) -> None:
    connection = _database(tmp_path, 10)
    scan = DueScan()
    assert scan.find(connection, NOW + 50, 5, lambda _: True) == []
    assert scan._floor == NOW + 9
    assert [r.queue_id for r in scan.find(connection, NOW + 51, 5, lambda _: False)] == ["id000009"]
    connection.close()
