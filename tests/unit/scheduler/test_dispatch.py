from __future__ import annotations

import asyncio

from peers.scheduling import (
    SchedulerRig,
    unreachable,
)

from gateway.config import Config
from gateway.maps import Table, Tables
from gateway.model.delivery import Outcome, Status
from gateway.scheduler import Router

REFUSED = Status(Outcome.BOUNCED, "5.1.1", "host sink said: 550 no such user", "sink[127.0.0.1]:25", "550 no such user")
LATER = Status(Outcome.DEFERRED, "4.2.0", "host sink said: 450 later", "sink[127.0.0.1]:25", "450 later")


def test_recipients_are_grouped_by_next_hop_and_cut_at_the_recipient_limit() -> None:
    async def main() -> None:
        rig = SchedulerRig({"smtp_destination_recipient_limit": "2"})
        rig.send("A1", "1@a.example", "1@b.example", "2@a.example", "3@a.example")
        await rig.idle()
        groups = [[str(r.address) for r in request.recipients] for request in rig.transport.requests]
        assert sorted(groups) == [["1@a.example", "2@a.example"], ["1@b.example"], ["3@a.example"]]
        assert rig.store.envelopes == {}
        await rig.stop()

    asyncio.run(main())


def test_a_routed_address_is_delivered_to_what_it_resolves_to_and_reported_as_it_was_given() -> None:
    async def main() -> None:
        rig = SchedulerRig({"mydestination": "here.example", "myhostname": "here.example"})
        rig.send("A1", "u%far.example@here.example")
        await rig.idle()
        (request,) = rig.transport.requests
        (recipient,) = request.recipients
        assert (request.nexthop, str(recipient.address)) == ("far.example", "u@far.example")
        assert recipient.original == "u%far.example@here.example"
        await rig.stop()

    asyncio.run(main())


def test_one_dead_and_one_slow_destination_do_not_delay_a_fast_one() -> None:
    async def main() -> None:
        rig = SchedulerRig({"qmgr_message_active_limit": "100", "maximal_backoff_time": "300s"})
        rig.transport.answers["dead.example"] = unreachable
        rig.transport.gates["slow.example"] = asyncio.Event()
        rig.run()
        for number in range(400):
            rig.send(f"S{number:03}", "u@slow.example")
            rig.send(f"D{number:03}", "u@dead.example")
        await rig.until(lambda: rig.scheduler.status()["dead_destinations"] == 1)
        for number in range(300):
            rig.send(f"F{number:03}", "u@fast.example")
            await rig.until(lambda: f"F{number:03}" not in rig.store.envelopes)  # noqa: B023
        assert rig.transport.delivered.count("u@fast.example") == 300
        # The slow one has its five connections, the dead one its five attempts; everything else is in the spool.
        assert rig.transport.peak["slow.example"] == 5
        assert rig.transport.delivered.count("u@dead.example") <= 5
        assert rig.scheduler.status()["active"] <= 100
        rig.transport.gates["slow.example"].set()

        def all_slow_mail_is_out() -> bool:
            rig.clock.now += 10
            rig.scheduler.wake()
            return rig.transport.delivered.count("u@slow.example") == 400

        await rig.until(all_slow_mail_is_out)
        assert len([name for name in rig.store.envelopes if name.startswith("D")]) == 400
        await rig.stop()

    asyncio.run(main())


def test_a_full_active_queue_leaves_mail_in_the_spool_until_there_is_room() -> None:
    async def main() -> None:
        rig = SchedulerRig({"qmgr_message_active_limit": "10"})
        for letter in "abcdefghijklmno":
            rig.transport.gates[f"{letter}.example"] = asyncio.Event()
            rig.send(f"Q{letter}", f"u@{letter}.example")
        assert rig.scheduler.status()["active"] == 10
        rig.run()
        for gate in rig.transport.gates.values():
            gate.set()
        await rig.until(lambda: not rig.store.envelopes)
        assert len(rig.transport.requests) == 15
        await rig.stop()

    asyncio.run(main())


def test_flush_makes_deferred_mail_and_dead_destinations_try_again() -> None:
    async def main() -> None:
        rig = SchedulerRig({"initial_destination_concurrency": "1"})
        rig.run()
        rig.transport.answers["a.example"] = unreachable
        rig.transport.answers["b.example"] = LATER
        for name, domain in (("A1", "a"), ("A2", "a"), ("B1", "b")):
            rig.send(name, f"u@{domain}.example")
        await rig.idle()
        assert rig.transport.delivered == ["u@a.example", "u@b.example"]
        assert rig.lines("A2: to=<")[0].startswith("error: ")
        assert (
            "dsn=4.4.1, status=deferred (delivery temporarily suspended: connect to a.example" in rig.lines("A2: to")[0]
        )
        rig.transport.answers.clear()
        assert await rig.scheduler.flush("B.example") == 1
        await rig.until(lambda: "B1" not in rig.store.envelopes)
        assert await rig.scheduler.flush() == 2
        await rig.until(lambda: not rig.store.envelopes)
        await rig.stop()

    asyncio.run(main())


