"""Fakes for tests of the scheduler: a spool in a dictionary, transports that do as they are told, a clock that stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

import msgspec

from gateway.config import Config
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.content import Content
from gateway.model.delivery import DeliveryReport, DeliveryRequest, Outcome, Status
from gateway.model.envelope import Envelope, Recipient
from gateway.model.errors import SpoolError
from gateway.observe import MailLog
from gateway.scheduler import Router, Scheduler
from gateway.spool.interface import QueueState, Selection
from gateway.spool.queue_id import QueueIds
from gateway.transport.bounce import Bouncer

SENT = Status(Outcome.SENT, "2.0.0", "250 ok", "sink[127.0.0.1]:25")
CONTENT = Content(b"Subject: hello\r\n", b"body\r\n")


class FakeClock:
    """Seconds that pass when the test says so."""

    def __init__(self, now: float = 1_795_354_176.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class FakeStore:
    """A spool that is durable at once; keeps copies, as a disk does. ``failing``: put raises SpoolError."""

    def __init__(self) -> None:
        self.envelopes: dict[str, bytes] = {}
        self.contents: dict[str, Content] = {}
        self.failing = False
        self.updates: list[Envelope] = []
        self.events: list[str] = []
        self.due_calls = 0

    async def put(self, envelope: Envelope, content: Content) -> None:
        await asyncio.sleep(0)
        if self.failing:
            raise SpoolError("the disk is on strike")
        self.add(envelope, content)
        self.events.append(f"put {envelope.queue_id}")

    submit = put

    def add(self, envelope: Envelope, content: Content = CONTENT) -> None:
        """Put without waiting."""
        self.envelopes[envelope.queue_id] = msgspec.msgpack.encode(envelope)
        self.contents[envelope.queue_id] = content

    def _done(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    def update(self, envelope: Envelope) -> asyncio.Future[None]:
        if envelope.queue_id in self.envelopes:
            self.envelopes[envelope.queue_id] = msgspec.msgpack.encode(envelope)
        self.updates.append(self._decode(msgspec.msgpack.encode(envelope)))
        self.events.append(f"update {envelope.queue_id}")
        return self._done()

    def remove(self, queue_id: str) -> asyncio.Future[None]:
        self.envelopes.pop(queue_id, None)
        self.contents.pop(queue_id, None)
        self.events.append(f"remove {queue_id}")
        return self._done()

    def _decode(self, raw: bytes) -> Envelope:
        return msgspec.msgpack.decode(raw, type=Envelope)

    def all(self) -> list[Envelope]:
        return [self._decode(raw) for _, raw in sorted(self.envelopes.items())]

    def due(self, now: float, limit: int, exclude: Container[str] = ()) -> list[Envelope]:
        self.due_calls += 1
        found = [e for e in self.all() if not e.is_held and e.due <= now and e.queue_id not in exclude]
        return sorted(found, key=lambda e: e.due)[:limit]

    def next_due(self, now: float) -> float | None:
        return min((e.due for e in self.all() if not e.is_held and e.due > now), default=None)

    def envelope(self, queue_id: str) -> Envelope | None:
        raw = self.envelopes.get(queue_id)
        return self._decode(raw) if raw is not None else None

    def content(self, queue_id: str) -> Content:
        if queue_id not in self.contents:
            raise SpoolError(f"{queue_id}: no such message")
        return self.contents[queue_id]

    def entries(self, after: str = "", limit: int = 100, state: QueueState | None = None) -> list[Envelope]:
        wanted = None if state is None else state is QueueState.HOLD
        return [e for e in self.all() if e.queue_id > after and wanted in (None, e.is_held)][:limit]

    def counts(self) -> dict[str, int]:
        held = sum(e.is_held for e in self.all())
        return {"deferred": len(self.envelopes) - held, "hold": held}

    def _change(self, queue_ids: Iterable[str] | Selection, **values: Any) -> int:
        chosen = list(self.envelopes) if isinstance(queue_ids, Selection) else list(queue_ids)
        found = [e for queue_id in chosen if (e := self.envelope(queue_id)) is not None]
        for envelope in found:
            self.envelopes[envelope.queue_id] = msgspec.msgpack.encode(msgspec.structs.replace(envelope, **values))
        return len(found)

    async def hold(self, queue_ids: Iterable[str] | Selection, now: float = 0.0) -> int:
        return self._change(queue_ids, is_held=True)

    async def release(self, queue_ids: Iterable[str] | Selection, now: float) -> int:
        return self._change(queue_ids, is_held=False, due=now)

    async def requeue(self, queue_ids: Iterable[str] | Selection, now: float) -> int:
        return self._change(queue_ids, is_held=False, due=now)

    async def flush(self, now: float) -> int:
        return self._change([e.queue_id for e in self.all() if not e.is_held], due=now)

    async def delete(self, queue_ids: Iterable[str] | Selection) -> int:
        chosen = list(self.envelopes) if isinstance(queue_ids, Selection) else list(queue_ids)
        found = [queue_id for queue_id in chosen if queue_id in self.envelopes]
        for queue_id in found:
            self.remove(queue_id)
        return len(found)

    def close(self) -> None:
        """Nothing to close."""


class FakeTransport:
    """Answers by next hop: a Status, a report, an exception, or a function of the request; else sent.

    ``gate``: next hops whose deliveries wait for an event.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.requests: list[DeliveryRequest] = []
        self.running: dict[str, int] = {}
        self.peak: dict[str, int] = {}

    @property
    def delivered(self) -> list[str]:
        """``recipient@domain`` of every attempt, in order."""
        return [str(r.address) for request in self.requests for r in request.recipients]

    async def deliver(self, request: DeliveryRequest) -> DeliveryReport:
        hop = request.nexthop
        self.requests.append(request)
        self.running[hop] = self.running.get(hop, 0) + 1
        self.peak[hop] = max(self.peak.get(hop, 0), self.running[hop])
        try:
            if hop in self.gates:
                await self.gates[hop].wait()
            answer = self.answers.get(hop, SENT)
            if callable(answer):
                answer = answer(request)
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, DeliveryReport):
                return answer
            return DeliveryReport([answer] * len(request.recipients))
        finally:
            self.running[hop] -= 1

    def reload(self, config: Config) -> None:
        """Nothing to read."""

    async def close(self) -> None:
        """Nothing to release."""


