from __future__ import annotations

import asyncio
from typing import Any

from peers.scheduling import (
    SENT,
    SchedulerRig,
    message,
)

from gateway.model.content import Content
from gateway.model.delivery import DeliveryReport, DeliveryRequest, Outcome, Status
from gateway.model.envelope import RecipientState

REFUSED = Status(Outcome.BOUNCED, "5.1.1", "host sink said: 550 no such user", "sink[127.0.0.1]:25", "550 no such user")
LATER = Status(Outcome.DEFERRED, "4.2.0", "host sink said: 450 later", "sink[127.0.0.1]:25", "450 later")


def test_who_got_it_is_stored_while_slower_destinations_go_on() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        rig.transport.gates["slow.example"] = asyncio.Event()
        rig.send("A1", "u@fast.example", "u@slow.example")
        await rig.until(lambda: rig.store.updates)
        states = {str(r.address): r.state for r in rig.store.all()[0].recipients}
        assert states == {"u@fast.example": RecipientState.DONE, "u@slow.example": RecipientState.PENDING}
        rig.transport.gates["slow.example"].set()
        await rig.idle()
        assert rig.store.envelopes == {}
        await rig.stop()

    asyncio.run(main())


def test_a_report_with_too_few_results_delivers_to_nobody() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        rig.transport.answers["a.example"] = DeliveryReport([SENT])
        rig.send("A1", "1@a.example", "2@a.example")
        await rig.idle()
        assert len(rig.store.all()[0].pending) == 2
        await rig.stop()

    asyncio.run(main())


def test_the_deliver_hook_may_decide_or_change_one_attempt() -> None:
    async def main() -> None:
        seen: list[Any] = []

        async def hook(request: DeliveryRequest) -> DeliveryRequest | DeliveryReport:
            if request.nexthop == "no.example":
                return DeliveryReport([Status(Outcome.DEFERRED, "4.7.1", "deferred by policy")])
            request.content = Content(b"X: 1\r\n" + request.content.head, request.content.body)
            request.transport, request.nexthop = "relay", "[changed]"
            return request

        rig = SchedulerRig(
            deliver_hook=hook, delivered_hook=lambda request, report: seen.append((request.nexthop, report.statuses))
        )
        rig.send("A1", "u@yes.example")
        rig.send("A2", "u@no.example")
        await rig.idle()
        assert [(r.transport, r.nexthop, r.content.head[:4]) for r in rig.transport.requests] == [
            ("relay", "[changed]", b"X: 1")
        ]
        assert seen == [("[changed]", [SENT])]
        assert list(rig.store.envelopes) == ["A2"]
        rig.scheduler.set_hooks(None, None)
        assert rig.scheduler.deliver_now("A2")
        await rig.idle()
        assert rig.store.envelopes == {}
        await rig.stop()

    asyncio.run(main())


def test_content_that_cannot_be_read_defers() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        rig.store.add(message("A1", "u@a.example"))
        del rig.store.contents["A1"]
        rig.run()
        await rig.until(lambda: rig.store.updates)
        assert "dsn=4.3.0, status=deferred (queue file read error)" in rig.lines("A1: to=")[0]
        await rig.stop()

    asyncio.run(main())


def test_a_result_of_nonsense_defers_and_frees_the_message() -> None:
    """A plugin's transport or hook may return anything; the message must not stay active for ever."""

    async def main() -> None:
        rig = SchedulerRig()
        for nonsense in (DeliveryReport([None]), None, DeliveryReport(None)):  # type: ignore[list-item, arg-type]
            rig.transport.answers["a.example"] = lambda _, answer=nonsense: answer
            rig.send("A1", "u@a.example")
            await rig.idle()
            assert [r.status for r in rig.store.all()[0].pending] == ["4.3.0"]
            rig.scheduler._dispatcher.flush()
        await rig.stop()

    asyncio.run(main())


def test_a_transport_that_cancels_itself_costs_no_slot() -> None:
    async def main() -> None:
        rig = SchedulerRig()

        def cancelled(_: DeliveryRequest) -> DeliveryReport:
            raise asyncio.CancelledError

        rig.transport.answers["a.example"] = cancelled
        rig.send("A1", "u@a.example")
        await rig.idle()
        assert [r.status for r in rig.store.all()[0].pending] == ["4.3.0"]
        assert rig.scheduler.status()["deliveries"] == 0
        await rig.stop()

    asyncio.run(main())


def test_a_hook_that_names_an_unknown_transport_stops_only_this_attempt() -> None:
    async def main() -> None:
        async def elsewhere(request: DeliveryRequest) -> DeliveryRequest:
            if request.nexthop == "a.example":
                request.transport = "nowhere"
            return request

        rig = SchedulerRig(deliver_hook=elsewhere)
        rig.send("A1", "u@a.example")
        await rig.idle()
        rig.send("B1", "u@b.example")
        await rig.idle()
        assert [e.queue_id for e in rig.store.all()] == ["A1"]
        assert rig.store.all()[0].recipients[0].reason == "mail transport unavailable"
        await rig.stop()

    asyncio.run(main())
