"""Mail addresses as the house passes them around: unquoted local part, lower-case domain.

Parsing and printing of the wire and header forms is ``gateway.rfc``'s work. Source: RFC 5321 §4.1.2, RFC 6531.
"""

from __future__ import annotations

import re
from typing import ClassVar

import msgspec

_ATOM = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+)*"
)


class Address(msgspec.Struct, frozen=True, gc=False, order=True):
    """A mailbox, or the null reverse-path.

    ``local`` is in internal form (quotes and backslashes removed); ``domain`` is lower-case, without trailing dot,
    empty when the address has none (``postmaster``). ``str()`` is the internal form ``local@domain`` that tables are
    asked for; :attr:`quoted` the external form that goes on the wire, into headers and log lines.
    """

    local: str = ""
    domain: str = ""

    NULL: ClassVar[Address]

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local

    def __bool__(self) -> bool:
        return bool(self.local or self.domain)

    @property
    def quoted(self) -> str:
        """The external form: the local part quoted when RFC 5321 ``Dot-string`` does not cover it."""
        local = self.local
        if not _ATOM.fullmatch(local) and (local or self.domain):
            escaped = local.replace("\\", "\\\\").replace('"', '\\"')
            local = f'"{escaped}"'
        return f"{local}@{self.domain}" if self.domain else local

    @classmethod
    def of(cls, text: str) -> Address:
        """Split internal form at the last ``@``: for text that is known to be an address, such as a table's result."""
        local, at, domain = text.rpartition("@")
        return cls(local, domain.lower().rstrip(".")) if at else cls(text)


Address.NULL = Address()
