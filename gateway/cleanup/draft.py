"""A message on its way to the spool: envelope and content that edits may still change."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.cleanup.edits import edit_content
from gateway.model.content import Content
from gateway.model.edits import AddRecipient, ChangeSender, DeleteRecipient, Edit
from gateway.model.envelope import Envelope, Recipient


class Draft:
    """Envelope and content before they are stored."""

    __slots__ = ("content", "envelope")

    def __init__(self, envelope: Envelope, content: Content) -> None:
        self.envelope, self.content = envelope, content

    def apply(self, edits: Iterable[Edit]) -> None:
        """Apply edits in order: envelope edits here, content edits once, together."""
        content_edits: list[Edit] = []
        for edit in edits:
            match edit:
                case ChangeSender(address):
                    self.envelope.sender = address
                case AddRecipient(address):
                    # An added recipient asks for no DSN of its own (RFC 3461 §4.1, as milter recipients in Postfix).
                    self.envelope.recipients.append(Recipient(address, notify=("NEVER",)))
                case DeleteRecipient(address):
                    gone = str(address)
                    self.envelope.recipients = [r for r in self.envelope.recipients if str(r.address) != gone]
                case _:
                    content_edits.append(edit)
        if content_edits:
            self.content = edit_content(self.content, content_edits)
