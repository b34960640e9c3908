"""From an address to a connection that is ready for MAIL.

Owns the greeting, EHLO with its fall-back to HELO, LHLO, and which of their failures are final. STARTTLS and AUTH
belong here, after the first EHLO. Source: RFC 5321 §3.1, §3.2, §4.1.1.1; ``smtp_skip_5xx_greeting``,
``smtp_always_send_ehlo``.
"""

from __future__ import annotations

import asyncio

from gateway.model.delivery import Status
from gateway.model.errors import GatewayError
from gateway.net.connect import ConnectError, connect_tcp, connect_unix
from gateway.proto.server_reply import ServerReply
from gateway.proto.smtp_client import Verb
from gateway.transport.connection import ConversationError, SmtpConnection
from gateway.transport.endpoint import Endpoint
from gateway.transport.results import bounced, deferred, unreachable, unwelcome
from gateway.transport.settings import ClientSettings


class NoSession(GatewayError):
    """The server cannot be talked to.

    Args:
        status: for every recipient, when no other server does better.
        was_connected: the server was reached, so it counts against ``smtp_mx_session_limit``.
    """

    def __init__(self, status: Status, *, was_connected: bool) -> None:
        self.status, self.was_connected = status, was_connected
        super().__init__(status.text)


async def open_session(endpoint: Endpoint, settings: ClientSettings) -> SmtpConnection:
    """Connect, and be introduced. Raises NoSession."""
    try:
        connection = await _connect(endpoint, settings)
    except ConnectError as exc:
        raise NoSession(unreachable(endpoint, str(exc)), was_connected=False) from exc
    try:
        await _introduce(connection, settings)
    except ConversationError as exc:
        raise NoSession(deferred(exc.trouble.dsn, exc.text, endpoint), was_connected=True) from exc
    except BaseException:
        connection.abort()
        raise
    return connection


async def _connect(endpoint: Endpoint, settings: ClientSettings) -> SmtpConnection:
    loop = asyncio.get_running_loop()

    def protocol() -> SmtpConnection:
        return SmtpConnection(endpoint, settings, loop)

    deadline_s = settings.connect_timeout_s
    if endpoint.is_unix:
        return await connect_unix(protocol, endpoint.address, deadline_s=deadline_s)
    local = settings.bind_address6 if ":" in endpoint.address else settings.bind_address
    try:
        return await connect_tcp(protocol, endpoint.address, endpoint.port, deadline_s=deadline_s, local_address=local)
    except ConnectError as exc:
        # Postfix goes on without the address that it cannot have, unless smtp_bind_address_enforce.
        if not exc.is_local or settings.bind_address_enforce:
            raise
        return await connect_tcp(protocol, endpoint.address, endpoint.port, deadline_s=deadline_s)


async def _introduce(connection: SmtpConnection, settings: ClientSettings) -> None:
    greeting = (await connection.exchange())[0]
    if greeting.code // 100 != 2:
        _turn_away(connection, greeting, is_soft=settings.skip_5xx_greeting)
    if settings.is_lmtp:
        reply = await _hello(connection, Verb.LHLO, settings)
    else:
        is_extended = settings.always_send_ehlo or "ESMTP" in greeting.line.upper().split()
        is_extended = is_extended and not settings.never_send_ehlo
        reply = await _hello(connection, Verb.EHLO if is_extended else Verb.HELO, settings)
        if is_extended and reply.code // 100 != 2 and reply.code != 421:
            reply = await _hello(connection, Verb.HELO, settings)
    if reply.code // 100 != 2:
        _turn_away(connection, reply, is_soft=False)
    _check_loop(connection, settings)


async def _hello(connection: SmtpConnection, verb: Verb, settings: ClientSettings) -> ServerReply:
    connection.session.send(verb, settings.helo_name.encode("utf-8", "surrogateescape"))
    return (await connection.exchange())[0]


def _turn_away(connection: SmtpConnection, reply: ServerReply, *, is_soft: bool) -> None:
    connection.close()
    raise NoSession(unwelcome(connection.endpoint, reply, is_soft=is_soft), was_connected=True)


def _check_loop(connection: SmtpConnection, settings: ClientSettings) -> None:
    """A best mail exchanger that calls itself what we call ourselves is us (RFC 5321 §6.3)."""
    endpoint = connection.endpoint
    if endpoint.best_mx_of and connection.session.capabilities.name.lower() == settings.myhostname.lower():
        connection.close()
        status = bounced("5.4.6", f"mail for {endpoint.best_mx_of} loops back to myself", endpoint)
        raise NoSession(status, was_connected=True)
