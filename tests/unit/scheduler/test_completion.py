from __future__ import annotations

import asyncio

from peers.scheduling import CONTENT, FakeStore, SchedulerRig, message

from gateway.model.address import Address
from gateway.model.content import Content
from gateway.model.delivery import Outcome, Status
from gateway.model.envelope import Envelope
from gateway.rfc.rfc5322 import find

REFUSED = Status(Outcome.BOUNCED, "5.1.1", "host sink said: 550 no such user", "sink[127.0.0.1]:25", "550 no such user")
LATER = Status(Outcome.DEFERRED, "4.2.0", "host sink said: 450 later", "sink[127.0.0.1]:25", "450 later")
DAY_S = 86400


class Held(SchedulerRig):
    """Notifications stay in the spool, on hold, for the test to look at."""

    async def submit(self, envelope: Envelope, content: Content) -> None:
        envelope.is_held = True
        await super().submit(envelope, content)

    def notifications(self) -> list[tuple[str, str, str]]:
        """(sender, recipient, subject) of each."""
        found = []
        for envelope in self.store.all():
            if envelope.origin == "bounce":
                subject = find(self.store.contents[envelope.queue_id].head, "Subject")
                assert subject is not None
                found.append((str(envelope.sender), str(envelope.recipients[0].address), subject.text))
        return found


def test_a_bounce_is_durable_before_the_message_goes() -> None:
    async def main() -> None:
        rig = Held()
        rig.transport.answers["a.example"] = REFUSED
        rig.send("A1", "u@a.example", "v@b.example")
        await rig.idle()
        bounce = rig.store.all()[0]
        assert rig.store.events[-2:] == [f"put {bounce.queue_id}", "remove A1"]
        assert rig.notifications() == [("", "me@here.example", "Undelivered Mail Returned to Sender")]
        assert rig.lines("A1: ")[-2:] == [
            f"bounce: A1: sender non-delivery notification: {bounce.queue_id}",
            "qmgr: A1: removed",
        ]
        body = rig.store.contents[bounce.queue_id].body
        assert isinstance(body, bytes)
        assert b"<u@a.example>" in body
        assert b"v@b.example" not in body
        await rig.stop()

    asyncio.run(main())


def test_without_a_durable_bounce_nothing_is_removed() -> None:
    async def main() -> None:
        rig = SchedulerRig()
        rig.run()
        rig.transport.answers["a.example"] = REFUSED
        rig.store.failing = True
        rig.send("A1", "u@a.example", "v@b.example")
        await rig.idle()
        assert [str(r.address) for r in rig.store.all()[0].pending] == ["u@a.example"]
        assert rig.lines("cannot queue a notification, deferred: the disk is on strike")
        rig.store.failing = False
        rig.transport.answers["here.example"] = LATER
        rig.clock.now += 300
        rig.scheduler.wake()
        await rig.until(lambda: "A1" not in rig.store.envelopes)
        assert [str(e.sender) for e in rig.store.all()] == [""]
        assert rig.transport.delivered.count("v@b.example") == 1
        await rig.stop()

    asyncio.run(main())


def test_expired_mail_is_returned_with_the_last_reason() -> None:
    async def main() -> None:
        rig = Held({"maximal_queue_lifetime": "1d"})
        rig.transport.answers["a.example"] = LATER
        rig.store.add(message("A1", "u@a.example", arrival=rig.clock.now - DAY_S + 1))
        rig.store.add(message("A2", "u@a.example", arrival=rig.clock.now - DAY_S))
        rig.run()
        await rig.until(lambda: "A2" not in rig.store.envelopes)
        assert "A1" in rig.store.envelopes
        assert "qmgr: A2: from=<me@here.example>, status=expired, returned to sender" in rig.lines()
        assert rig.notifications() == [("", "me@here.example", "Undelivered Mail Returned to Sender")]
        await rig.stop()

    asyncio.run(main())


def test_an_undeliverable_bounce_expires_without_another_bounce() -> None:
    async def main() -> None:
        rig = Held({"bounce_queue_lifetime": "0"})
        rig.transport.answers["a.example"] = LATER
        rig.send("A1", "u@a.example", sender="")
        await rig.idle()
        assert rig.store.envelopes == {}
        assert "qmgr: A1: from=<>, status=expired, returned to sender" in rig.lines()
        await rig.stop()

    asyncio.run(main())