def unreachable(request: DeliveryRequest) -> DeliveryReport:
    """The report of a next hop that nobody answers at."""
    text = f"connect to {request.nexthop}[192.0.2.1]:25: Connection refused"
    return DeliveryReport([Status(Outcome.DEFERRED, "4.4.1", text)] * len(request.recipients), site_failure=text)


def message(queue_id: str, *recipients: str, sender: str = "me@here.example", **values: Any) -> Envelope:
    """An envelope; recipients in internal form."""
    values.setdefault("arrival", 1_795_354_176.0)
    values.setdefault("size_bytes", CONTENT.size_bytes)
    return Envelope(queue_id, Address.of(sender), [Recipient(Address.of(r)) for r in recipients], **values)


class SchedulerRig:
    """A scheduler with everything it needs; made and used inside a running loop."""

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        services: str = "",
        store: FakeStore | None = None,
        clock: FakeClock | None = None,
        transports: Iterable[str] = ("smtp", "relay", "local", "error"),
        deliver_hook: Any = None,
        delivered_hook: Any = None,
    ) -> None:
        self.config = Config.from_settings(
            {"myhostname": "mx.here.example", "mydestination": "here.example", **(settings or {})}, services=services
        )
        self.clock, self.store, self.transport = clock or FakeClock(), store or FakeStore(), FakeTransport()
        self.transports = dict.fromkeys(transports, self.transport)
        self.log = MailLog.memory()
        self.tables = Tables(self.config)
        self.ids = QueueIds(0)
        self.bouncer = Bouncer(self.config, self, self.ids.next, log=self.log, clock=self.clock)
        self.scheduler = Scheduler(
            self.config,
            self.store,
            self.transports,
            router=Router(self.config, self.tables),
            log=self.log,
            reporter=self.bouncer,
            deliver_hook=deliver_hook,
            delivered_hook=delivered_hook,
            clock=self.clock,
        )
        self._running: asyncio.Task[None] | None = None

    async def submit(self, envelope: Envelope, content: Content) -> None:
        """What the bouncer submits to."""
        await self.scheduler.submit(envelope, content)

    def send(self, *args: Any, **kwargs: Any) -> Envelope:
        """Store a message and hand it to the scheduler, as the spool service does."""
        envelope = message(*args, **kwargs)
        self.store.add(envelope)
        self.scheduler.enqueue(envelope, CONTENT)
        return envelope

    def run(self) -> None:
        """Start the scheduler's loop."""
        self._running = asyncio.get_running_loop().create_task(self.scheduler.run())

    async def stop(self, grace_s: float = 1.0) -> None:
        """Stop it."""
        self.scheduler.stop(grace_s)
        if self._running is None:
            self.run()
        assert self._running is not None
        await self._running

    async def until(self, condition: Callable[[], Any], deadline_s: float = 5.0) -> None:
        """Give the loop turns until the condition holds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        while not condition():
            assert loop.time() < end, f"never true; log: {self.lines()[-20:]}"
            await asyncio.sleep(0)

    async def idle(self) -> None:
        """Until nothing is active."""
        await self.until(lambda: self.scheduler.status()["active"] == 0)

    def lines(self, containing: str = "") -> list[str]:
        """Log lines without time stamp and host, e.g. ``qmgr: 1: removed``."""
        texts = []
        for line in self.log.lines:
            tag, _, text = line.partition("]: ")
            program = tag.partition("[")[0].split("postfix/")[-1]
            if containing in line:
                texts.append(f"{program}: {text}")
        return texts
