from __future__ import annotations

import asyncio

from gateway.spool.appointment import Appointment


async def _calls(*dues: float, cancel: bool = False) -> list[int]:
    """Turns of the loop, of a millisecond each, after which the call came."""
    loop = asyncio.get_running_loop()
    calls: list[int] = []
    turns = 0
    appointment = Appointment(loop, lambda: calls.append(turns))
    for due in dues:
        appointment.at(loop.time() + due if due else 0.0)
    if cancel:
        appointment.cancel()
    end = loop.time() + 0.1
    while loop.time() < end:
        turns += 1
        await asyncio.sleep(0.001)
    return calls


def test_the_earliest_time_counts_and_there_is_one_call() -> None:
    assert asyncio.run(_calls(0.05, 0.0, 0.03)) == [1]


def test_a_later_time_changes_nothing() -> None:
    (turn,) = asyncio.run(_calls(0.02, 0.08))
    assert turn < 60


def test_a_cancelled_appointment_is_not_kept() -> None:
    assert asyncio.run(_calls(0.0, cancel=True)) == []


def test_after_a_call_it_can_be_made_again() -> None:
    async def run() -> int:
        done = asyncio.Event()
        calls = 0

        def call() -> None:
            nonlocal calls
            calls += 1
            if calls == 3:
                done.set()
            else:
                appointment.within(0.001)

        appointment = Appointment(asyncio.get_running_loop(), call)
        appointment.at(0.0)
        await asyncio.wait_for(done.wait(), 10)
        return calls

    assert asyncio.run(run()) == 3
