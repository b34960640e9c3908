"""The message as plugins see it: headers and body of the content, with every edit accepted so far applied.

Nothing is parsed before somebody asks. Source: RFC 5322 §2.1, §2.2.
"""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage
from typing import BinaryIO

from gateway.model.content import BodyFile, Content
from gateway.rfc.rfc5322 import iter_headers


class Message:
    """Read-only view of a :class:`~gateway.model.content.Content`; changes go through ``edits``.

    Args:
        content: what to show.
        open_body: opens a body that lives in a file (its path is relative to the spool directory).
    """

    __slots__ = ("_content", "_email", "_headers", "_open_body")

    def __init__(self, content: Content, open_body: Callable[[BodyFile], BinaryIO]) -> None:
        self._open_body = open_body
        self.show(content)

    def show(self, content: Content) -> None:
        """Look at other content: called by the chain's owner after edits were applied."""
        self._content = content
        self._headers: list[tuple[str, str]] | None = None
        self._email: EmailMessage | None = None

    @property
    def content(self) -> Content:
        """The content itself."""
        return self._content

    @property
    def size_bytes(self) -> int:
        """Octets of the whole message with CRLF line ends."""
        return self._content.size_bytes

    @property
    def raw_head(self) -> bytes:
        """The header block, exact octets, without the empty line."""
        return self._content.head

    @property
    def headers(self) -> list[tuple[str, str]]:
        """(name, value) in order; the value unfolded and stripped, raw octets as ``surrogateescape``."""
        if self._headers is None:
            self._headers = [(header.name, header.text) for header in iter_headers(self._content.head)]
        return self._headers

    def header(self, name: str) -> str | None:
        """Value of the first header of that name, case ignored, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def header_all(self, name: str) -> list[str]:
        """Values of all headers of that name, case ignored, in order."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    def open_body(self) -> BinaryIO:
        """A binary file at the first octet of the body, for reading; the caller closes it."""
        body = self._content.body
        if isinstance(body, BodyFile):
            return self._open_body(body)
        from io import BytesIO

        return BytesIO(body)

    def body_bytes(self, limit: int | None = None) -> bytes:
        """The body, at most ``limit`` octets of it. Without a limit a big message is read into memory whole."""
        body = self._content.body
        if isinstance(body, bytes):
            return body if limit is None else body[:limit]
        with self.open_body() as file:
            return file.read(-1 if limit is None else limit)

    def as_bytes(self) -> bytes:
        """The whole message."""
        return self._content.head + self._content.separator + self.body_bytes()

    @property
    def email(self) -> EmailMessage:
        """The message parsed by the standard library, kept until the next edit; reads the whole body."""
        if self._email is None:
            self._email = email.message_from_bytes(self.as_bytes(), policy=email.policy.default)
        return self._email
