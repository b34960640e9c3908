"""What the engine remembers about a session between two evaluations; lives in ``session.notes``."""

from __future__ import annotations

from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict

KEY = "restrictions"


class Progress:
    """One session's state.

    Attributes:
        stage: hook stage that is being evaluated, for the ledger.
        deferrals: DEFER_IF_PERMIT of the client, helo and sender lists, when these are not delayed.
        defer_if_permit, defer_if_reject: the first of each in this evaluation.
        notes: where non-final verdicts go now.
        helo_notes: those of the last HELO, forgotten at the next.
        is_recipient_checked, is_sender_checked: the address was looked for in its class's table already.
        depth: nested evaluations of table results.
    """

    __slots__ = (
        "defer_if_permit", "defer_if_reject", "deferrals", "depth", "helo_notes", "is_recipient_checked",
        "is_sender_checked", "notes", "stage",
    )  # fmt: skip

    def __init__(self) -> None:
        self.stage = ""
        self.deferrals: dict[str, Verdict | None] = {}
        self.defer_if_permit: Verdict | None = None
        self.defer_if_reject: Verdict | None = None
        self.notes: list[Verdict] = []
        self.helo_notes: list[Verdict] = []
        self.is_recipient_checked = self.is_sender_checked = False
        self.depth = 0

    def defer(self, verdict: Verdict) -> None:
        """Remember a DEFER_IF_PERMIT or DEFER_IF_REJECT; the first of each counts."""
        if verdict.action is Action.DEFER_IF_PERMIT:
            self.defer_if_permit = self.defer_if_permit or verdict
        else:
            self.defer_if_reject = self.defer_if_reject or verdict

    @property
    def is_deferred_anyway(self) -> bool:
        """True when neither a permission nor a rejection can stand."""
        return self.defer_if_permit is not None and self.defer_if_reject is not None

    def note(self, verdict: Verdict) -> None:
        """Keep a non-final verdict, once: delayed lists are evaluated for each recipient.

        The same header or address is not added again because it came with another recipient.
        """
        for known in self.notes:
            is_same = known.action is verdict.action and known.argument == verdict.argument
            if is_same and (verdict.argument or known.text == verdict.text):
                return
        self.notes.append(verdict)


def progress_of(session: Session) -> Progress:
    """The session's state, made when it has none."""
    progress = session.notes.get(KEY)
    if not isinstance(progress, Progress):
        progress = session.notes[KEY] = Progress()
    return progress


def is_discarded(session: Session) -> bool:
    """True when DISCARD was noted: nothing further is asked about the transaction."""
    for notes in (session.connection_actions, session.actions):
        for verdict in notes:
            if verdict.action is Action.DISCARD:
                return True
    return False
