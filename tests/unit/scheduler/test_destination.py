from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from peers.scheduling import message

from gateway.model.delivery import Outcome, Status
from gateway.scheduler.active import ActiveMessage, Job
from gateway.scheduler.concurrency_policy import ConcurrencyPolicy
from gateway.scheduler.destination import Answer, Destination, Failure, Throttle, TransportQueue
from gateway.scheduler.settings import TransportSettings

FAILURE = Failure(Status(Outcome.DEFERRED, "4.4.1", "delivery temporarily suspended: nobody home"))


class Rig:
    """A transport queue whose attempts end when the test says so."""

    def __init__(self, total: int = 1000, rate_delay_s: float = 0.0, **policy: int) -> None:
        self.order: list[str] = []
        self.running: dict[str, int] = {}
        self.peak: dict[str, int] = {}
        self.gate = asyncio.Event()
        self.outcomes: dict[str, Callable[[], Answer | Failure]] = {}
        self.dead: list[str] = []
        settings = TransportSettings(
            "smtp", "smtp", limit=total, concurrency=ConcurrencyPolicy(**policy), rate_delay_s=rate_delay_s
        )
        self.queue = TransportQueue(settings, self.attempt, self.died)

    async def attempt(self, queue: TransportQueue, destination: Destination, job: Job) -> Answer | Failure:
        hop = destination.nexthop
        self.order.append(hop)
        self.running[hop] = self.running.get(hop, 0) + 1
        self.peak[hop] = max(self.peak.get(hop, 0), self.running[hop])
        await self.gate.wait()
        self.running[hop] -= 1
        return self.outcomes.get(hop, lambda: Answer.ANSWERED)()

    def died(self, queue: TransportQueue, destination: Destination, failure: Failure) -> None:
        self.dead.append(destination.nexthop)
        destination.throttle = Throttle(1e12, failure.status)
        destination.jobs.clear()

    def add(self, hop: str, count: int = 1) -> Destination:
        destination = self.queue.destination(hop, hop)
        for number in range(count):
            self.queue.add(destination, Job(ActiveMessage(message(f"{hop}{number}", f"u@{hop}"), 0.0), []))
        return destination

    async def turns(self, until: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if until():
                return
            await asyncio.sleep(0)
        raise AssertionError(f"never true: {self.running} {self.order[-20:]}")


def test_slots_loop_over_the_queue_and_concurrency_grows() -> None:
    async def main() -> None:
        rig = Rig(initial=2, limit=4)
        destination = rig.add("a", 30)
        await rig.turns(lambda: rig.running.get("a") == 2)
        rig.gate.set()
        await rig.turns(lambda: len(rig.order) == 30 and destination.is_idle)
        assert rig.peak["a"] <= 4
        assert destination.feedback.concurrency == 4
        assert len(rig.queue.stop()) <= 4  # slots, not one task a message

    asyncio.run(main())


def test_resting_slots_take_new_work() -> None:
    async def main() -> None:
        rig = Rig()
        rig.gate.set()
        destination = rig.add("a", 3)
        await rig.turns(lambda: destination.is_idle and len(destination.parked) == 3)
        rig.add("a", 2)
        await rig.turns(lambda: len(rig.order) == 5 and destination.is_idle)
        assert len(rig.queue.stop()) == 3
        await rig.turns(lambda: not rig.queue.stop())

    asyncio.run(main())


def test_destinations_take_turns_when_the_transport_is_at_its_limit() -> None:
    async def main() -> None:
        rig = Rig(total=2)
        rig.add("big", 100)
        rig.add("b", 3)
        rig.add("c", 3)
        rig.gate.set()
        await rig.turns(lambda: rig.order.count("b") == 3 and rig.order.count("c") == 3)
        # The first two went to the one that was first; then the others got every second or third turn.
        assert len(rig.order) <= 14
        await rig.turns(lambda: len(rig.order) == 106 and not rig.queue.busy)

    asyncio.run(main())


def test_a_dead_destination_gets_nothing_more() -> None:
    async def main() -> None:
        rig = Rig(initial=3)
        rig.outcomes["a"] = lambda: FAILURE
        destination = rig.add("a", 50)
        other = rig.add("b", 20)
        rig.gate.set()
        await rig.turns(lambda: destination.is_idle and other.is_idle)
        assert rig.dead
        assert rig.order.count("a") <= 5
        assert rig.order.count("b") == 20
        assert destination.feedback.concurrency == 0

    asyncio.run(main())


def test_attempts_that_were_not_made_say_nothing_about_the_destination() -> None:
    async def main() -> None:
        rig = Rig(initial=2, limit=20)
        rig.outcomes["a"] = lambda: Answer.NOT_TRIED
        destination = rig.add("a", 10)
        rig.gate.set()
        await rig.turns(lambda: destination.is_idle)
        assert destination.feedback.concurrency == 2

    asyncio.run(main())


def test_a_broken_transport_is_reported_whatever_the_feedback() -> None:
    async def main() -> None:
        rig = Rig(initial=20)
        rig.outcomes["a"] = lambda: Failure(FAILURE.status, is_transport=True)
        destination = rig.add("a", 1)
        rig.gate.set()
        await rig.turns(lambda: destination.is_idle)
        assert rig.dead == ["a"]

    asyncio.run(main())


def test_stop_starts_nothing_more() -> None:
    async def main() -> None:
        rig = Rig(total=1, initial=1)
        destination = rig.add("a", 5)
        await rig.turns(lambda: bool(rig.order))
        slots = rig.queue.stop()
        assert len(slots) == 1
        rig.gate.set()
        await asyncio.wait(slots, timeout=5)
        rig.add("a")
        assert (len(rig.order), len(destination.jobs)) == (1, 5)

    asyncio.run(main())


def test_sweep_forgets_idle_destinations_and_sends_their_slots_home() -> None:
    async def main() -> None:
        rig = Rig()
        rig.gate.set()
        idle = rig.add("a", 2)
        dead = rig.add("dead")
        await rig.turns(lambda: idle.is_idle and dead.is_idle)
        dead.throttle = Throttle(1e12, FAILURE.status)
        rig.queue.sweep(1000.0)
        assert set(rig.queue.destinations) == {"a", "dead"}
        rig.queue.sweep(-1.0)
        assert set(rig.queue.destinations) == {"dead"}
        await rig.turns(lambda: len(rig.queue.stop()) <= 1)

    asyncio.run(main())


def test_rate_delay_spaces_deliveries() -> None:
    async def main() -> None:
        rig = Rig(rate_delay_s=0.02, initial=5, limit=1)
        rig.gate.set()
        destination = rig.add("a", 3)
        began = asyncio.get_running_loop().time()
        while not destination.is_idle:
            await asyncio.wait_for(asyncio.shield(asyncio.sleep(0)), 1)
        assert asyncio.get_running_loop().time() - began >= 0.06
        assert rig.peak["a"] == 1

    asyncio.run(main())


@pytest.mark.parametrize(("served", "now", "rate"), [(0, 10.0, 0.001), (50, 10.0, 10.0), (5, 5.0, 50.0)])
def test_rate(served: int, now: float, rate: float) -> None:
    async def main() -> float:
        destination = Rig().queue.destination("a", "a")
        destination.busy_since, destination.served = 5.0, served
        return destination.rate(now)

    assert asyncio.run(main()) == pytest.approx(rate)
