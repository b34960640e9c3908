from __future__ import annotations

import pytest

from gateway.spool.queue_id import ALPHABET, QueueIds, is_queue_id, timestamp_of

NOW = 1_800_000_000.25


def test_the_example_of_postconf_5_is_read() -> None:
    # 2011-03-20 14:31:48 UTC, 353025 microseconds.
    assert timestamp_of("3Pt2mN2VXxznjll") == pytest.approx(1300631508.353025, abs=1e-6)


def test_ids_have_the_form_of_postfix() -> None:
    queue_id = QueueIds(3).next(NOW)
    head, _, tail = queue_id.rpartition("z")
    assert len(head) == 10
    assert set(head) <= set(ALPHABET)
    assert tail
    assert "z" not in tail
    assert timestamp_of(queue_id) == NOW
    assert is_queue_id(queue_id)


def test_ids_sort_by_time_and_never_repeat() -> None:
    ids = QueueIds(0)
    times = [NOW, NOW, NOW - 5, NOW + 1, NOW + 1, NOW + 1e6]
    made = [ids.next(now) for now in times]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_workers_and_restarts_differ_at_the_same_microsecond() -> None:
    sources = [QueueIds(worker, start) for worker in range(1024) for start in (0, 1, 7)]
    assert len({source.next(NOW) for source in sources}) == len(sources)
    assert QueueIds(1).next(NOW) != QueueIds(1).next(NOW)


@pytest.mark.parametrize("text", ["", "a/b", "../../x", "short", "x" * 33, "4k9XV1000\n", "4k9XV10000.N4"])
def test_what_is_no_file_name_is_no_queue_id(text: str) -> None:
    assert not is_queue_id(text)
    assert timestamp_of(text) is None


def test_short_ids_of_postfix_are_ids_without_time() -> None:
    assert is_queue_id("C3CD21F3E90")
    assert timestamp_of("C3CD21F3E90") is None
