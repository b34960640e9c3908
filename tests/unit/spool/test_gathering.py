from __future__ import annotations

from gateway.spool.gathering import ENOUGH, GATHER_S, Gathering


def _commit(gathering: Gathering, now: float, *, messages: int, meanwhile: int = 0) -> None:
    for _ in range(messages):
        gathering.came()
    gathering.begun()
    for _ in range(meanwhile):
        gathering.came()
    gathering.ended(now)


def test_the_first_message_does_not_wait() -> None:
    gathering = Gathering()
    gathering.came()
    assert gathering.due(5.0) == 0


def test_who_sends_alone_never_waits() -> None:
    gathering = Gathering()
    for now in (1.0, 1.001, 1.002):
        _commit(gathering, now, messages=1)
        gathering.came()
        assert gathering.due(now + 0.0005) == 0
        gathering.begun()
        gathering.ended(now + 0.0009)


def test_two_do_not_wait_for_each_other() -> None:
    gathering = Gathering()
    _commit(gathering, 1.0, messages=2)
    gathering.came()
    assert gathering.due(1.0001) == 0
    _commit(gathering, 1.001, messages=0, meanwhile=1)
    assert gathering.due(1.0011) == 0


def test_senders_that_were_answered_together_are_expected_together() -> None:
    gathering = Gathering()
    _commit(gathering, 1.0, messages=3)
    for _ in range(2):
        gathering.came()
        assert gathering.due(1.0005) == 1.0 + GATHER_S
    gathering.came()
    assert gathering.due(1.0006) == 0


def test_who_came_during_the_commit_is_expected_too_so_that_groups_grow() -> None:
    gathering = Gathering()
    _commit(gathering, 1.0, messages=2, meanwhile=2)
    assert gathering.waiting == 2
    assert gathering.due(1.0001) == 1.0 + GATHER_S
    gathering.came()
    gathering.came()
    assert gathering.due(1.0002) == 0


def test_nobody_waits_longer_than_that_after_the_commit() -> None:
    gathering = Gathering()
    _commit(gathering, 1.0, messages=5)
    gathering.came()
    assert gathering.due(1.0 + GATHER_S) == 0


def test_enough_is_enough() -> None:
    gathering = Gathering()
    _commit(gathering, 1.0, messages=200)
    for _ in range(ENOUGH):
        gathering.came()
    assert gathering.due(1.0001) == 0
