from __future__ import annotations

import asyncio
from typing import Any

import pytest
from peers.scheduling import (
    CONTENT,
    SENT,
    FakeStore,
    SchedulerRig,
    message,
    unreachable,
)

from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.delivery import DeliveryReport, Outcome, Status
from gateway.model.envelope import Envelope, RecipientState
from gateway.model.errors import SpoolError
from gateway.scheduler import Router
from gateway.scheduler.transport_map import TransportMap
from gateway.spool.interface import ALL

REFUSED = Status(Outcome.BOUNCED, "5.1.1", "host sink said: 550 no such user", "sink[127.0.0.1]:25", "550 no such user")
LATER = Status(Outcome.DEFERRED, "4.2.0", "host sink said: 450 later", "sink[127.0.0.1]:25", "450 later")


def test_a_message_goes_straight_from_its_commit_to_the_next_hop_and_away() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        rig.send("A1", "u@a.example")
        await rig.idle()
        assert rig.lines() == [
            "qmgr: A1: from=<me@here.example>, size=24, nrcpt=1 (queue active)",
            "smtp: A1: to=<u@a.example>, relay=sink[127.0.0.1]:25, delay=0, delays=0/0/0/0, dsn=2.0.0, "
            "status=sent (250 ok)",
            "qmgr: A1: removed",
        ]
        assert rig.store.events == ["remove A1"]
        request = rig.transport.requests[0]
        assert (request.content, request.sender, request.transport) == (CONTENT, "me@here.example", "smtp")
        await rig.stop()

    asyncio.run(main())


def test_a_deferred_message_waits_in_the_spool_and_comes_back_when_due() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        rig.transport.answers["a.example"] = LATER
        rig.run()
        rig.send("A1", "u@a.example")
        await rig.idle()
        stored = rig.store.all()[0]
        assert (stored.due - rig.clock.now, stored.attempts) == (300, 1)
        assert (stored.recipients[0].status, stored.recipients[0].reason) == ("4.2.0", LATER.text)
        rig.clock.now += 299
        looked = rig.store.due_calls
        rig.scheduler.wake()
        await rig.until(lambda: rig.store.due_calls > looked)
        assert len(rig.transport.requests) == 1
        rig.clock.now += 1
        rig.transport.answers.clear()
        rig.scheduler.wake()
        await rig.until(lambda: not rig.store.envelopes)
        assert "delay=300, delays=300/0/0/0" in rig.lines("status=sent")[0]
        assert rig.transport.requests[1].content == CONTENT
        await rig.stop()

    asyncio.run(main())


def test_the_next_start_takes_over_what_was_left() -> None:
    async def main() -> None:
        store = FakeStore()
        for number in range(500):
            store.add(message(f"A{number:03}", f"u@d{number % 7}.example", due=float(number)))
        store.add(message("HELD", "u@a.example", is_held=True))
        rig = SchedulerRig(store=store)
        rig.run()
        await rig.until(lambda: len(store.envelopes) == 1)
        assert len(rig.transport.requests) == 500
        assert list(store.envelopes) == ["HELD"]
        await rig.stop()

    asyncio.run(main())


def test_a_message_whose_recipients_are_all_done_is_removed_at_start() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        envelope = message("A1", "u@a.example")
        envelope.recipients[0].state = RecipientState.DONE
        rig.store.add(envelope)
        rig.run()
        await rig.until(lambda: not rig.store.envelopes)
        assert rig.transport.requests == []
        await rig.stop()

    asyncio.run(main())


def test_a_message_is_never_started_twice() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        rig.transport.gates["a.example"] = asyncio.Event()
        envelope = rig.send("A1", "u@a.example")
        rig.scheduler.enqueue(envelope, CONTENT)
        rig.run()
        await rig.until(lambda: rig.store.due_calls)
        assert len(rig.transport.requests) == 1
        rig.transport.gates["a.example"].set()
        await rig.idle()
        # The spool showed this one before its commit was told: pulled, delivered and gone before enqueue() comes.
        late = message("A2", "u@b.example")
        rig.store.add(late)
        rig.scheduler.wake()
        await rig.until(lambda: not rig.store.envelopes)
        rig.scheduler.enqueue(late, CONTENT)
        await rig.idle()
        assert rig.transport.delivered == ["u@a.example", "u@b.example"]
        await rig.stop()

    asyncio.run(main())


