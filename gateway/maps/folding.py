"""How the keys of tables with fixed strings are spelt: in lower case, and in UTF-8 where the configuration says so.

With ``smtputf8_enable`` a key that is no UTF-8 is in no table, and a value that is none is a broken table. Without it
octets are octets, and only ASCII letters fold. Source: SMTPUTF8_README, smtputf8_enable of postconf(5); which case
folding it is, is the Unicode Standard's chapter 3.13, as ICU does it for Postfix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.model.errors import TableError

if TYPE_CHECKING:
    from gateway.config import Config


def encoded(text: str) -> bytes:
    """The octets of a text that was decoded with ``surrogateescape``."""
    return text.encode("utf-8", "surrogateescape")


def decoded(octets: bytes) -> str:
    """The text of octets; what is no UTF-8 survives as surrogates."""
    return octets.decode("utf-8", "surrogateescape")


def is_utf8(text: str) -> bool:
    """False for a text with octets that are no UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def folded_octets(key: bytes, *, in_utf8: bool) -> bytes:
    """The octets of a key in lower case.

    Args:
        key: valid UTF-8 when ``in_utf8``.
        in_utf8: fold all letters, not only those of ASCII.
    """
    if in_utf8 and not key.isascii():
        return key.decode().casefold().encode()
    return key.lower()


class Folding:
    """The rules of one configuration.

    Args:
        config: for ``smtputf8_enable``.

    Attributes:
        in_utf8: keys and values must be UTF-8.
        folds: keys fold to lower case; ``postmap -f`` turns it off.
    """

    def __init__(self, config: Config) -> None:
        self.in_utf8 = config.boolean("smtputf8_enable")
        self.folds = True

    def octets(self, key: str) -> bytes | None:
        """The key as tables store it; None when it can be in no table."""
        if key.isascii():
            octets = key.encode()
            return (octets.lower() if self.folds else octets) if "\0" not in key else None
        if "\0" in key or (self.in_utf8 and not is_utf8(key)):
            return None
        return folded_octets(encoded(key), in_utf8=self.in_utf8) if self.folds else encoded(key)

    def text(self, key: str) -> str | None:
        """The same as text, for tables that are dictionaries."""
        if key.isascii():
            return key.lower() if self.folds else key
        octets = self.octets(key)
        return None if octets is None else decoded(octets)

    def value(self, spec: str, octets: bytes) -> str:
        """The text of a stored value.

        Raises:
            TableError: it must be UTF-8 and is not.
        """
        text = decoded(octets)
        if self.in_utf8 and not is_utf8(text):
            raise TableError(spec, "the value is not UTF-8")
        return text
