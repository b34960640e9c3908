"""What the engine remembers."""

from __future__ import annotations

from gateway.model.client import Client
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions.progress import Progress, is_discarded, progress_of


def test_one_a_session() -> None:
    session = Session(Client("192.0.2.1"))
    progress = progress_of(session)
    assert progress_of(session) is progress
    session.notes["restrictions"] = "something else"
    assert isinstance(progress_of(session), Progress)


def test_notes_are_kept_once() -> None:
    progress = Progress()
    for text in ("<a>: x", "<b>: x"):
        progress.note(Verdict(Action.PREPEND, text, argument="X: y"))
        progress.note(Verdict(Action.HOLD, text))
        progress.note(Verdict(Action.HOLD, text))
    assert [verdict.action for verdict in progress.notes] == [Action.PREPEND, Action.HOLD, Action.HOLD]


def test_discarded() -> None:
    session = Session(Client("192.0.2.1"))
    session.actions.append(Verdict.hold())
    assert not is_discarded(session)
    session.actions.append(Verdict.discard())
    assert is_discarded(session)
    session.reset()
    assert not is_discarded(session)
    session.connection_actions.append(Verdict.discard())
    assert is_discarded(session)
