"""The loop that calls plugins: order, finality, deadlines, failure policies, breaker, ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.hooks import EditList
from gateway.hooks.chain import Chain, Link, Runtime
from gateway.hooks.failure import Breaker, FailurePolicy
from gateway.model.client import Client
from gateway.model.ledger import LedgerEntry
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.observe import Counters, MailLog

NO = Verdict.reject("no")


class Bench:
    """A chain with its surroundings."""

    def __init__(self, *functions: Callable[..., Any], observers: Any = (), **options: Any) -> None:
        self.mail_log, self.counters, self.now = MailLog.memory(), Counters(), 0.0
        self.runtime = Runtime(self.mail_log.logger("smtpd"), self.counters, threads=2, now=lambda: self.now)
        links = [Link(f"p{i}", function, (0,), **options) for i, function in enumerate(functions)]
        self.chain = Chain("mail", links, self.runtime, observers)
        self.session = Session(Client("192.0.2.1"))
        self.noted: list[Verdict] = []

    async def arun(self) -> Verdict | None:
        return await self.chain.run(
            (self.session,), session=self.session, ledger=self.session.ledger, note=self.noted.append
        )

    def run(self) -> Verdict | None:
        return asyncio.run(self.arun())

    @property
    def log(self) -> str:
        return "\n".join(self.mail_log.lines)


def test_first_final_verdict_wins_and_later_plugins_are_not_asked() -> None:
    asked: list[int] = []

    def second(session: Session) -> Verdict:
        asked.append(2)
        return NO

    bench = Bench(lambda s: None, second, lambda s: asked.append(3))
    assert bench.run() is NO
    assert asked == [2]
    assert [(e.author, e.verdict) for e in bench.session.ledger] == [("p1", NO)]


def test_async_reject_is_not_lost_behind_a_sync_plugin() -> None:
    async def late(session: Session) -> Verdict:
        await asyncio.sleep(0)
        return NO

    assert Bench(lambda s: None, late, lambda s: Verdict.ok()).run() is NO


def test_noted_verdicts_do_not_shield_later_plugins() -> None:
    bench = Bench(lambda s: Verdict.hold("odd"), lambda s: Verdict.prepend("X-A: b"), lambda s: NO)
    assert bench.run() is NO
    assert [v.action for v in bench.noted] == [Action.HOLD, Action.PREPEND]


def test_ok_ends_the_stage() -> None:
    verdict = Bench(lambda s: Verdict.ok("known"), lambda s: NO).run()
    assert verdict is not None and verdict.action is Action.OK


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (FailurePolicy.TEMPFAIL, (451, "4.3.0", False)),
        (FailurePolicy.REJECT, (554, "5.3.0", False)),
        (FailurePolicy.SHUTDOWN, (421, "4.3.0", True)),
    ],
)
def test_closed_failure_policies(policy: FailurePolicy, expected: tuple[int, str, bool]) -> None:
    bench = Bench(lambda s: 1 / 0, policy=policy)
    verdict = bench.run()
    assert verdict is not None and (verdict.code, verdict.enhanced, verdict.close) == expected
    assert "plugin p0: mail: ZeroDivisionError: division by zero" in bench.log
    assert "ZeroDivisionError" not in verdict.text, "the client must not learn of our insides"
    assert bench.session.ledger[0].error == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("policy", [FailurePolicy.ACCEPT, FailurePolicy.SKIP])
def test_open_failure_policies_are_counted_and_the_next_plugin_is_asked(policy: FailurePolicy) -> None:
    bench = Bench(lambda s: 1 / 0, lambda s: NO, policy=policy)
    assert bench.run() is NO
    assert bench.counters.snapshot()["plugin.p0.mail.fail_open"] == 1
    assert ("p0" in bench.session.skipped_plugins) is (policy is FailurePolicy.SKIP)


def test_skip_leaves_the_plugin_out_for_the_rest_of_the_session() -> None:
    calls: list[int] = []

    def ill(session: Session) -> None:
        calls.append(1)
        raise RuntimeError("ill")

    bench = Bench(ill, policy=FailurePolicy.SKIP)
    assert bench.run() is None
    assert bench.run() is None
    assert calls == [1]


def test_hold_policy_notes_a_hold() -> None:
    bench = Bench(lambda s: 1 / 0, policy=FailurePolicy.HOLD)
    assert bench.run() is None
    assert [v.action for v in bench.noted] == [Action.HOLD]


@pytest.mark.parametrize(
    "nonsense",
    [
        "REJECT",
        True,
        (554, "no"),
        Verdict(action="REJECT"),  # type: ignore[arg-type]
        Verdict(Action.REJECT, text=b"no"),  # type: ignore[arg-type]
        Verdict(Action.REJECT, code=250),
        Verdict(Action.DEFER, code=554),
    ],
)
def test_nonsense_is_a_failure_not_an_answer(nonsense: object) -> None:
    bench = Bench(lambda s: nonsense)
    verdict = bench.run()
    assert verdict is not None and verdict.code == 451
    assert "plugin p0: mail: " in bench.log and "returned" in bench.log


def test_a_coroutine_that_never_ends_is_left_behind() -> None:
    async def forever(session: Session) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:  # hostile: swallows its cancellation
                if bench.counters.snapshot().get("released"):
                    raise

    bench = Bench(forever, deadline_s=0.05)

    async def scenario() -> Verdict | None:
        verdict = await bench.arun()
        bench.counters.add("released")
        return verdict

    verdict = asyncio.run(scenario())
    assert verdict is not None and verdict.code == 451
    assert "no answer within 0.05s" in bench.log


def test_a_plugin_that_cancels_itself_does_not_cancel_its_caller() -> None:
    async def suicidal(session: Session) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    def raising(session: Session) -> None:
        raise asyncio.CancelledError

    for function in (suicidal, raising):
        verdict = Bench(function).run()
        assert verdict is not None and verdict.code == 451


def test_our_own_cancellation_goes_through() -> None:
    async def slow(session: Session) -> None:
        await asyncio.sleep(3600)

    bench = Bench(slow)

    async def scenario() -> None:
        task = asyncio.ensure_future(bench.arun())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert bench.session.ledger == []


def test_a_sync_plugin_that_hangs_is_interrupted() -> None:
    def hangs(session: Session) -> None:
        time.sleep(60)

    def spins(session: Session) -> None:
        while True:
            pass

    for function in (hangs, spins):
        bench = Bench(function, deadline_s=0.2)
        bench.runtime.watchdog.start()
        try:
            began = time.monotonic()
            verdict = bench.run()
        finally:
            bench.runtime.close()
        assert verdict is not None and verdict.code == 451
        assert time.monotonic() - began < 10
        assert "PluginHung" in bench.log


def test_an_async_plugin_that_spins_is_interrupted() -> None:
    async def spins(session: Session) -> None:
        while True:
            pass

    bench = Bench(spins, deadline_s=0.2)
    bench.runtime.watchdog.start()
    try:
        verdict = bench.run()
    finally:
        bench.runtime.close()
    assert verdict is not None and verdict.code == 451


def test_blocking_runs_in_a_thread_and_the_pool_is_bounded() -> None:
    import threading

    gate, threads = threading.Event(), set()

    def blocks(session: Session) -> Verdict:
        threads.add(threading.current_thread().name)
        gate.wait(10)
        return NO

    bench = Bench(blocks, is_blocking=True)

    async def scenario() -> list[Verdict | None]:
        waiting = [asyncio.ensure_future(bench.arun()) for _ in range(9)]
        for _ in range(3):
            await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*waiting)

    verdicts = asyncio.run(scenario())
    bench.runtime.close()
    assert [v.code for v in verdicts if v] == [554] * 8 + [451]
    assert "thread pool is full" in bench.log
    assert threads and all(name.startswith("plugin") for name in threads)


def test_breaker_opens_after_failures_and_one_call_tries_again() -> None:
    calls: list[float] = []
    healthy = False

    def flaky(session: Session) -> None:
        calls.append(bench.now)
        if not healthy:
            raise RuntimeError("ill")

    bench = Bench(flaky, breaker=Breaker(3, 60.0))
    for _ in range(5):
        assert bench.run() is not None
    assert len(calls) == 3, "two calls were spared"
    assert "suspended after 3 failures in a row" in bench.log
    bench.now, healthy = 61.0, True
    assert bench.run() is None
    assert bench.run() is None
    assert len(calls) == 5
    assert "answers again" in bench.log


def test_edits_of_a_plugin_that_fails_are_dropped_and_others_are_taken_in_order() -> None:
    def adds(session: Session, edits: EditList) -> None:
        edits.add_header("X-One", "1")

    def fails(session: Session, edits: EditList) -> None:
        edits.add_header("X-Two", "2")
        raise RuntimeError("half-way")

    bench = Bench()
    links = [
        Link("adds", adds, (0,), pen_at=1),
        Link("fails", fails, (0,), pen_at=1, policy=FailurePolicy.ACCEPT),
    ]
    chain = Chain("data", links, bench.runtime)
    taken: list[object] = []
    asyncio.run(
        chain.run((bench.session,), session=bench.session, ledger=bench.session.ledger, note=print, take=taken.extend)
    )
    assert [edit.name for edit in taken] == ["X-One"]  # type: ignore[attr-defined]


def test_observers_see_others_verdicts_and_cannot_disturb() -> None:
    seen: list[tuple[str, str]] = []

    def watches(session: Session | None, entry: LedgerEntry) -> None:
        seen.append((entry.stage, entry.author))
        raise RuntimeError("observer is ill")

    bench = Bench(lambda s: NO, observers=[("p0", watches), ("watcher", watches)])
    assert bench.run() is NO
    assert seen == [("mail", "p0")], "its own verdict is not shown to p0"
    assert "plugin watcher: verdict: RuntimeError: observer is ill" in bench.log


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict.prepend("X-A: b\r\n\r\nbody"),
        Verdict.prepend("no header"),
        Verdict.redirect(""),
        Verdict.redirect("a@b.example\r\nDATA"),
        Verdict.bcc("a\0@b.example"),
        Verdict.filter("smtp:[192.0.2.1]\n"),
        Verdict.reject("half a pair: \ud800"),
    ],
)
def test_operands_that_could_break_the_message_are_a_failure(verdict: Verdict) -> None:
    """Plugins often pass on what they read; nothing of it may become a second header, command or reply."""
    bench = Bench(lambda session: verdict)
    answer = bench.run()
    assert answer is not None and (answer.action, answer.code) == (Action.DEFER, 451)
    assert bench.noted == []


def test_a_folded_header_may_be_prepended() -> None:
    bench = Bench(lambda session: Verdict.prepend("X-A: b\n\tc"))
    assert bench.run() is None
    assert len(bench.noted) == 1
