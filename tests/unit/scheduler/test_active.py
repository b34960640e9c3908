from __future__ import annotations

import pytest
from peers.scheduling import message

from gateway.model.content import BodyFile, Content
from gateway.scheduler import active
from gateway.scheduler.active import ActiveQueue


def test_room_and_membership() -> None:
    queue = ActiveQueue(2)
    first = queue.add(message("A", "x@y.example"), None, 5.0)
    assert (len(queue), queue.room, first.since) == (1, 1, 5.0)
    queue.drop(first)
    queue.drop(first)
    assert (len(queue), queue.room) == (0, 2)


def test_content_stays_in_memory_only_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(active, "CONTENT_BUDGET_BYTES", 10)
    queue = ActiveQueue(10)
    first = queue.add(message("A", "x@y.example"), Content(b"head", b"bod"), 0.0)
    second = queue.add(message("B", "x@y.example"), Content(b"head", b""), 0.0)
    third = queue.add(message("C", "x@y.example"), Content(b"hea", BodyFile("body", 10**9)), 0.0)
    assert [m.content is not None for m in (first, second, third)] == [True, False, True]
    queue.drop(first)
    assert queue.add(message("D", "x@y.example"), Content(b"1234567"), 0.0).content is not None
