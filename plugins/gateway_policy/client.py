"""Asks one policy server: one question, one action, some attempts, a deadline for each."""

from __future__ import annotations

import asyncio

from gateway.net.eager import with_deadline
from gateway.net.endpoint import system_text
from gateway.net.stream import PoolLimits, StreamPool
from gateway.proto.policy import parse_reply, reply_end
from gateway_policy.settings import ServerSettings

CONNECTIONS = 100
"""Of a process to a server, and so questions at a time: as many as Postfix makes, which has that many processes."""
WAITING_LIMIT = 1000
"""Questions that may wait for a connection; more fail at once."""


class PolicyFailure(Exception):
    """The server gave no answer; the text says why."""


class PolicyClient:
    """The connections to one server.

    Args:
        settings: the server's.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        limits = PoolLimits(CONNECTIONS, WAITING_LIMIT, settings.max_idle_s, settings.max_ttl_s, settings.request_limit)
        self._pool = StreamPool(settings.endpoint, limits)

    async def ask(self, request: bytes, asker: object | None) -> str:
        """The action that the server wants.

        An attempt ends with an answer, an error, or when its time is up. A kept connection that turns out to be closed
        is no attempt: the question goes out on a new one at once.

        Args:
            request: the question, as it is sent.
            asker: whose questions go over one connection, while there are enough (SMTPD_POLICY_README, "instance").

        Raises:
            PolicyFailure: all attempts failed; the text is that of the last.
        """
        settings = self._settings
        for attempt in range(1, settings.try_limit + 1):
            try:
                reply = await self._pool.ask_kept(request, _whole_reply, limit_s=settings.timeout_s, owner=asker)
                if reply is None:
                    asking = self._pool.ask(request, _whole_reply, owner=asker)
                    reply = await with_deadline(asking, settings.timeout_s)
                return parse_reply(reply)
            except TimeoutError:
                problem = f"no answer within {settings.timeout_s}s"
            except OSError as error:
                problem = system_text(error)
            except ValueError as error:
                problem = f"bad reply: {error}"
            if attempt < settings.try_limit:
                await asyncio.sleep(settings.retry_delay_s)
        raise PolicyFailure(problem)


def _whole_reply(buffer: bytearray) -> int:
    """As ``reply_end``; a reply that says nothing is refused here, so that its connection is not kept."""
    end = reply_end(buffer)
    if end:
        parse_reply(bytes(buffer[:end]))
    return end
