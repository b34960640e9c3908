"""An SMTP reply as a value. Source: RFC 5321 §4.2, RFC 2034, RFC 3463."""

from __future__ import annotations

import msgspec


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What a server says: code, text (lines separated by ``\\n``), enhanced status code such as ``5.7.1`` or empty.

    ``close`` asks for the connection to be closed once the reply is on the wire.
    """

    code: int
    text: str
    enhanced: str = ""
    close: bool = False

    @property
    def is_positive(self) -> bool:
        """True for 2xx and 3xx."""
        return self.code < 400

    @property
    def line(self) -> str:
        """One line for logs: code, enhanced code, text."""
        head = f"{self.code} {self.enhanced} " if self.enhanced else f"{self.code} "
        return head + self.text.replace("\n", " ")
