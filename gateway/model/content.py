"""Message content: a header block in memory, a body in memory or in a file.

Bytes are sacred: octets and order are kept, lines end in CRLF, no dot-stuffing. ``head`` is the header block without
the empty line; ``body`` everything after the empty line. Bodies above ``content_memory_limit`` live in a file, so the
memory of a session does not grow with the message.
"""

from __future__ import annotations

import msgspec


class BodyFile(msgspec.Struct, frozen=True, gc=False):
    """A body on disk: the whole file from ``offset`` on. ``path`` is relative to the spool directory."""

    path: str
    size_bytes: int
    offset: int = 0


class Content(msgspec.Struct, gc=False):
    """Header block and body.

    Args:
        head: header lines, each ending in CRLF; empty when the message has no header.
        body: octets, or the file that has them.
        is_headless: the message has no empty line after ``head``: nothing follows it, not even the separator.
    """

    head: bytes
    body: bytes | BodyFile = b""
    is_headless: bool = False

    @property
    def size_bytes(self) -> int:
        """Octets of the message as it goes on the wire, before dot-stuffing."""
        body = self.body.size_bytes if isinstance(self.body, BodyFile) else len(self.body)
        return len(self.head) + body + (0 if self.is_headless else 2)

    @property
    def separator(self) -> bytes:
        """The empty line between head and body, or nothing when the message ends with its head."""
        return b"" if self.is_headless else b"\r\n"
