"""The loop: order, notes, conditions, failures, deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.errors import TableError
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions.evaluation import evaluate
from gateway.restrictions.progress import Progress, progress_of
from gateway.restrictions.step import Step

REJECT = Verdict.reject("no")


def session() -> Session:
    made = Session(Client("192.0.2.1"))
    made.sender, made.recipient = Address("s", "a"), Address("r", "b")
    return made


def answering(answer: Any) -> Callable[[Session], Any]:
    return lambda _session: answer


def run(*steps: Step, on: Session | None = None) -> tuple[Verdict | None, Session, list[str]]:
    subject, warnings = on or session(), []
    progress = progress_of(subject)
    progress.stage, progress.notes = "rcpt", subject.actions
    verdict = asyncio.run(evaluate(steps, subject, progress, warnings.append))
    return verdict, subject, warnings


def test_the_first_decision_ends_the_list() -> None:
    verdict, seen, _ = run(Step("a", answering(None)), Step("b", answering(REJECT)), Step("c", answering(Verdict.ok())))
    assert verdict is not None
    assert (verdict.text, verdict.reason) == ("no", "b")
    assert [(entry.stage, entry.author, entry.recipient) for entry in seen.ledger] == [("rcpt", "b", "r@b")]


def test_notes_do_not_end_it() -> None:
    verdict, seen, _ = run(
        Step("a", answering(Verdict.hold("x"))),
        Step("b", answering(Verdict.prepend("X: y"))),
        Step("b", answering(Verdict.prepend("X: y"))),
        Step("c", answering(Verdict.ok())),
        Step("d", answering(REJECT)),
    )
    assert verdict == Verdict.ok()
    assert [each.action for each in seen.actions] == [Action.HOLD, Action.PREPEND]
    assert len(seen.ledger) == 4


def test_discard_is_noted_and_ends_it() -> None:
    verdict, seen, _ = run(Step("a", answering(Verdict.discard())), Step("b", answering(REJECT)))
    assert verdict is not None
    assert verdict.action is Action.DISCARD
    assert [each.action for each in seen.actions] == [Action.DISCARD]


def test_a_warned_refusal_is_a_warning_with_a_code() -> None:
    verdict, seen, _ = run(Step("a", answering(REJECT), is_warning=True))
    assert verdict is None
    (noted,) = seen.actions
    assert (noted.action, noted.code, noted.reason) == (Action.WARN, 554, "a")


def test_defer_if_reject_replaces_a_rejection_and_not_a_deferral() -> None:
    condition = Step("c", answering(Verdict(Action.DEFER_IF_REJECT, "wait", 450, "4.0.0")))
    verdict, _, _ = run(condition, Step("r", answering(REJECT)))
    assert verdict is not None
    assert (verdict.action, verdict.text, verdict.reason) == (Action.DEFER, "wait", "c")
    verdict, _, _ = run(condition, Step("d", answering(Verdict.defer("busy"))))
    assert verdict is not None
    assert verdict.text == "busy"


def test_both_conditions_end_the_list() -> None:
    verdict, seen, _ = run(
        Step("p", answering(Verdict(Action.DEFER_IF_PERMIT, "first", 450))),
        Step("p", answering(Verdict(Action.DEFER_IF_PERMIT, "second", 450))),
        Step("r", answering(Verdict(Action.DEFER_IF_REJECT, "third", 450))),
        Step("x", answering(REJECT)),
    )
    assert verdict is None
    kept = progress_of(seen).defer_if_permit
    assert kept is not None
    assert kept.text == "first"


def raising(error: BaseException) -> Callable[[Session], Verdict | None]:
    def restriction(_session: Session) -> Verdict | None:
        raise error

    return restriction


def test_a_deferral_of_later_refusals_is_no_refusal_that_a_warning_could_replace() -> None:
    deferral = Verdict(Action.DEFER_IF_REJECT, "later", 450, "4.7.1")
    verdict, seen, _ = run(Step("a", answering(deferral), is_warning=True), Step("b", answering(REJECT)))
    assert verdict is not None
    assert (verdict.action, verdict.text) == (Action.DEFER, "later")
    assert seen.actions == []


def test_a_failing_table_is_a_temporary_refusal_also_under_warn_if_reject() -> None:
    for is_warning in (False, True):
        verdict, seen, _ = run(Step("a", raising(TableError("t", "down")), is_warning=is_warning))
        assert verdict is not None
        assert (verdict.code, verdict.text, verdict.reason) == (
            451, "<r@b>: Temporary lookup failure", "table t: down",
        )  # fmt: skip
        assert seen.ledger[0].error == "table t: down"


def test_a_crash_is_a_temporary_refusal_and_a_warning() -> None:
    verdict, _, warnings = run(Step("a", raising(ValueError("oops"))), Step("b", answering(Verdict.ok())))
    assert verdict is not None
    assert (verdict.code, verdict.text) == (451, "Server configuration error")
    assert warnings == ["restriction a: ValueError: oops"]


@pytest.mark.parametrize("nonsense", ["OK", 0, False, Action.OK])
def test_nonsense_never_permits(nonsense: object) -> None:
    async def later(_session: Session) -> object:
        return nonsense

    for restriction in (answering(nonsense), later):
        verdict, _, warnings = run(Step("a", restriction))  # type: ignore[arg-type]
        assert verdict is not None
        assert verdict.code == 451
        assert len(warnings) == 1


def test_async_restrictions_and_their_deadline() -> None:
    async def refuse(_session: Session) -> Verdict:
        await asyncio.sleep(0)
        return REJECT

    async def hang(_session: Session) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError

    async def cancel(_session: Session) -> Verdict:
        raise asyncio.CancelledError

    verdict, _, _ = run(Step("a", refuse, deadline_s=5.0))
    assert verdict is not None
    assert verdict.text == "no"
    for broken, message in ((hang, "TimeoutError"), (cancel, "was cancelled by itself")):
        verdict, _, warnings = run(Step("a", broken, deadline_s=0.01))
        assert verdict is not None
        assert verdict.code == 451
        assert message in warnings[0]


def test_cancelling_the_caller_is_no_failure_of_the_restriction() -> None:
    async def hang(_session: Session) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> bool:
        made = session()
        task = asyncio.create_task(
            evaluate([Step("a", hang, deadline_s=60.0)], made, Progress(), lambda text: None)  # type: ignore[arg-type]
        )
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())


def test_an_observer_hears_notes_at_once() -> None:
    heard: list[tuple[str, Action]] = []
    made = session()
    progress = Progress()
    progress.stage = "mail"

    def observe(_session: Session, stage: str, verdict: Verdict) -> None:
        heard.append((stage, verdict.action))

    steps = [Step("a", answering(Verdict.hold()))]
    asyncio.run(evaluate(steps, made, progress, lambda text: None, observe))
    assert heard == [("mail", Action.HOLD)]
