"""The loop that asks one compiled restriction list. Source: smtpd(8); access(5) for the actions.

Nothing here suspends unless a restriction does. A restriction that fails is our failure, a 451, never an exception and
never a permission.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

import msgspec

from gateway.model.errors import TableError
from gateway.model.ledger import LedgerEntry
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.net.eager import with_deadline
from gateway.restrictions.progress import Progress
from gateway.restrictions.replies import judged_name, lookup_failure, server_error
from gateway.restrictions.step import Step

Warn = Callable[[str], None]
Observe = Callable[[Session, str, Verdict], None]


async def evaluate(
    steps: Sequence[Step], session: Session, progress: Progress, warn: Warn, observe: Observe | None = None
) -> Verdict | None:
    """Ask each step in turn.

    Args:
        warn: takes the text of a warning about a restriction that failed.
        observe: told each verdict that is noted, not returned, when it is noted.

    Returns:
        OK, REJECT, DEFER or DISCARD, whichever ends the list; None at its end.
    """
    for step in steps:
        started = perf_counter()
        error = ""
        try:
            answer = step.restriction(session)
            if answer is None:
                continue
            if not isinstance(answer, Verdict):
                answer = await (_bounded(answer, step.deadline_s) if step.deadline_s else answer)
                if answer is None:
                    continue
                if not isinstance(answer, Verdict):
                    raise TypeError(f"expected a Verdict or None, not {type(answer).__name__}")
        except TableError as exc:
            error = str(exc)
            answer = lookup_failure(judged_name(session), error)
        except Exception as exc:
            error = f"restriction {step.name}: {type(exc).__name__}: {exc}"
            answer = server_error(error)
            warn(error)
        milliseconds = (perf_counter() - started) * 1000
        answer = _settled(answer, step, progress, is_failure=bool(error))
        _record(session, progress.stage, step.name, answer, milliseconds=milliseconds, error=error)
        action = answer.action
        if action is Action.OK or answer.is_refusal:
            return answer
        if _is_condition(action):
            progress.defer(answer)
            if progress.is_deferred_anyway:
                return None
            continue
        progress.note(answer)
        if observe is not None:
            observe(session, progress.stage, answer)
        if action is Action.DISCARD:
            return answer
    return None


def _is_condition(action: Action) -> bool:
    return action is Action.DEFER_IF_PERMIT or action is Action.DEFER_IF_REJECT


def _settled(answer: Verdict, step: Step, progress: Progress, *, is_failure: bool) -> Verdict:
    """What becomes of an answer: a warning under warn_if_reject, the earlier deferral under defer_if_reject.

    A DEFER_IF_REJECT stands under warn_if_reject too, as in Postfix: it refuses nothing that was not refused.
    """
    if not (answer.is_refusal or _is_condition(answer.action)):
        return answer
    if step.is_warning and not is_failure and answer.action is not Action.DEFER_IF_REJECT:
        # The code tells a refusal that did not happen from access(5)'s WARN.
        return msgspec.structs.replace(answer, action=Action.WARN, close=False, reason=answer.reason or step.name)
    if answer.action is Action.REJECT and progress.defer_if_reject is not None:
        return msgspec.structs.replace(progress.defer_if_reject, action=Action.DEFER)
    if not answer.reason:
        return msgspec.structs.replace(answer, reason=step.name)
    return answer


def _record(session: Session, stage: str, name: str, verdict: Verdict, *, milliseconds: float, error: str) -> None:
    ledger = session.ledger
    if ledger and ledger[-1].verdict is verdict and verdict.is_refusal:
        return  # a table's result was evaluated as a list of its own, and has its entry
    recipient = str(session.recipient) if session.recipient is not None else ""
    ledger.append(LedgerEntry(stage, name, verdict, (), recipient, milliseconds, error))


async def _bounded(answer: Awaitable[Verdict | None], deadline_s: float) -> Verdict | None:
    task = asyncio.ensure_future(answer)
    try:
        return await with_deadline(task, deadline_s)
    except asyncio.CancelledError as exc:
        here = asyncio.current_task()
        if task.cancelled() and (here is None or not here.cancelling()):
            raise RuntimeError("was cancelled by itself") from exc
        raise
