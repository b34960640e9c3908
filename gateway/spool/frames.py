"""The wire form between those who take mail in and the owner of the spool.

A frame is four octets of length (network order) and that many octets of MessagePack: an array whose first item is the
kind of the message. Kinds are added, never reused, and fields are added at the end with a default, so that a worker
of the version before can still hand in its mail during an upgrade. Requests carry a number that the answer repeats;
answers come in any order.

Sans-I/O: octets in, octets out. The peer is not trusted: every length is checked before anything is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from gateway.model.errors import RemoteProtocolError
from gateway.spool.requests import Answer, Submit

MAX_FRAME_BYTES = 16 * 1024 * 1024
_LENGTH = struct.Struct("!I")


# A one-element union keeps the tag on the wire; the next kind joins here.
Request = Submit
Response = Answer

_encoder = msgspec.msgpack.Encoder()
_request_decoder = msgspec.msgpack.Decoder(Request)
_response_decoder = msgspec.msgpack.Decoder(Response)


def encode_frame(message: Request | Response) -> bytearray:
    """One frame.

    Raises:
        OverflowError: it would be larger than a peer accepts.
    """
    frame = bytearray(4)
    _encoder.encode_into(message, frame, 4)
    size = len(frame) - 4
    if size > MAX_FRAME_BYTES:
        raise OverflowError(f"a frame of {size} octets is larger than {MAX_FRAME_BYTES}")
    _LENGTH.pack_into(frame, 0, size)
    return frame


def decode_request(payload: memoryview) -> Request:
    """Raises RemoteProtocolError when it is none."""
    try:
        return _request_decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError) as exc:
        raise RemoteProtocolError(f"bad request: {exc}") from exc


def decode_response(payload: memoryview) -> Response:
    """Raises RemoteProtocolError when it is none."""
    try:
        return _response_decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError) as exc:
        raise RemoteProtocolError(f"bad answer: {exc}") from exc


class FrameReader:
    """Cuts a stream of octets into frames.

    Args:
        max_frame_bytes: larger frames are refused as soon as their length is known.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_frame_bytes
        self._rest = bytearray()
        self._wanted = 4

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """Take octets, give the payloads of the frames they complete. A payload is valid until the next is asked for.

        The iterator must be run to its end: what follows the last whole frame is kept when it ends.

        Raises:
            RemoteProtocolError: a frame is too large; the stream cannot be read on.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
        position, end = 0, len(data)
        wanted = 4
        with memoryview(data) as view:
            while end - position >= 4:
                (size,) = _LENGTH.unpack_from(data, position)
                if size > self._max:
                    raise RemoteProtocolError(f"a frame of {size} octets is larger than {self._max}")
                wanted = 4 + size
                if end - position < wanted:
                    break
                with view[position + 4 : position + wanted] as payload:
                    yield payload
                position += wanted
                wanted = 4
            self._rest = bytearray(view[position:])
        self._wanted = wanted
