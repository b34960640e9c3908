"""The demo's second plugin: writes down what everybody else decided."""

from __future__ import annotations

import json

from gateway.config import Config
from gateway.hooks import LedgerEntry, Session, hookimpl


class Record:
    """An observer of verdicts and edits; it is not shown entries of its own."""

    def __init__(self) -> None:
        self._path = ""

    @hookimpl
    def configure(self, config: Config) -> None:
        """The record is the file of the other plugin."""
        self._path = config.text("demo_record")

    @hookimpl
    def verdict(self, session: Session | None, entry: LedgerEntry) -> None:
        """One JSON line an entry."""
        verdict = entry.verdict
        line = {
            "stage": entry.stage,
            "author": entry.author,
            "session": session.client.port if session is not None else "",
            "queue_id": entry.queue_id,
            "recipient": entry.recipient,
            "action": verdict.action.value if verdict is not None else "",
            "text": (verdict.text or verdict.reason) if verdict is not None else "",
            "edits": [type(edit).__name__ + " " + getattr(edit, "name", "") for edit in entry.edits],
            "ms": round(entry.milliseconds, 3),
        }
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