def test_late_mail_is_warned_about_once() -> None:
    async def main() -> None:
        rig = Held({"delay_warning_time": "4h"})
        rig.run()
        rig.transport.answers["a.example"] = LATER
        rig.store.add(message("A1", "u@a.example", arrival=rig.clock.now - 4 * 3600))
        rig.scheduler.wake()
        await rig.until(lambda: len(rig.store.envelopes) == 2)
        await rig.idle()
        assert rig.notifications() == [("", "me@here.example", "Delayed Mail (still being retried)")]
        stored = rig.store.envelope("A1")
        assert stored is not None
        assert stored.warned
        rig.clock.now += 4000
        rig.scheduler.wake()
        await rig.until(lambda: len(rig.transport.requests) == 2)
        await rig.idle()
        assert len(rig.notifications()) == 1
        await rig.stop()

    asyncio.run(main())


def test_success_is_reported_when_it_was_asked_for() -> None:
    async def main() -> None:
        rig = Held()
        envelope = message("A1", "u@a.example", "v@a.example")
        envelope.recipients[0].notify = ("SUCCESS", "FAILURE")
        rig.store.add(envelope)
        rig.scheduler.enqueue(envelope, CONTENT)
        await rig.idle()
        assert rig.notifications() == [("", "me@here.example", "Successful Mail Delivery Report")]
        assert "A1" not in rig.store.envelopes
        assert rig.lines("A1: sender delivery status notification: ")
        await rig.stop()

    asyncio.run(main())


def test_bounces_never_loop() -> None:
    async def main() -> None:
        settings = {"notify_classes": "bounce, 2bounce", "mydestination": "$myhostname"}
        rig = SchedulerRig(settings)
        rig.run()
        rig.transport.answers["a.example"] = REFUSED
        rig.transport.answers["here.example"] = REFUSED  # the sender does not exist
        rig.transport.answers["mx.here.example"] = REFUSED  # nor does the postmaster
        rig.send("A1", "u@a.example")
        await rig.until(lambda: not rig.store.envelopes)
        # A1 → bounce to the sender, and a copy; the bounce fails → 2bounce to postmaster; that and the copy fail → end.
        assert len(rig.lines("status=bounced")) == 4
        assert len(rig.lines("sender non-delivery notification")) == 1
        assert len(rig.lines("postmaster non-delivery notification")) == 2
        assert len(rig.lines("undeliverable postmaster notification discarded")) == 2
        assert str(rig.transport.requests[-1].envelope.sender) == "double-bounce@mx.here.example"
        await rig.stop()

    asyncio.run(main())


def test_a_restart_after_a_crash_repeats_at_most_the_bounce() -> None:
    async def main() -> None:
        class Crash(Exception):
            """The power goes at this moment."""

        class Dying(FakeStore):
            def remove(self, queue_id: str) -> asyncio.Future[None]:
                raise Crash

        # The bounce is stored, then the process dies before the message is removed.
        rig = Held(store=Dying())
        rig.transport.answers["a.example"] = REFUSED
        rig.send("A1", "u@a.example")
        await rig.until(lambda: len(rig.store.envelopes) == 2)
        await rig.stop(grace_s=0)
        after = FakeStore()
        after.envelopes, after.contents = dict(rig.store.envelopes), dict(rig.store.contents)
        second = Held(store=after)
        second.transport.answers["a.example"] = REFUSED
        second.run()
        await second.until(lambda: "A1" not in after.envelopes)
        assert [recipient for _, recipient, _ in second.notifications()] == ["me@here.example"] * 2
        await second.stop()

    asyncio.run(main())


def test_hold_during_an_attempt_keeps_the_message_on_hold() -> None:
    async def main() -> None:
        rig = Held({"maximal_queue_lifetime": "0"})
        rig.transport.answers["a.example"] = LATER
        gate = rig.transport.gates["a.example"] = asyncio.Event()
        rig.send("A1", "u@a.example")
        await rig.until(lambda: rig.transport.requests)
        await rig.scheduler.hold(["A1"])
        gate.set()
        await rig.idle()
        stored = rig.store.all()
        assert [(e.queue_id, e.is_held) for e in stored] == [("A1", True)]
        assert stored[0].sender == Address("me", "here.example")
        await rig.stop()

    asyncio.run(main())
