"""One message on its way through a server session: reader, limits, and the verdict that the octets alone decide.

Owns the order in which faults of content are reported; how octets are read is :mod:`gateway.proto.body_reader`'s.
Source: RFC 5321 §4.1.1.4, RFC 3030 §2, message_size_limit, smtpd_forbid_bare_newline.
"""

from __future__ import annotations

from gateway.model.reply import Reply
from gateway.proto import smtp_replies as replies
from gateway.proto.body_reader import ChunkReader, Content, DataReader
from gateway.proto.smtp_events import Bdat, BodyEnd
from gateway.proto.smtp_settings import BareNewline, SmtpdSettings


class Intake:
    """Takes the content of one message, after DATA or in BDAT chunks.

    Args:
        settings: limits, and what to do about bare line ends and NUL.
        is_bdat: chunks, each of which is announced first.
    """

    __slots__ = ("_chunks", "_content", "_settings", "reader")

    def __init__(self, settings: SmtpdSettings, *, is_bdat: bool) -> None:
        self._settings = settings
        may_repair = settings.forbid_bare_newline is not BareNewline.REJECT
        self._content = Content(settings.message_size_limit, may_repair=may_repair)
        self._chunks = ChunkReader(self._content) if is_bdat else None
        self.reader = self._chunks or DataReader(self._content)

    @property
    def size_bytes(self) -> int:
        """Octets so far."""
        return self._content.size_bytes

    def announce(self, bdat: Bdat) -> bool:
        """A BDAT command; False when the message would exceed message_size_limit."""
        assert self._chunks is not None
        limit = self._settings.message_size_limit
        self._chunks.announce(bdat.size_bytes, is_last=bdat.is_last)
        return not 0 < limit < self.size_bytes + bdat.size_bytes

    @property
    def chunk_bytes(self) -> int:
        """Octets of the latest chunk announced."""
        return self._chunks.chunk_bytes if self._chunks else 0

    @property
    def refusal(self) -> Reply | None:
        """Why the message cannot be had, once its last octet, or that of a chunk, is here."""
        content, settings = self._content, self._settings
        if content.is_too_big:
            return replies.MESSAGE_TOO_BIG
        if content.is_void:
            name = "LF" if content.has_bare_lf else "CR"
            return replies.bare_newline(settings.forbid_bare_newline_reject_code, settings.hostname, name)
        if content.has_nul and settings.forbid_nul:
            return replies.HAS_NUL
        return None

    @property
    def chunk_reply(self) -> Reply | None:
        """The answer to a chunk that more will follow; None when the message is complete."""
        if self._chunks is None or self._chunks.is_last:
            return None
        return Reply(250, f"Ok: {self._chunks.chunk_bytes} bytes", "2.0.0")

    def end_event(self) -> BodyEnd:
        """The event of a complete message."""
        content = self._content
        return BodyEnd(content.size_bytes, content.has_long_lines, content.is_8bit, content.has_bare_lf)
