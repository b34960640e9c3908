"""Destinations and the delivery slots that work for them.

A :class:`TransportQueue` has one :class:`Destination` for each next hop with something to do. Each destination has its
own FIFO, its own concurrency (:mod:`gateway.scheduler.feedback`) and its own slots: tasks that loop over the FIFO, so
that a busy destination costs no task per message. No destination can take another's slots; only the transport's own
limit is shared, and then destinations take turns, one delivery each. Source: qmgr(8) "round robin", SCHEDULER_README.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum

from gateway.model.delivery import Status
from gateway.scheduler.active import Job
from gateway.scheduler.feedback import Feedback
from gateway.scheduler.settings import TransportSettings


class Throttle:
    """Why and until when a destination gets no deliveries."""

    __slots__ = ("status", "until")

    def __init__(self, until: float, status: Status) -> None:
        self.until = until
        self.status = status


class Destination:
    """One next hop of one transport: what waits for it and how it is doing.

    Attributes:
        nexthop: as the transport gets it.
        jobs: deliveries that wait, oldest first.
        busy: deliveries that run.
        throttle: set while the destination is dead.
        last_used: when it last had something to do, by the loop's clock.
        is_waiting: in the transport's round for a slot.
        served: deliveries that ended since ``busy_since``, by the loop's clock.
    """

    __slots__ = (
        "busy", "busy_since", "feedback", "is_waiting", "jobs", "key", "last_used", "nexthop", "parked", "served",
        "throttle",
    )  # fmt: skip

    def __init__(self, key: str, nexthop: str, feedback: Feedback) -> None:
        self.key, self.nexthop, self.feedback = key, nexthop, feedback
        self.jobs: deque[Job] = deque()
        self.parked: list[asyncio.Future[Job | None]] = []
        self.busy = 0
        self.throttle: Throttle | None = None
        self.last_used = 0.0
        self.busy_since = 0.0
        self.served = 0
        self.is_waiting = False

    @property
    def is_idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not self.busy and not self.jobs

    def rate(self, now: float) -> float:
        """Deliveries a second lately, at least one in 1000 s; ``now`` by the loop's clock."""
        return max(self.served / max(now - self.busy_since, 0.1), 0.001)


class Failure:
    """What an attempt says about the next hop when it was not reachable."""

    __slots__ = ("is_transport", "status")

    def __init__(self, status: Status, *, is_transport: bool = False) -> None:
        self.status = status
        self.is_transport = is_transport


class Answer(Enum):
    """What else an attempt says: the next hop answered (whatever it said), or nobody asked it."""

    ANSWERED = "answered"
    NOT_TRIED = "not tried"


# One delivery. Never raises.
Attempt = Callable[["TransportQueue", Destination, Job], Awaitable["Answer | Failure"]]
# A destination died: what waits for it is to be deferred.
Died = Callable[["TransportQueue", Destination, Failure], None]


class TransportQueue:
    """Everything that is to be delivered over one transport.

    Args:
        settings: the transport's parameters.
        attempt: makes one delivery.
        died: called when a destination is to be left alone; it sets the throttle.
    """

    def __init__(self, settings: TransportSettings, attempt: Attempt, died: Died) -> None:
        self.settings = settings
        self.name = settings.name
        self.destinations: dict[str, Destination] = {}
        self.busy = 0
        self.is_stopped = False
        self.throttle: Throttle | None = None
        self._attempt, self._died = attempt, died
        self._round: deque[Destination] = deque()
        self._slots: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def destination(self, key: str, nexthop: str) -> Destination:
        """The destination of that key, made on first use."""
        found = self.destinations.get(key)
        if found is None:
            found = self.destinations[key] = Destination(key, nexthop, Feedback(self.settings.concurrency))
        return found

    def add(self, destination: Destination, job: Job) -> None:
        """Put a delivery at the end of a destination's queue, and start it when a slot is free."""
        if not destination.busy and not destination.jobs:
            destination.busy_since, destination.served = self._loop.time(), 0
        destination.jobs.append(job)
        self.fill(destination)

    def fill(self, destination: Destination) -> None:
        """Start what the destination's concurrency and the transport's limit allow."""
        jobs, window = destination.jobs, destination.feedback.concurrency
        while jobs and destination.busy < window and not self.is_stopped:
            if self.busy >= self.settings.limit:
                if not destination.is_waiting:
                    destination.is_waiting = True
                    self._round.append(destination)
                return
            self._start(destination, jobs.popleft())

    def stop(self) -> set[asyncio.Task[None]]:
        """Start nothing more; returns the slots that still have a delivery running. Queued jobs stay where they are."""
        self.is_stopped = True
        for destination in self.destinations.values():
            self._send_home(destination)
        return self._slots

    def sweep(self, idle_s: float) -> None:
        """Forget destinations that had nothing to do for ``idle_s`` seconds, with their slots and their feedback."""
        oldest = self._loop.time() - idle_s
        for key, destination in list(self.destinations.items()):
            if destination.is_idle and destination.throttle is None and destination.last_used < oldest:
                self._send_home(destination)
                del self.destinations[key]

    def _start(self, destination: Destination, job: Job) -> None:
        destination.busy += 1
        self.busy += 1
        while destination.parked:
            parked = destination.parked.pop()
            if not parked.done():
                parked.set_result(job)
                return
        slot = self._loop.create_task(self._work(destination, job))
        self._slots.add(slot)
        slot.add_done_callback(self._slots.discard)

    async def _work(self, destination: Destination, job: Job | None) -> None:
        """One slot: deliver, take the next, rest when there is none, until sent home."""
        while job is not None:
            outcome = await self._attempt(self, destination, job)
            if self.settings.rate_delay_s > 0 and outcome is not Answer.NOT_TRIED:
                await asyncio.sleep(self.settings.rate_delay_s)
            job = self._next_job(destination, outcome)
            if job is None:
                if self.is_stopped:
                    return
                rest: asyncio.Future[Job | None] = self._loop.create_future()
                destination.parked.append(rest)
                job = await rest

    def _next_job(self, destination: Destination, outcome: Answer | Failure) -> Job | None:
        """Account for a delivery that ended, and choose what the slot does next."""
        feedback = destination.feedback
        window = feedback.concurrency
        if outcome is Answer.ANSWERED:
            feedback.succeed(destination.busy)
        elif isinstance(outcome, Failure) and (outcome.is_transport or feedback.fail()):
            self._died(self, destination, outcome)
        destination.busy -= 1
        destination.served += 1
        self.busy -= 1
        if self._round or self.is_stopped:
            self._take_turns(destination)
            return None
        jobs = destination.jobs
        if not jobs:
            destination.last_used = self._loop.time()
            return None
        if destination.busy >= feedback.concurrency:
            return None
        job = jobs.popleft()
        destination.busy += 1
        self.busy += 1
        if feedback.concurrency > window:
            self.fill(destination)
        return job

    def _take_turns(self, destination: Destination) -> None:
        """The transport's limit is reached: the next destination in the round gets the slot's place."""
        if destination.jobs and not destination.is_waiting and not self.is_stopped:
            destination.is_waiting = True
            self._round.append(destination)
        while self._round and self.busy < self.settings.limit and not self.is_stopped:
            turn = self._round.popleft()
            turn.is_waiting = False
            if turn.jobs and turn.busy < turn.feedback.concurrency:
                self._start(turn, turn.jobs.popleft())
                if turn.jobs:
                    turn.is_waiting = True
                    self._round.append(turn)

    def _send_home(self, destination: Destination) -> None:
        for parked in destination.parked:
            if not parked.done():
                parked.set_result(None)
        destination.parked.clear()
