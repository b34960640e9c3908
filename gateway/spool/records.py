"""How a message looks in the database: encoded envelope, checksums, and the way back.

Owns the stored form and the detection of damage. Every record carries CRC-32 sums: one over what an attempt changes
(envelope, due time, hold), one over the content, which is written once. Never touches a database.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any
from zlib import crc32

import msgspec

from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError
from gateway.spool.body import body_path
from gateway.spool.queue_id import is_queue_id

# The year 9999: beyond it a time is nonsense, and the sort order of the due index is no longer to be trusted.
MAX_TIME = 253402300800.0

# Never the first octet of MessagePack: marks an envelope whose text had octets that are not UTF-8 (surrogateescape).
_ESCAPED = 0xC1
_NEEDS_ESCAPE = re.compile("[\x00\ud800-\udfff]")
_ESCAPE = re.compile("\x00([0-9a-f]{2})")

_STATE = struct.Struct("<d?")
_PLACE = struct.Struct("<?qq")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


class DamagedRecord(SpoolError):
    """A stored message is not what was written.

    Args:
        queue_id: the message.
        reason: what is wrong, for the log.
    """

    def __init__(self, queue_id: str, reason: str) -> None:
        self.queue_id, self.reason = queue_id, reason
        super().__init__(f"{queue_id}: {reason}")


class Record(msgspec.Struct, frozen=True, gc=False):
    """A row of ``messages`` without its number: what an attempt changes.

    ``due`` and ``is_held`` are the truth; the same fields inside ``envelope`` may be older.
    """

    queue_id: str
    due: float
    is_held: bool
    envelope: bytes
    crc: int

    def with_state(self, *, due: float, is_held: bool) -> Record:
        """The same message, due at another time or held."""
        return Record(
            self.queue_id, due, is_held, self.envelope, _state_crc(self.queue_id, due, is_held, self.envelope)
        )


class ContentRecord(msgspec.Struct, frozen=True, gc=False):
    """A row of ``contents`` without its number. ``body`` is None when the body is in a file."""

    head: bytes
    body: bytes | None
    is_headless: bool
    body_size: int
    body_offset: int
    crc: int = 0


def _state_crc(queue_id: str, due: float, is_held: bool, envelope: bytes) -> int:
    return crc32(envelope, crc32(_STATE.pack(due, is_held) + queue_id.encode()))


def _content_crc(queue_id: str, record: ContentRecord) -> int:
    """Over the queue ID too: no envelope is ever served with another message's content."""
    place = _PLACE.pack(bool(record.is_headless), record.body_size, record.body_offset)
    return crc32(record.body or b"", crc32(record.head, crc32(place + queue_id.encode())))


def encode_envelope(envelope: Envelope) -> bytes:
    """The stored form: MessagePack; text with undecodable octets is escaped, so that nothing is unstorable."""
    try:
        return _encoder.encode(envelope)
    except UnicodeEncodeError:
        return bytes((_ESCAPED,)) + _encoder.encode(_escaped(msgspec.to_builtins(envelope)))


def decode_envelope(blob: bytes | memoryview) -> Envelope:
    """The way back.

    Raises:
        msgspec.MsgspecError: not an envelope.
        ValueError: not an envelope.
    """
    if len(blob) and blob[0] == _ESCAPED:
        return msgspec.convert(_unescaped(msgspec.msgpack.decode(blob[1:])), Envelope)
    return _decoder.decode(blob)


def _escaped(value: Any) -> Any:
    """Replace what UTF-8 cannot say by NUL and two hexadecimal digits, everywhere in a tree of built-in values."""
    if isinstance(value, str):
        return _NEEDS_ESCAPE.sub(_escape_one, value)
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escaped(item) for item in value]
    return value


def _escape_one(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 0 or 0xDC80 <= code <= 0xDCFF:
        return f"\0{code & 0xFF:02x}"
    return "?"  # half a surrogate pair: no octet ever was that, so nothing is lost


def _unescaped(value: Any) -> Any:
    if isinstance(value, str):
        return _ESCAPE.sub(lambda m: chr(0xDC00 + code) if (code := int(m[1], 16)) else "\0", value)
    if isinstance(value, dict):
        return {key: _unescaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unescaped(item) for item in value]
    return value


def record_of(envelope: Envelope, now: float, encoded: bytes | None = None) -> Record:
    """The record of an envelope.

    A message that is due at once is filed under its arrival (at most ``now``), so that new and old mail share one order
    of time and a scan for due messages need not start over at zero.

    Args:
        envelope: what to store.
        now: seconds since the epoch.
        encoded: its stored form when the caller has it already.

    Raises:
        SpoolError: the queue ID is no file name, or a time is not a time.
    """
    due = envelope.due or min(envelope.arrival, now)
    if not is_queue_id(envelope.queue_id):
        raise SpoolError(f"not a queue ID: {envelope.queue_id!r}")
    if not (math.isfinite(envelope.arrival) and 0 <= due < MAX_TIME):
        raise SpoolError(f"{envelope.queue_id}: impossible time: arrival {envelope.arrival}, due {envelope.due}")
    due = float(due)
    blob = encode_envelope(envelope) if encoded is None else encoded
    return Record(
        envelope.queue_id, due, envelope.is_held, blob, _state_crc(envelope.queue_id, due, envelope.is_held, blob)
    )


def envelope_of(record: Record) -> Envelope:
    """The envelope of a record, after checking it.

    Raises:
        DamagedRecord: checksum or form are wrong.
    """
    try:
        if record.crc != _state_crc(record.queue_id, record.due, record.is_held, record.envelope):
            raise DamagedRecord(record.queue_id, "envelope checksum mismatch")
        envelope = decode_envelope(record.envelope)
    except (msgspec.MsgspecError, ValueError, TypeError, struct.error, AttributeError) as exc:
        raise DamagedRecord(str(record.queue_id), f"envelope unreadable: {exc}") from exc
    envelope.due, envelope.is_held = record.due, bool(record.is_held)
    return envelope


def content_record_of(queue_id: str, content: Content) -> ContentRecord:
    """The record of a content.

    Raises:
        SpoolError: the body file is not this message's own.
    """
    place, size, offset = content.body, 0, 0
    body: bytes | None = None
    if isinstance(place, BodyFile):
        if place.path != body_path(queue_id) or place.size_bytes < 0 or place.offset < 0:
            raise SpoolError(f"{queue_id}: not the body file of this message: {place.path!r}")
        size, offset = place.size_bytes, place.offset
    else:
        body = place
    record = ContentRecord(content.head, body, content.is_headless, size, offset)
    return msgspec.structs.replace(record, crc=_content_crc(queue_id, record))


def content_of(queue_id: str, record: ContentRecord) -> Content:
    """The content of a record, after checking it. A body file is not opened here.

    Raises:
        DamagedRecord: checksum or form are wrong.
    """
    try:
        crc = _content_crc(queue_id, record)
    except (TypeError, struct.error) as exc:
        raise DamagedRecord(queue_id, f"content unreadable: {exc}") from exc
    if crc != record.crc:
        raise DamagedRecord(queue_id, "content checksum mismatch")
    is_headless = bool(record.is_headless)
    if record.body is None:
        return Content(record.head, BodyFile(body_path(queue_id), record.body_size, record.body_offset), is_headless)
    return Content(record.head, record.body, is_headless)
