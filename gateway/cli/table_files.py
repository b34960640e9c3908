"""Values that name files: their content is stored in base64, and shown as it is (postmap -F)."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode

from gateway.model.errors import GatewayError

_SEPARATOR = re.compile(rb"[,\s]+")

SOURCE_TYPES = frozenset({"cidr", "inline", "pcre", "randmap", "regexp", "static", "texthash"})
"""Types whose values are written by hand, so that they name files where those of the others hold the content."""


class BadContent(GatewayError):
    """A file that a value names cannot be read, or a stored value is no base64."""


def content_of(value: bytes) -> bytes:
    """The content of the files that a value names, an empty line between two.

    Raises:
        BadContent: one cannot be read.
    """
    parts: list[bytes] = []
    for name in filter(None, _SEPARATOR.split(value)):
        try:
            with open(name, "rb") as file:
                parts.append(file.read())
        except OSError as error:
            raise BadContent(f"open {name.decode('utf-8', 'replace')}: {error.strerror}") from error
    return b"\n".join(parts)


def stored(value: bytes) -> bytes:
    """What a table stores for such a value.

    Raises:
        BadContent: a file cannot be read.
    """
    return b64encode(content_of(value))


def shown(value: bytes, kind: str) -> bytes:
    """What is shown of a value that a table of this type gave.

    Raises:
        BadContent: a file cannot be read, or the value is no base64.
    """
    if kind in SOURCE_TYPES:
        return content_of(value)
    try:
        return b64decode(value, validate=True)
    except binascii.Error as error:
        raise BadContent("malformed base64 value") from error