def test_deferred_transports_wait_for_a_flush() -> None:
    async def main() -> None:
        rig = SchedulerRig({"defer_transports": "smtp"})
        rig.run()
        rig.send("A1", "u@a.example")
        await rig.idle()
        assert "dsn=4.3.2, status=deferred (deferred transport)" in rig.lines("to=<u@a")[0]
        await rig.scheduler.flush()
        await rig.until(lambda: not rig.store.envelopes)
        await rig.stop()

    asyncio.run(main())


def test_filter_destination_of_the_envelope_overrides_the_route() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        rig.send("A1", "u@a.example", "u@b.example", filter="relay:[127.0.0.1]:10025")
        await rig.idle()
        assert [(r.transport, r.nexthop, len(r.recipients)) for r in rig.transport.requests] == [
            ("relay", "[127.0.0.1]:10025", 2)
        ]
        await rig.stop()

    asyncio.run(main())


def test_mail_to_the_double_bounce_address_is_discarded() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        for name in ("A1", "A2"):
            rig.send(name, "double-bounce@mx.here.example")
        await rig.idle()
        assert rig.transport.requests == []
        assert "qmgr: A2: to=<double-bounce@mx.here.example>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, " \
            "status=sent (undeliverable postmaster notification discarded)" in rig.lines()  # fmt: skip
        assert rig.store.envelopes == {}
        await rig.stop()

    asyncio.run(main())


def test_routes_that_cannot_be_found_now_defer() -> None:
    async def main() -> None:
        rig = SchedulerRig({"transport_maps": "fail:nowhere"})
        rig.send("A1", "u@a.example", "u@b.example")
        rig.send("A2", "u@a.example")
        await rig.idle()
        assert len(rig.lines("dsn=4.3.0, status=deferred (temporary lookup failure)")) == 3
        assert len(rig.lines("warning: A1: table fail:nowhere")) == 1
        assert [e.due - rig.clock.now for e in rig.store.all()] == [300, 300]
        await rig.stop()

    asyncio.run(main())


def test_a_transport_that_does_not_exist_defers() -> None:
    async def main() -> None:
        rig = SchedulerRig({"transport_maps": "inline:{ {a.example=nosuch:x} }"})
        rig.send("A1", "u@a.example")
        await rig.idle()
        assert "error: A1: to=<u@a.example>, relay=none" in rig.lines("A1: to")[0]
        assert "dsn=4.3.0, status=deferred (mail transport unavailable)" in rig.lines("A1: to")[0]
        assert rig.lines("nosuch: there is no such service")
        await rig.stop()

    asyncio.run(main())


def test_a_transport_that_breaks_rests_and_its_mail_stays() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        rig.transport.answers["a.example"] = RuntimeError("bug")
        rig.send("A1", "u@a.example")
        await rig.idle()
        rig.send("A2", "u@b.example")
        await rig.idle()
        assert len(rig.lines("status=deferred (unknown mail transport error)")) == 2
        assert rig.lines("transport smtp failure: RuntimeError: bug")
        rig.clock.now += 61
        rig.transport.answers.clear()
        rig.run()
        assert rig.scheduler.deliver_now("A1")
        await rig.idle()
        assert list(rig.store.envelopes) == ["A2"]
        await rig.stop()

    asyncio.run(main())


def test_recipients_of_their_own_get_their_own_concurrency() -> None:
    async def main() -> None:
        rig = SchedulerRig()  # local: one recipient per delivery, two at a time for each
        rig.transport.gates["mx.here.example"] = asyncio.Event()
        for number in range(6):
            rig.send(f"A{number}", "one@here.example", "two@here.example")
        await rig.until(lambda: rig.transport.running.get("mx.here.example") == 4)
        assert all(len(request.recipients) == 1 for request in rig.transport.requests)
        rig.transport.gates["mx.here.example"].set()
        await rig.idle()
        assert rig.transport.peak["mx.here.example"] == 4
        assert rig.store.envelopes == {}
        await rig.stop()

    asyncio.run(main())


def test_a_route_that_was_being_looked_up_at_a_reload_is_used_by_the_new_configuration() -> None:
    class Slow(Table):
        def __init__(self) -> None:
            super().__init__("slow:table")
            self.gate = asyncio.Event()

        async def find(self, key: str) -> str | None:
            await self.gate.wait()
            return "relay:[hub]" if key == "a.example" else None

    async def main() -> None:
        rig = SchedulerRig()
        slow = Slow()
        config = Config.from_settings({"myhostname": "mx.here.example", "transport_maps": "slow:table"})
        router = Router(config, Tables(config, types={"slow": lambda name, config: slow}))
        rig.scheduler.reload(config, rig.transports, router)
        rig.send("A1", "u@a.example")
        rig.scheduler.reload(rig.config, rig.transports, Router(rig.config, rig.tables))
        assert rig.scheduler.is_active("A1")
        slow.gate.set()
        await rig.idle()
        assert [(r.transport, r.nexthop) for r in rig.transport.requests] == [("relay", "[hub]")]
        assert rig.store.envelopes == {}
        await rig.stop()

    asyncio.run(main())
