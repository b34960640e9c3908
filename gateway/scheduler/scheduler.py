"""The scheduler: takes messages from the spool into the active queue and sees each of them through.

New mail comes with its content from the commit (:meth:`Scheduler.enqueue`); deferred mail is pulled from the spool when
it is due, a page at a time, so that a million deferred messages cost nothing until their time comes.
Source: qmgr(8), SCHEDULER_README.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from gateway.config import Config
from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError
from gateway.observe import MailLog
from gateway.scheduler.active import ActiveMessage, ActiveQueue
from gateway.scheduler.completion import Completion, Reporter
from gateway.scheduler.delivery import DeliveredHook, Deliverer, DeliverHook
from gateway.scheduler.delivery_log import log_active
from gateway.scheduler.dispatch import Dispatcher
from gateway.scheduler.router import Router
from gateway.scheduler.settings import SchedulerSettings
from gateway.spool.interface import ALL, QueueState, Selection, Spool
from gateway.transport.base import Transport

PULL_BATCH = 200
PULL_INTERVAL_S = 0.05  # at most so often while the active queue is the bottleneck
RECENT_LIMIT = 1000
SAVE_DELAY_S = 0.02  # progress of a message with more deliveries to go is stored this late, once for all that ended
SWEEP_S = 5.0
DEFAULT_GRACE_S = 5.0


class Scheduler:
    """The delivery side of one gateway.

    Args:
        config: checked configuration.
        store: the spool.
        transports: what delivers, by master.cf name.
        router: finds routes.
        log: where lines go.
        reporter: writes DSNs: :class:`gateway.transport.bounce.Bouncer`.
        deliver_hook: the ``deliver`` stage, or None.
        delivered_hook: the ``delivered`` observers, or None.
        clock: seconds since the epoch.

    Raises:
        ConfigError: a parameter of ours cannot be read.
    """

    def __init__(
        self,
        config: Config,
        store: Spool,
        transports: Mapping[str, Transport],
        *,
        router: Router,
        log: MailLog,
        reporter: Reporter,
        deliver_hook: DeliverHook | None = None,
        delivered_hook: DeliveredHook | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._clock = store, clock
        self._qmgr = log.logger("qmgr")
        self._settings = SchedulerSettings.of(config)
        self._active = ActiveQueue(self._settings.active_limit)
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired: set[asyncio.Task[None]] = set()
        self._unsaved: dict[str, Envelope] = {}
        self._recent: dict[str, None] = {}
        self._is_stopped = self._is_flushing = self._has_backlog = False
        self._grace_s = DEFAULT_GRACE_S
        self._wake = asyncio.Event()
        self._deliverer = Deliverer(
            store,
            transports,
            log=log,
            done=self._finish,
            partly_done=self._save_soon,
            deliver_hook=deliver_hook,
            delivered_hook=delivered_hook,
            clock=clock,
        )
        lifetimes = self._settings.lifetimes
        self._completion = Completion(
            store, reporter, log=log, lifetimes=lifetimes, gone=self._gone, spawn=self._spawn, clock=clock
        )
        self._dispatcher = self._make_dispatcher(config, self._settings, transports, router)

    # -- mail in ----------------------------------------------------------------------------------------------------

    def enqueue(self, envelope: Envelope, content: Content | None = None) -> None:
        """Deliver a message that just became durable; its content is used from memory.

        When the active queue is full, the message waits in the spool for its turn. Cost: some ten microseconds, plus
        the delivery up to its first wait.
        """
        queue_id = envelope.queue_id
        if self._is_stopped or envelope.is_held or queue_id in self._active.messages or queue_id in self._recent:
            return
        if self._active.room <= 0:
            self._has_backlog = True
            return
        self._start(envelope, content)

    async def submit(self, envelope: Envelope, content: Content) -> None:
        """Make a message durable and deliver it: the Submitter for mail that starts here, such as bounces.

        Raises:
            SpoolError: it could not be stored.
        """
        await self._store.put(envelope, content)
        try:
            self.enqueue(envelope, content)
        except Exception as exc:  # a bug; but it is durable, and who were told otherwise would submit it again
            self._qmgr.panic(f"{envelope.queue_id}: {type(exc).__name__}: {exc}; it stays queued")

    async def run(self) -> None:
        """Pull what is due from the spool until :meth:`stop`; then give running deliveries their time to end."""
        swept = pulled = 0.0
        loop = asyncio.get_running_loop()
        while not self._is_stopped:
            self._wake.clear()
            if self._pull():
                await asyncio.sleep(0)
                continue
            self._is_flushing = False
            pulled = loop.time()
            if pulled - swept >= SWEEP_S:
                swept = pulled
                self._dispatcher.sweep()
            await self._sleep_until_due()
            if self._has_backlog and (early_s := pulled + PULL_INTERVAL_S - loop.time()) > 0:
                await asyncio.sleep(early_s)
        await self._drain()

    def wake(self) -> None:
        """Look for due messages now."""
        self._wake.set()

    # -- control ----------------------------------------------------------------------------------------------------

    def stop(self, grace_s: float = DEFAULT_GRACE_S) -> None:
        """Start no more deliveries; :meth:`run` returns once those under way have ended, at most ``grace_s`` later.

        What is not delivered by then stays in the spool and is tried at the next start.
        """
        self._is_stopped, self._grace_s = True, grace_s
        self._wake.set()

    async def _drain(self) -> None:
        _, slots = self._dispatcher.retire()
        end = (loop := asyncio.get_running_loop()).time() + self._grace_s
        # A delivery that ends now may leave a notification to be written: look again.
        while waiting := {task for task in slots | self._retired | self._tasks if not task.done()}:
            if (left_s := end - loop.time()) <= 0:
                break
            await asyncio.wait(waiting, timeout=left_s)
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting, timeout=1.0)
        self._save()

    def reload(
        self, config: Config, transports: Mapping[str, Transport], router: Router, reporter: Reporter | None = None
    ) -> None:
        """Use a new configuration. Running deliveries end as they began; what had not begun is routed anew.

        Raises:
            ConfigError: a parameter cannot be read; everything stays as it was.
        """
        settings = SchedulerSettings.of(config)
        new = self._make_dispatcher(config, settings, transports, router)
        old, self._dispatcher, self._settings = self._dispatcher, new, settings
        self._active.limit = settings.active_limit
        self._completion.lifetimes = settings.lifetimes
        if reporter is not None:
            self._completion.reporter = reporter
        self._deliverer.transports = transports
        jobs, slots = old.retire(new)
        for slot in slots:
            self._retired.add(slot)
            slot.add_done_callback(self._retired.discard)
        for job in jobs:
            self._dispatcher.dispatch(job.message, job.recipients)
            self._deliverer.end_job(job.message)
        self._wake.set()

    def set_hooks(self, deliver_hook: DeliverHook | None, delivered_hook: DeliveredHook | None) -> None:
        """Use other hooks for attempts that start from now on: after a reload."""
        self._deliverer.deliver_hook, self._deliverer.delivered_hook = deliver_hook, delivered_hook

    async def retired(self, deadline_s: float) -> None:
        """Wait for deliveries that began before the last reload to end; their transports can then be closed."""
        if self._retired:
            await asyncio.wait(self._retired, timeout=deadline_s)

    async def flush(self, destination: str | None = None) -> int:
        """Try deferred mail now, dead destinations included (``postqueue -f``); returns how many messages became due.

        Args:
            destination: only mail with a pending recipient in this domain (``postqueue -s``).
        """
        self._dispatcher.flush()
        now = self._clock()
        if destination is None:
            self._is_flushing = True
            count = await self._store.flush(now)
        else:
            count = await self._flush_site(destination.lower().strip("[]"), now)
        self._wake.set()
        return count

    def deliver_now(self, queue_id: str) -> bool:
        """Try one deferred message now (``postqueue -i``); False when there is none of that name, or it is held."""
        if queue_id in self._active.messages:
            return True
        envelope = self._store.envelope(queue_id)
        if envelope is None or envelope.is_held or self._is_stopped:
            return False
        self._start(envelope, None, is_flushed=True, is_forced=True)
        return True

    async def hold(self, queue_ids: Iterable[str] | Selection) -> int:
        """Put messages on hold (``postsuper -h``). An attempt that runs ends; nothing new begins."""
        queue_ids = _listed(queue_ids)
        for message in self._chosen(queue_ids):
            message.envelope.is_held = True
        return await self._store.hold(queue_ids, self._clock())

    async def release(self, queue_ids: Iterable[str] | Selection) -> int:
        """Take messages off hold, due now (``postsuper -H``)."""
        queue_ids, now = _listed(queue_ids), self._clock()
        for message in self._chosen(queue_ids):
            message.envelope.is_held = False
            message.postponed_until = now
        count = await self._store.release(queue_ids, now)
        self._wake.set()
        return count

    async def requeue(self, queue_ids: Iterable[str] | Selection) -> int:
        """Make messages due now, held ones included (``postsuper -r``)."""
        queue_ids, now = _listed(queue_ids), self._clock()
        for message in self._chosen(queue_ids):
            if message.envelope.is_held:
                message.envelope.is_held = False
                message.postponed_until = now
        count = await self._store.requeue(queue_ids, now)
        self._wake.set()
        return count

    async def delete(self, queue_ids: Iterable[str] | Selection) -> int:
        """Delete messages (``postsuper -d``). An attempt that runs ends, and its results are only logged."""
        queue_ids = _listed(queue_ids)
        for message in self._chosen(queue_ids):
            message.is_deleted = True
        return await self._store.delete(queue_ids)

    def is_active(self, queue_id: str) -> bool:
        """True for a message in the active queue."""
        return queue_id in self._active.messages

    def status(self) -> dict[str, int]:
        """Counts: messages by queue, destinations, dead destinations, deliveries that run."""
        queues = self._dispatcher.queues.values()
        destinations = [destination for queue in queues for destination in queue.destinations.values()]
        stored = self._store.counts()  # what is active here is deferred or held there
        held = sum(message.envelope.is_held for message in self._active.messages.values())
        return {
            "active": len(self._active),
            **stored,
            "deferred": max(stored.get("deferred", 0) - len(self._active) + held, 0),
            "destinations": len(destinations),
            "dead_destinations": sum(destination.throttle is not None for destination in destinations),
            "deliveries": sum(queue.busy for queue in queues),
        }

    # -- inside -----------------------------------------------------------------------------------------------------

    def _make_dispatcher(
        self, config: Config, settings: SchedulerSettings, transports: Mapping[str, Transport], router: Router
    ) -> Dispatcher:
        return Dispatcher(
            config,
            transports,
            settings,
            router=router,
            deliverer=self._deliverer,
            active=self._active,
            logger=self._qmgr,
            spawn=self._spawn,
            clock=self._clock,
        )

    def _start(
        self,
        envelope: Envelope,
        content: Content | None,
        *,
        is_flushed: bool = False,
        is_forced: bool = False,
        is_pulled: bool = False,
    ) -> None:
        message = self._active.add(envelope, content, self._clock())
        message.is_flushed, message.is_forced, message.is_pulled = is_flushed, is_forced, is_pulled
        log_active(self._qmgr, envelope)
        self._dispatcher.dispatch(message, envelope.pending)

    def _pull(self) -> bool:
        """Take due messages from the spool; True when there may be more. Half of the room stays free for new mail."""
        limit = min(PULL_BATCH, self._active.room // 2)
        if limit <= 0:
            self._has_backlog = True
            return False
        try:
            found = self._store.due(self._clock(), limit, self._active.messages)
        except SpoolError as exc:
            self._qmgr.error(f"cannot read the queue: {exc}")
            return False
        for envelope in found:
            self._start(envelope, None, is_flushed=self._is_flushing, is_pulled=True)
        self._has_backlog = len(found) == limit
        return self._has_backlog

    async def _sleep_until_due(self) -> None:
        now = self._clock()
        try:
            due = self._store.next_due(now)
        except SpoolError:
            due = now + 1.0
        delay_s = min(due - now if due is not None else SWEEP_S, SWEEP_S, self._settings.queue_run_delay_s)
        try:
            async with asyncio.timeout(max(delay_s, 0)):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _finish(self, message: ActiveMessage) -> None:
        self._unsaved.pop(message.envelope.queue_id, None)
        self._completion.finish(message)

    def _gone(self, message: ActiveMessage) -> None:
        """A message has left the active queue."""
        self._active.drop(message)
        if message.is_pulled:
            # Its own enqueue() may still be on the way: the spool shows a message a moment before its commit is told.
            if len(self._recent) >= RECENT_LIMIT:
                self._recent.pop(next(iter(self._recent)))
            self._recent[message.envelope.queue_id] = None
        if self._has_backlog:
            self._wake.set()

    def _save_soon(self, message: ActiveMessage) -> None:
        """Store who got the mail while other deliveries of the message go on, so that a crash repeats little."""
        if not self._unsaved:
            asyncio.get_running_loop().call_later(SAVE_DELAY_S, self._save)
        self._unsaved[message.envelope.queue_id] = message.envelope

    def _save(self) -> None:
        unsaved, self._unsaved = self._unsaved, {}
        try:
            for envelope in unsaved.values():
                self._store.update(envelope)
        except SpoolError as exc:
            self._qmgr.error(f"queue file update failed: {exc}")

    def _spawn(self, coro: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coro)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _chosen(self, queue_ids: tuple[str, ...] | Selection) -> list[ActiveMessage]:
        messages = self._active.messages
        if isinstance(queue_ids, Selection):
            return list(messages.values())
        return [messages[queue_id] for queue_id in queue_ids if queue_id in messages]

    async def _flush_site(self, domain: str, now: float) -> int:
        """Page through the deferred queue: rare work, done in small steps beside the deliveries."""
        count, after = 0, ""
        while page := self._store.entries(after, PULL_BATCH, QueueState.DEFERRED):
            after = page[-1].queue_id
            chosen = [e.queue_id for e in page if any(r.address.domain == domain for r in e.pending)]
            if chosen:
                count += await self._store.requeue(chosen, now)
            await asyncio.sleep(0)
        return count


def _listed(queue_ids: Iterable[str] | Selection) -> tuple[str, ...] | Selection:
    return ALL if isinstance(queue_ids, Selection) else tuple(queue_ids)
