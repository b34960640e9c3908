from __future__ import annotations

from gateway.maps.failure_log import REPEAT_S, SOURCES_LIMIT, FailureLog
from gateway.model.errors import TableError

DOWN = TableError("tcp:x", "refused")


def test_the_first_failure_then_one_a_minute_then_the_end() -> None:
    lines: list[str] = []
    now = [100.0]
    log = FailureLog(lines.append, lambda: now[0])
    for key in "abc":
        log.failed(DOWN, key)
    assert lines == ['table tcp:x: refused; it was asked for "a"']
    now[0] += REPEAT_S
    log.failed(DOWN, "d")
    assert lines[1:] == ['table tcp:x: refused; it was asked for "d"; 2 more failed since the last such line']
    log.answered("tcp:x")
    log.answered("tcp:x")
    assert lines[2:] == ["table tcp:x: answers again, after 4 failed lookup(s)"]
    log.failed(DOWN, "e")
    assert lines[3:] == ['table tcp:x: refused; it was asked for "e"']


def test_tables_do_not_hide_each_other_and_are_bounded() -> None:
    lines: list[str] = []
    log = FailureLog(lines.append, lambda: 0.0)
    for number in range(SOURCES_LIMIT + 5):
        log.failed(TableError(f"tcp:{number}", "refused"), "a")
    assert len(lines) == SOURCES_LIMIT + 5
    assert len(log._failing) == 5


def test_a_source_that_is_no_table_is_reported_in_its_own_words() -> None:
    lines: list[str] = []
    now = [100.0]
    log = FailureLog(lines.append, lambda: now[0])
    for _ in range(3):
        log.report("bl.example", "x.bl.example: no answer")
    now[0] += REPEAT_S
    log.report("bl.example", "y.bl.example: no answer")
    assert lines == [
        "x.bl.example: no answer",
        "y.bl.example: no answer; 2 more failed since the last such line",
    ]
