"""A message on its way to the spool: envelope and content that edits may still change."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.cleanup.edits import edit_content
from gateway.model.content import BodyFile, Content
from gateway.model.edits import AddRecipient, ChangeSender, DeleteRecipient, Edit
from gateway.model.envelope import Envelope, Recipient
from gateway.model.errors import SpoolError, SpoolUnavailable


class Draft:
    """Envelope and content before they are stored.

    Attributes:
        has_file: the body came in a file, which is on disk whatever edits made of the body.
        is_handed_over: the spool was asked to take the message.
        is_redirected: REDIRECT took the place of all recipients: what it names is final.
        added: recipients that edits brought.
        expanded: aliases in whose place others stand now, and whose sender is to hear so.
    """

    __slots__ = ("added", "content", "envelope", "expanded", "has_file", "is_handed_over", "is_redirected")

    def __init__(self, envelope: Envelope, content: Content) -> None:
        self.envelope, self.content = envelope, content
        self.has_file, self.is_handed_over = isinstance(content.body, BodyFile), False
        self.is_redirected = False
        self.added: list[Recipient] = []
        self.expanded: list[Recipient] = []

    def may_be_stored(self, failure: BaseException) -> bool:
        """True when the spool may have the message, and own its body file, although queueing it raised ``failure``."""
        is_answer = isinstance(failure, SpoolError) and not isinstance(failure, SpoolUnavailable)
        return self.is_handed_over and not is_answer

    def apply(self, edits: Iterable[Edit]) -> None:
        """Apply edits in order: envelope edits here, content edits once, together."""
        content_edits: list[Edit] = []
        for edit in edits:
            match edit:
                case ChangeSender(address):
                    self.envelope.sender = address
                case AddRecipient(address):
                    # An added recipient asks for no DSN of its own (RFC 3461 §4.1, as milter recipients in Postfix).
                    self.added.append(Recipient(address, notify=("NEVER",)))
                    self.envelope.recipients.append(self.added[-1])
                case DeleteRecipient(address):
                    gone = str(address)
                    self.envelope.recipients = [r for r in self.envelope.recipients if str(r.address) != gone]
                case _:
                    content_edits.append(edit)
        if content_edits:
            self.content = edit_content(self.content, content_edits)
