"""Talking to a running gateway: JSON lines over UNIX sockets under the queue directory."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gateway.model.errors import GatewayError, RemoteProtocolError

ANSWER_LIMIT = 64 << 20  # one line of showq has one message, with all its recipients
CONNECT_TIMEOUT_S = 10.0


class NotRunning(GatewayError):
    """Nobody listens: the mail system is down."""


class Refused(GatewayError):
    """The other side answered with an error."""


def connect(queue_directory: str, name: str, timeout_s: float = CONNECT_TIMEOUT_S) -> socket.socket:
    """Connect to a socket such as ``public/qmgr``, however long the queue directory's path is.

    Raises:
        NotRunning: nobody listens. Refused: the caller may not reach it.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout_s)
    try:
        directory = os.open(queue_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sock.connect(f"/proc/self/fd/{directory}/{name}")
        finally:
            os.close(directory)
    except PermissionError as exc:
        sock.close()
        raise Refused(f"{queue_directory}/{name}: {exc.strerror}") from exc
    except OSError as exc:
        sock.close()
        raise NotRunning(f"connect to {queue_directory}/{name}: {exc.strerror or exc}") from exc
    return sock


def ask(
    queue_directory: str, name: str, request: dict[str, Any], *, timeout_s: float = 60.0
) -> Iterator[dict[str, Any]]:
    """Send one request and yield the answer's objects until the other side closes.

    Args:
        timeout_s: longest silence.

    Raises:
        NotRunning: nobody listens. Refused: the answer is an error. RemoteProtocolError: no JSON, or silence.
    """
    yield from converse(queue_directory, name, [request], timeout_s=timeout_s)


def converse(
    queue_directory: str, name: str, requests: Sequence[dict[str, Any]], *, timeout_s: float = 60.0
) -> Iterator[dict[str, Any]]:
    """The same with several requests over one connection; their answers come in order.

    All requests are sent before the first answer is read: few enough to fit into the socket's buffers, please.
    """
    with connect(queue_directory, name) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.sendall(b"".join(msgspec.json.encode(request) + b"\n" for request in requests))
            sock.shutdown(socket.SHUT_WR)
            with sock.makefile("rb") as lines:
                while line := lines.readline(ANSWER_LIMIT):
                    yield _answer(line)
        except OSError as exc:
            raise RemoteProtocolError(f"{queue_directory}/{name}: {exc}") from exc


def _answer(line: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as exc:
        raise RemoteProtocolError(f"unintelligible answer: {exc}") from exc
    if answer.get("error"):
        raise Refused(str(answer["error"]))
    return answer
