from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from gateway.spool.appointment import Appointment


class _Handle:
    def __init__(self, due: float, call: Callable[[], object]) -> None:
        self.due, self.call, self.is_cancelled = due, call, False

    def cancel(self) -> None:
        self.is_cancelled = True


class _Loop:
    """A clock that stands at 5.0, and the calls that were asked for; ``due`` 0 is the end of this turn."""

    def __init__(self) -> None:
        self.handles: list[_Handle] = []

    def time(self) -> float:
        return 5.0

    def call_at(self, due: float, call: Callable[[], object]) -> _Handle:
        self.handles.append(_Handle(due, call))
        return self.handles[-1]

    def call_soon(self, call: Callable[[], object]) -> _Handle:
        return self.call_at(0.0, call)

    @property
    def open(self) -> list[float]:
        return [handle.due for handle in self.handles if not handle.is_cancelled]


def _appointment() -> tuple[Appointment, _Loop, list[str]]:
    loop, calls = _Loop(), []
    return Appointment(cast(Any, loop), lambda: calls.append("called")), loop, calls


def test_the_earliest_time_counts_and_there_is_one_call() -> None:
    appointment, loop, calls = _appointment()
    appointment.at(7.0)
    appointment.at(6.0)
    assert loop.open == [6.0]
    appointment.at(0.0)
    appointment.at(5.5)
    assert loop.open == [0.0]
    loop.handles[-1].call()
    assert calls == ["called"]


def test_a_later_time_changes_nothing() -> None:
    appointment, loop, _ = _appointment()
    appointment.at(6.0)
    appointment.at(7.0)
    appointment.within(1.5)
    assert loop.open == [6.0]


def test_a_cancelled_appointment_is_not_kept() -> None:
    appointment, loop, _ = _appointment()
    appointment.at(0.0)
    appointment.cancel()
    appointment.cancel()
    assert loop.open == []


def test_after_a_call_it_can_be_made_again() -> None:
    appointment, loop, calls = _appointment()
    appointment.within(0.5)
    loop.handles[0].call()
    appointment.at(8.0)
    assert [handle.due for handle in loop.handles] == [5.5, 8.0]
    loop.handles[1].call()
    assert calls == ["called", "called"]
