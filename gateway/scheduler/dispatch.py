"""From routes to destinations: which queue a recipient's delivery waits in, or why it cannot be tried now.

Owns the transport queues and their throttles. Source: qmgr(8), postconf(5) transport_retry_time, minimal_backoff_time,
defer_transports, default_destination_recipient_limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from gateway.config import Config
from gateway.model.delivery import Outcome, Status
from gateway.model.envelope import Recipient
from gateway.model.errors import TableError
from gateway.net.eager import start
from gateway.observe import Logger
from gateway.scheduler.active import ActiveMessage, ActiveQueue, Job
from gateway.scheduler.delivery import NO_TRANSPORT, Deliverer
from gateway.scheduler.destination import Destination, Failure, Throttle, TransportQueue
from gateway.scheduler.route import Route
from gateway.scheduler.router import Router
from gateway.scheduler.settings import SchedulerSettings, transport_settings

DEFERRED_TRANSPORT = Status(Outcome.DEFERRED, "4.3.2", "deferred transport")
NO_ROUTE = Status(Outcome.DEFERRED, "4.3.0", "temporary lookup failure")
DISCARDED_NOTICE = Status(Outcome.SENT, "2.0.0", "undeliverable postmaster notification discarded")
WARN_INTERVAL_S = 60.0
IDLE_S = 10.0
DRAIN_BATCH = 100  # deferrals between two looks at the loop


class Dispatcher:
    """Sends messages' recipients to the queues of their destinations.

    Args:
        config: for the transports' parameters.
        transports: master.cf names of those there are.
        settings: the scheduler's.
        router: finds routes.
        deliverer: makes the deliveries.
        active: the active queue, for its room.
        logger: ``qmgr``.
        spawn: runs a coroutine as a task.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        config: Config,
        transports: Iterable[str],
        settings: SchedulerSettings,
        *,
        router: Router,
        deliverer: Deliverer,
        active: ActiveQueue,
        logger: Logger,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._router, self._deliverer, self._active = settings, router, deliverer, active
        self._logger, self._spawn, self._clock = logger, spawn, clock
        self._warned: dict[str, float] = {}
        self._routing: set[asyncio.Task[None]] = set()
        self._successor: Dispatcher | None = None
        self.queues: dict[str, TransportQueue] = {}
        # All of them now: a parameter that cannot be read must stop the start, not the first message.
        self._transports = {name: transport_settings(config, name) for name in transports}

    def dispatch(self, message: ActiveMessage, recipients: list[Recipient]) -> None:
        """Route and queue these recipients; the message gets one job for each delivery they take."""
        envelope = message.envelope
        message.outstanding += 1
        if len(recipients) == 1 and not envelope.filter:
            address = recipients[0].address
            route = self._router.resolve_now(address, envelope.sender)
            if route is not None and address != self._settings.double_bounce:
                self._enqueue(route, Job(message, recipients))
                return
        # The job counted above is the routing itself: results of the first recipients must not end the turn.
        loop = asyncio.get_running_loop()
        task = start(self._route_all(message, recipients), _ignore, self._complain, loop)
        if task is not None:
            self._routing.add(task)
            task.add_done_callback(self._routing.discard)

    def flush(self) -> None:
        """Forget which destinations and transports are dead."""
        for queue in self.queues.values():
            queue.throttle = None
            for destination in queue.destinations.values():
                self._revive(destination)

    def sweep(self) -> None:
        """Forget destinations that were not used lately and throttles that are over."""
        now = self._clock()
        for queue in self.queues.values():
            for destination in queue.destinations.values():
                if destination.throttle is not None and destination.throttle.until <= now:
                    self._revive(destination)
            queue.sweep(IDLE_S)

    def retire(self, successor: Dispatcher | None = None) -> tuple[list[Job], set[asyncio.Task[None]]]:
        """Start nothing more; routes that are still being looked up end in the successor's queues.

        Returns:
            The deliveries that had not begun, and the tasks that are still busy.
        """
        self._successor = successor
        jobs: list[Job] = []
        slots: set[asyncio.Task[None]] = set()
        for queue in self.queues.values():
            slots |= queue.stop()
            for destination in queue.destinations.values():
                jobs.extend(destination.jobs)
                destination.jobs.clear()
        return jobs, slots | self._routing

    async def _route_all(self, message: ActiveMessage, recipients: list[Recipient]) -> None:
        groups: dict[Route, list[Recipient]] = {}
        for recipient in recipients:
            route = await self._route(message, recipient)
            if route is not None:
                groups.setdefault(route, []).append(recipient)
        for route, members in groups.items():
            queue = self._queue(route.transport)
            size = queue.settings.recipient_limit if queue else len(members)
            for first in range(0, len(members), size):
                message.outstanding += 1
                self._enqueue(route, Job(message, members[first : first + size]))
        self._deliverer.end_job(message)

    async def _route(self, message: ActiveMessage, recipient: Recipient) -> Route | None:
        """A recipient's route; None when the recipient has got its result instead."""
        envelope = message.envelope
        if recipient.address == self._settings.double_bounce:
            # Mail to the address that notices come from is an undeliverable notice (qmgr(8)).
            self._conclude(message, recipient, DISCARDED_NOTICE, self._logger)
            return None
        if envelope.filter:
            return self._router.filtered(envelope.filter, recipient.address)
        try:
            route = await self._router.resolve(recipient.address, envelope.sender)
        except TableError as exc:
            self._warn(exc.table, f"{envelope.queue_id}: {exc}")
            self._conclude(message, recipient, NO_ROUTE, None)
            return None
        except Exception as exc:  # a bug: without a result the message would stay active until the next start
            self._complain(exc)
            self._conclude(message, recipient, NO_ROUTE, None)
            return None
        if route.recipient is None:
            return route
        # A routed address (user%far@here) goes on as what it was resolved to; reports name the one that was given.
        recipient.original = recipient.original or str(recipient.address)
        recipient.address = route.recipient
        return Route(route.transport, route.nexthop)

    def _conclude(self, message: ActiveMessage, recipient: Recipient, status: Status, logger: Logger | None) -> None:
        message.outstanding += 1
        self._deliverer.conclude(Job(message, [recipient]), status, logger)

    def _enqueue(self, route: Route, job: Job) -> None:
        """Put a job, already counted in its message, into its destination's queue."""
        if self._successor is not None:
            self._successor._enqueue(route, job)
            return
        queue = self._queue(route.transport)
        if queue is None:
            self._warn(route.transport, f"transport {route.transport}: there is no such service in master.cf")
            self._deliverer.conclude(job, NO_TRANSPORT)
            return
        # With one recipient per delivery the concurrency is the recipient's (postconf(5)).
        key = route.nexthop if queue.settings.recipient_limit > 1 else f"{job.recipients[0].address} {route.nexthop}"
        destination = queue.destination(key, route.nexthop)
        if queue.throttle is not None or destination.throttle is not None:
            status = self._suspended(queue, destination, is_forced=job.message.is_forced)
            if status is not None:
                self._deliverer.conclude(job, status)
                return
        if queue.settings.is_deferred and not job.message.is_flushed:
            self._deliverer.conclude(job, DEFERRED_TRANSPORT)
        elif len(destination.jobs) > self._active.room:
            self._postpone(queue, destination, job)
        else:
            queue.add(destination, job)

    def _queue(self, transport: str) -> TransportQueue | None:
        found = self.queues.get(transport)
        if found is None and (settings := self._transports.get(transport)) is not None:
            found = self.queues[transport] = TransportQueue(settings, self._deliverer.attempt, self._died)
        return found

    def _suspended(self, queue: TransportQueue, destination: Destination, *, is_forced: bool) -> Status | None:
        """What to defer with while transport or destination rest; None when the rest is over."""
        now = self._clock()
        if queue.throttle is not None:
            if queue.throttle.until > now and not is_forced:
                return queue.throttle.status
            queue.throttle = None
        if destination.throttle is not None:
            if destination.throttle.until > now and not is_forced:
                return destination.throttle.status
            self._revive(destination)
        return None

    def _revive(self, destination: Destination) -> None:
        if destination.throttle is not None:
            destination.throttle = None
            destination.feedback.reset()

    def _died(self, queue: TransportQueue, destination: Destination, failure: Failure) -> None:
        """Leave a destination, or a whole transport, alone for a while, and defer at once what waits for it."""
        now = self._clock()
        if failure.is_transport:
            queue.throttle = Throttle(now + queue.settings.retry_s, failure.status)
            dead = list(queue.destinations.values())
        else:
            destination.throttle = Throttle(now + self._settings.lifetimes.minimal_backoff_s, failure.status)
            dead = [destination]
        jobs: list[Job] = []
        for each in dead:
            jobs.extend(each.jobs)
            each.jobs.clear()
        if jobs:
            self._spawn(self._drain(jobs, failure.status))

    async def _drain(self, jobs: list[Job], status: Status) -> None:
        for done, job in enumerate(jobs, 1):
            self._deliverer.conclude(job, status)
            if done % DRAIN_BATCH == 0:
                await asyncio.sleep(0)

    def _postpone(self, queue: TransportQueue, destination: Destination, job: Job) -> None:
        """A destination may wait with no more deliveries than the active queue has room for others.

        So a flood to a slow destination never fills the active queue, however many such destinations there are: each
        gets at most half of what is left. The message goes back to the spool for about the time the queue will take.
        """
        waiting = len(destination.jobs)
        self._warn(
            f"clogged {destination.nexthop}",
            f"mail for {destination.nexthop} is using up {waiting} of {len(self._active)} active queue entries",
        )
        message, now = job.message, self._clock()
        message.is_delayed = True
        wait_s = max(waiting / destination.rate(asyncio.get_running_loop().time()), 1.0)
        message.postponed_until = min(now + wait_s, self._settings.lifetimes.next_due(now, message.envelope.arrival))
        self._deliverer.end_job(message)

    def _warn(self, subject: str, text: str) -> None:
        """Log a warning, each subject at most once a minute; the number of subjects kept is bounded."""
        now = self._clock()
        if now - self._warned.get(subject, -WARN_INTERVAL_S) >= WARN_INTERVAL_S:
            if len(self._warned) >= 1000:
                self._warned.clear()
            self._warned[subject] = now
            self._logger.warning(text)

    def _complain(self, exc: BaseException) -> None:
        if not isinstance(exc, asyncio.CancelledError):
            self._logger.panic(f"routing failed: {type(exc).__name__}: {exc}")


def _ignore(_: None) -> None:
    """The routing has done its work when it ends."""
