"""Open outbound connections with a deadline: TCP to one IP address, or a UNIX-domain socket.

Owns the mapping of what can go wrong to one error with the system's words. Never looks names up.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gateway.model.errors import GatewayError
from gateway.net.eager import with_deadline

P = TypeVar("P", bound=asyncio.Protocol)


class ConnectError(GatewayError):
    """No connection; the text is the system's: ``Connection refused``, ``Connection timed out`` …

    Args:
        text: what the system says.
        is_local: our own end failed: the source address is not ours to use.
    """

    def __init__(self, text: str, *, is_local: bool = False) -> None:
        self.is_local = is_local
        super().__init__(text)


async def connect_tcp(
    factory: Callable[[], P], address: str, port: int, *, deadline_s: float, local_address: str = ""
) -> P:
    """Connect to an IP address.

    Args:
        factory: makes the protocol.
        address: IPv4 or IPv6 text.
        port: TCP port.
        deadline_s: from the call to the established connection.
        local_address: source IP address, or empty (``smtp_bind_address``).

    Raises:
        ConnectError: refused, unreachable, timed out.
    """
    loop = asyncio.get_running_loop()
    local = (local_address, 0) if local_address else None
    attempt = loop.create_connection(factory, address, port, local_addr=local)
    return await _finish(attempt, deadline_s)


async def connect_unix(factory: Callable[[], P], path: str, *, deadline_s: float) -> P:
    """Connect to a UNIX-domain socket. Raises ConnectError."""
    return await _finish(asyncio.get_running_loop().create_unix_connection(factory, path), deadline_s)


async def _finish(attempt: Coroutine[Any, Any, tuple[asyncio.Transport, P]], deadline_s: float) -> P:
    task = asyncio.ensure_future(attempt)
    try:
        _, protocol = await with_deadline(task, deadline_s)
    except TimeoutError:
        raise ConnectError("Connection timed out") from None
    except OSError as exc:
        text = os.strerror(exc.errno) if exc.errno else str(exc)
        raise ConnectError(text, is_local=exc.errno == errno.EADDRNOTAVAIL) from exc
    except asyncio.CancelledError:
        task.add_done_callback(_close_orphan)
        raise
    return protocol


def _close_orphan(task: asyncio.Task[tuple[asyncio.Transport, P]]) -> None:
    """Close the connection that was made when nobody was left to use it."""
    if not task.cancelled() and task.exception() is None:
        task.result()[0].abort()