def test_held_mail_is_not_tried_until_released() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        rig.run()
        rig.send("A1", "u@a.example", is_held=True)
        assert not rig.scheduler.deliver_now("A1")
        assert await rig.scheduler.release(["A1"]) == 1
        await rig.until(lambda: not rig.store.envelopes)
        assert rig.transport.delivered == ["u@a.example"]
        await rig.stop()

    asyncio.run(main())


def test_hold_and_delete_reach_into_the_active_queue() -> None:
    async def main() -> None:
        rig = SchedulerRig({"initial_destination_concurrency": "1"})
        gate = rig.transport.gates["a.example"] = asyncio.Event()
        for name in ("RUNS", "HOLD", "GONE", "BACK", "LAST"):
            rig.send(name, "u@a.example")
        await rig.until(lambda: rig.transport.requests)
        assert await rig.scheduler.hold(["HOLD", "BACK", "NONE"]) == 2
        assert await rig.scheduler.delete(["GONE", "RUNS"]) == 2
        assert await rig.scheduler.release(["BACK"]) == 1
        gate.set()
        await rig.idle()
        # The attempt that ran has ended; the other deleted one was never tried; the held one waits.
        assert [request.envelope.queue_id for request in rig.transport.requests] == ["RUNS", "BACK", "LAST"]
        assert [(e.queue_id, e.is_held) for e in rig.store.all()] == [("HOLD", True)]
        assert not rig.lines("RUNS: removed")
        assert await rig.scheduler.requeue(ALL) == 1
        rig.run()
        await rig.until(lambda: not rig.store.envelopes)
        await rig.stop()

    asyncio.run(main())


def test_deliver_now_tries_one_message() -> None:
    async def main() -> None:
        rig = SchedulerRig({"initial_destination_concurrency": "1"})
        rig.transport.answers["a.example"] = unreachable
        rig.send("A1", "u@a.example")
        rig.send("A2", "u@a.example")
        await rig.idle()
        rig.transport.answers.clear()
        assert rig.scheduler.deliver_now("A1")
        assert rig.scheduler.deliver_now("A1")
        assert not rig.scheduler.deliver_now("NONE")
        await rig.idle()
        assert list(rig.store.envelopes) == ["A2"]
        await rig.stop()

    asyncio.run(main())


def test_stop_lets_running_attempts_end_and_leaves_the_rest_for_the_next_start() -> None:
    async def main() -> None:
        rig = SchedulerRig({"initial_destination_concurrency": "1"})
        rig.run()
        gate = rig.transport.gates["a.example"] = asyncio.Event()
        stuck = rig.transport.gates["stuck.example"] = asyncio.Event()
        rig.send("A1", "u@a.example")
        rig.send("A2", "u@a.example")
        rig.send("B1", "u@stuck.example")
        await rig.until(lambda: len(rig.transport.requests) == 2)
        asyncio.get_running_loop().call_later(0.01, gate.set)
        await rig.stop(grace_s=0.1)
        rig.send("A3", "u@c.example")
        assert sorted(rig.store.envelopes) == ["A2", "A3", "B1"]
        assert all(e.attempts == 0 and e.pending for e in rig.store.all())
        assert not stuck.is_set()
        assert len(rig.transport.requests) == 2

    asyncio.run(main())


