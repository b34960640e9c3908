"""One reply of an SMTP server."""

from __future__ import annotations

import re

import msgspec

_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![^ \n])")


class ServerReply(msgspec.Struct, frozen=True, gc=False):
    """One reply.

    Args:
        code: 200 to 599.
        text: all lines as they came, codes included, separated by ``\\n``; what is not printable is ``?``.
    """

    code: int
    text: str

    @property
    def line(self) -> str:
        """The reply on one line, as logs and reports show it."""
        return self.text.replace("\n", " ")

    @property
    def enhanced(self) -> str:
        """The enhanced status code of the last line when its class agrees with the code, else empty (RFC 2034 §4)."""
        match = _ENHANCED.match(self.text, self.text.rfind("\n") + 5)
        return match.group() if match is not None and match.group()[0] == self.text[0] else ""

    @property
    def dsn(self) -> str:
        """The enhanced status code, made up from the first digit when the server gave none that fits."""
        return self.enhanced or f"{self.code // 100}.0.0"

    @property
    def keywords(self) -> list[str]:
        """What follows the code in all lines but the first: the keywords of an EHLO reply."""
        return [line[4:] for line in self.text.split("\n")[1:]]
