"""One delivery: the deliver hook, the transport, its results into the envelope and the log.

Owns what happens between "this destination has a free slot" and "these recipients have a result". Never raises: an
exception of a transport or a hook is a bug or a broken environment, and defers the recipients it was to deliver to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from gateway.model.content import Content
from gateway.model.delivery import DeliveryReport, DeliveryRequest, Outcome, Status
from gateway.model.envelope import Recipient, RecipientState
from gateway.model.errors import SpoolError
from gateway.observe import Logger, MailLog
from gateway.scheduler.active import ActiveMessage, Job
from gateway.scheduler.delivery_log import log_report
from gateway.scheduler.destination import Answer, Destination, Failure, TransportQueue
from gateway.transport.base import Transport

# Octets of a next hop's words that are kept with the recipient: for the queue listing and the DSN, not an archive.
REASON_LIMIT = 1000
NO_TRANSPORT = Status(Outcome.DEFERRED, "4.3.0", "mail transport unavailable")

DeliverHook = Callable[[DeliveryRequest], Awaitable["DeliveryRequest | DeliveryReport"]]
DeliveredHook = Callable[[DeliveryRequest, DeliveryReport], None]


class ContentSource(Protocol):
    """Where content comes from when it is no longer in memory: the spool."""

    def content(self, queue_id: str) -> Content:
        """The content of a queued message; SpoolError when it cannot be read."""


def everybody(recipients: list[Recipient], status: Status) -> DeliveryReport:
    """A report that says the same of all recipients."""
    return DeliveryReport([status] * len(recipients))


def _site_status(report: DeliveryReport) -> Status:
    """What mail for a next hop that could not be reached is deferred with while nobody tries it."""
    dsn = next((s.dsn for s in report.statuses if s.outcome is Outcome.DEFERRED), "4.4.1")
    return Status(Outcome.DEFERRED, dsn, f"delivery temporarily suspended: {report.site_failure[:REASON_LIMIT]}")


class Deliverer:
    """Makes deliveries for the slots of all transports.

    Args:
        source: the spool.
        transports: by master.cf name.
        log: where lines go.
        done: called when the last job of a message has ended.
        partly_done: called when a job delivered something and others of its message go on.
        deliver_hook: the ``deliver`` stage; None costs nothing.
        delivered_hook: the ``delivered`` observers; None costs nothing.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        source: ContentSource,
        transports: Mapping[str, Transport],
        *,
        log: MailLog,
        done: Callable[[ActiveMessage], None],
        partly_done: Callable[[ActiveMessage], None],
        deliver_hook: DeliverHook | None = None,
        delivered_hook: DeliveredHook | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.transports = transports
        self._source, self._log, self._clock = source, log, clock
        self._done, self._partly_done = done, partly_done
        self.deliver_hook, self.delivered_hook = deliver_hook, delivered_hook
        self._loggers: dict[tuple[str, str], Logger] = {}
        self._error = log.logger("error")
        self._qmgr = log.logger("qmgr")

    async def attempt(self, queue: TransportQueue, destination: Destination, job: Job) -> Answer | Failure:
        """Deliver one job; what it says about the next hop drives the concurrency feedback."""
        try:
            return await self._attempt(queue, destination, job)
        except Exception as exc:
            # A bug of ours must not cost the slot: the destination would starve (and the message is still stored).
            self._qmgr.panic(f"{job.message.envelope.queue_id}: {type(exc).__name__}: {exc}")
            job.message.is_delayed = True
            if job.message.outstanding:
                self.end_job(job.message)  # or it would stay active until the next start
            return Answer.NOT_TRIED

    async def _attempt(self, queue: TransportQueue, destination: Destination, job: Job) -> Answer | Failure:
        message = job.message
        if message.is_deleted or message.envelope.is_held:
            message.is_delayed = True
            self.end_job(message)
            return Answer.NOT_TRIED
        started = self._clock()
        outcome: Answer | Failure = Answer.ANSWERED
        try:
            report, is_decided = await self._report(queue, destination, job)
        except SpoolError as exc:
            self._qmgr.error(f"{message.envelope.queue_id}: cannot read the content: {exc}")
            status = Status(Outcome.DEFERRED, "4.3.0", "queue file read error")
            report, outcome = everybody(job.recipients, status), Answer.NOT_TRIED
        except (Exception, asyncio.CancelledError) as exc:
            if isinstance(exc, asyncio.CancelledError) and _is_cancelling():
                raise
            self._qmgr.error(f"transport {queue.name} failure: {type(exc).__name__}: {exc}")
            status = Status(Outcome.DEFERRED, "4.3.0", "unknown mail transport error")
            report, outcome = everybody(job.recipients, status), Failure(status, is_transport=True)
        else:
            if is_decided:
                outcome = Answer.NOT_TRIED
            elif report.site_failure:
                outcome = Failure(_site_status(report))
        self.settle(job, report, self._logger(queue), started)
        return outcome

    def conclude(self, job: Job, status: Status, logger: Logger | None = None) -> None:
        """Give all recipients of a job this result without asking any transport; logged as ``error`` by default."""
        self.settle(job, everybody(job.recipients, status), logger or self._error, self._clock())

    def settle(self, job: Job, report: DeliveryReport, logger: Logger, started: float) -> None:
        """Log a report and write it into the recipients; ends the job."""
        message, recipients = job.message, job.recipients
        log_report(
            logger, message.envelope, recipients, report, since=message.since, started=started, now=self._clock()
        )
        has_progress = False
        for recipient, status in zip(recipients, report.statuses, strict=True):
            recipient.status, recipient.relay = status.dsn, status.relay
            recipient.reason = status.text[:REASON_LIMIT]
            if status.outcome is Outcome.SENT:
                recipient.state = RecipientState.DONE
                has_progress = True
                if "SUCCESS" in recipient.notify and not status.has_dsn:
                    message.successes.append((recipient, status))
            elif status.outcome is Outcome.DEFERRED:
                message.is_delayed = True
            else:
                message.bounces.append((recipient, status))
        if has_progress and message.outstanding > 1:
            self._partly_done(message)
        self.end_job(message)

    def end_job(self, message: ActiveMessage) -> None:
        """One job less; the last one ends the message's turn in the active queue."""
        message.outstanding -= 1
        if message.outstanding == 0:
            self._done(message)

    async def _report(self, queue: TransportQueue, destination: Destination, job: Job) -> tuple[DeliveryReport, bool]:
        """Ask hook and transport. True with the report: the hook decided, the next hop was never asked."""
        message = job.message
        envelope = message.envelope
        request = DeliveryRequest(
            envelope=envelope,
            recipients=job.recipients,
            content=message.content or self._source.content(envelope.queue_id),
            transport=queue.name,
            nexthop=destination.nexthop,
            sender=str(envelope.sender),
        )
        if self.deliver_hook is not None:
            decided = await self.deliver_hook(request)
            if isinstance(decided, DeliveryReport):
                return self._checked(decided, job), True
            request = decided
        transport = self.transports.get(request.transport)
        if transport is None:  # a hook's idea, or gone with a reload
            return everybody(job.recipients, NO_TRANSPORT), True
        report = self._checked(await transport.deliver(request), job)
        if self.delivered_hook is not None:
            self.delivered_hook(request, report)
        return report, False

    def _checked(self, report: DeliveryReport, job: Job) -> DeliveryReport:
        """Insist on one status per recipient: guessing who got the mail would lose or duplicate it."""
        if not isinstance(report, DeliveryReport) or not isinstance(report.statuses, list):
            raise TypeError(f"not a report: {type(report).__name__}")
        if len(report.statuses) != len(job.recipients):
            raise RuntimeError(f"{len(report.statuses)} statuses for {len(job.recipients)} recipients")
        for status in report.statuses:
            if not isinstance(status, Status):
                raise TypeError(f"not a status: {type(status).__name__}")
        return report

    def _logger(self, queue: TransportQueue) -> Logger:
        key = (queue.settings.program, queue.settings.syslog_name)
        found = self._loggers.get(key)
        if found is None:
            found = self._loggers[key] = self._log.logger(key[0], syslog_name=key[1])
        return found


def _is_cancelling() -> bool:
    """True when the slot itself is told to end, not only something that its transport waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