def test_reload_loses_nothing() -> None:
    async def main() -> None:
        rig = SchedulerRig({"initial_destination_concurrency": "1"})
        rig.run()
        gate = rig.transport.gates["a.example"] = asyncio.Event()
        rig.send("A1", "u@a.example", "u@b.example")
        rig.send("A2", "u@a.example")
        rig.send("A3", "u@a.example")
        await rig.until(lambda: len(rig.transport.requests) == 2)
        new = SchedulerRig({"transport_maps": "inline:{ {a.example=smtp:[other]} }"})
        rig.scheduler.reload(new.config, new.transports, Router(new.config, Tables(new.config)), new.bouncer)
        await new.until(lambda: {"A2", "A3"}.isdisjoint(rig.store.envelopes))
        assert [request.nexthop for request in new.transport.requests] == ["[other]", "[other]"]
        gate.set()
        await rig.scheduler.retired(1.0)
        assert rig.store.envelopes == {}
        assert len(rig.transport.requests) == 2
        await rig.stop()

    asyncio.run(main())


def test_a_spool_that_cannot_be_read_is_asked_again() -> None:
    class Broken(FakeStore):
        def due(self, *args: Any, **kwargs: Any) -> Any:
            self.due_calls += 1
            if self.due_calls < 3:
                raise SpoolError("input/output error")
            return super().due(*args, **kwargs)

    async def main() -> None:
        rig = SchedulerRig(store=Broken())
        rig.store.add(message("A1", "u@a.example"))
        rig.run()
        await rig.until(lambda: rig.scheduler.wake() or not rig.store.envelopes)
        assert rig.lines("cannot read the queue: input/output error")
        await rig.stop()

    asyncio.run(main())


def test_status_counts() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        rig.transport.gates["a.example"] = asyncio.Event()
        rig.send("A1", "u@a.example")
        rig.store.add(message("A2", "u@a.example", is_held=True))
        await rig.until(lambda: rig.transport.requests)
        assert rig.scheduler.status() == {
            "active": 1, "deferred": 0, "hold": 1, "destinations": 1, "dead_destinations": 0, "deliveries": 1,
        }  # fmt: skip
        assert rig.scheduler.is_active("A1")
        assert not rig.scheduler.is_active("A2")
        await rig.stop(grace_s=0)
        assert Address.of("u@a.example") == rig.store.all()[0].recipients[0].address

    asyncio.run(main())


def test_a_delivery_that_ends_after_stop_still_gets_its_bounce_and_keeps_its_results() -> None:
    """Who got the mail must not get it again at the next start because the bounce for another was under way."""

    async def main() -> None:
        rig = SchedulerRig()
        rig.transport.gates["a.example"] = asyncio.Event()
        rig.transport.answers["a.example"] = DeliveryReport([SENT, REFUSED])
        rig.run()
        rig.send("A1", "1@a.example", "2@a.example")
        await rig.until(lambda: rig.transport.requests)
        put = rig.store.put

        async def slow_put(*args: Any) -> None:
            for _ in range(5):  # an fsync takes some turns of the loop
                await asyncio.sleep(0)
            await put(*args)

        rig.store.put = slow_put  # type: ignore[method-assign]
        stopping = asyncio.ensure_future(rig.stop())
        await rig.until(lambda: rig.scheduler._is_stopped)
        rig.transport.gates["a.example"].set()
        await stopping
        assert [e.sender for e in rig.store.all()] == [Address.NULL]

    asyncio.run(main())


def _broken(*_: Any) -> bool:
    raise KeyError("bug")


def test_a_routing_bug_defers_and_frees_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        rig = SchedulerRig()
        monkeypatch.setattr(TransportMap, "__bool__", _broken)
        rig.send("A1", "u@a.example")
        await rig.idle()
        assert rig.store.all()[0].recipients[0].status == "4.3.0"
        await rig.stop()

    asyncio.run(main())


def test_what_is_durable_is_not_reported_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickup would post it again at each look, the bouncer would bounce again."""

    async def main() -> None:
        rig = SchedulerRig()
        monkeypatch.setattr(Envelope, "pending", property(_broken))
        await rig.scheduler.submit(message("A1", "u@a.example"), CONTENT)
        assert [e.queue_id for e in rig.store.all()] == ["A1"]
        assert rig.lines("it stays queued")
        await rig.stop()

    asyncio.run(main())
