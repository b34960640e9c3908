"""Connect to one LDAP server, up to the point where it can be asked: socket, TLS, bind.

Source: ``server_host``, ``timeout``, ``bind``, ``sasl_*``, ``start_tls``, ``tls_*``, ``version``, ``dereference`` of
ldap_table(5).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import ldap
import ldap.sasl

from gateway.maps.ldap.connection import LdapConnection, Lost, Refused, code_of, details_of, said
from gateway.maps.ldap.settings import Access, Bind
from gateway.maps.ldap.text import ANY_OBJECT, BASE, LdapUrl
from gateway.maps.network import parse_address

T = TypeVar("T")

LDAPI_PATH = "/var/run/slapd/ldapi"
"""Where ``ldapi:///`` leads."""
SASL_STEP_S = 3
"""For each answer in a SASL bind, when ``timeout`` is longer: nothing else runs meanwhile."""
_KEEPALIVE_S = 60
"""A connection that a firewall forgot is found dead before a lookup needs it."""


async def open_connection(server: LdapUrl, access: Access) -> LdapConnection:
    """Connect, go over to TLS and bind, as ``access`` says; each step takes at most its ``timeout_s``.

    Raises:
        Lost: the server does not answer, or not as one should; another one may.
        Refused: the server does not take who we are.
    """
    try:
        connection = await _connected(server, access)
    except (OSError, ldap.LDAPError, ValueError, Lost) as error:  # TimeoutError is an OSError
        raise Lost(f"{server.server}: {_cause(error)}") from error
    if access.bind is Bind.SIMPLE:
        try:
            await connection.bind(access.bind_dn, access.bind_password, access.timeout_s)
        except BaseException as error:
            connection.close()
            if isinstance(error, Refused):
                raise Refused(error.code, f'bind as "{access.bind_dn}": {error}') from error
            if isinstance(error, TimeoutError):
                raise Lost(str(error)) from error
            raise
    return connection


def _cause(error: Exception) -> str:
    if isinstance(error, ldap.LDAPError):
        return said(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno:
        return str(error.strerror) if isinstance(error, socket.gaierror) else os.strerror(error.errno)
    return str(error) or type(error).__name__


async def _connected(server: LdapUrl, access: Access) -> LdapConnection:
    """Connected, with TLS and SASL where they are wanted."""
    making = await (_over_tls if server.scheme == "ldaps" else _over_socket)(server, access)
    try:
        if access.start_tls:
            await making.run(making.handle.start_tls_s, access.timeout_s)
        if access.bind is Bind.SASL:
            # Cyrus SASL keeps all of Python waiting: first make sure that somebody answers.
            await making.run(functools.partial(_probe, making.handle, access), access.timeout_s)
            try:
                await making.run(functools.partial(_bind_sasl, making.handle, access), access.timeout_s)
            except ldap.LDAPError as error:
                if code_of(error) > 0:  # the server says so
                    raise Refused(code_of(error), f"{server.server}: {said(error)}") from error
                raise
        return making.connection(server.server)
    except BaseException:
        making.discard()
        raise


class _Making:
    """A connection in the making, before the loop reads from it.

    Args:
        handle: libldap's. guard: a second descriptor of its socket, ours to watch and to shut down.
    """

    def __init__(self, handle: Any, guard: socket.socket | None = None) -> None:
        self.handle, self._guard = handle, guard
        self._lock = threading.Lock()
        self._is_busy = self._is_unwanted = False

    def adopt_socket(self) -> None:
        """Take a second descriptor of the socket that libldap opened."""
        self._guard = socket.socket(fileno=os.dup(self.handle.fileno()))

    def connection(self, where: str) -> LdapConnection:
        """The finished one, which owns handle and descriptor."""
        if self._guard is None:
            raise Lost(f"{where}: no socket")
        self._guard.setblocking(False)  # libldap makes it block when a handshake is over
        return LdapConnection(self.handle, self._guard, where)

    async def run(self, step: Callable[[], T], timeout_s: float) -> T:
        """Do in a thread what libldap can only do in one go.

        Raises:
            TimeoutError: it took too long, and was told to end.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        if self._guard is not None:
            self._guard.setblocking(False)

        def tell(outcome: Callable[[], None]) -> None:
            if not done.done():
                outcome()

        def work() -> None:
            try:
                outcome = functools.partial(done.set_result, step())
            except Exception as error:
                outcome = functools.partial(done.set_exception, error)
            with self._lock:
                self._is_busy = False
                is_unwanted = self._is_unwanted
            if is_unwanted:
                self._release()
                return
            with contextlib.suppress(RuntimeError):  # the loop is closed: so is the process, soon
                loop.call_soon_threadsafe(tell, outcome)

        self._is_busy = True
        threading.Thread(target=work, name="ldap", daemon=True).start()
        async with asyncio.timeout(timeout_s):
            return await done

    def discard(self) -> None:
        """Give everything up; a thread that is at it ends for want of a socket, and does the rest."""
        with self._lock:
            self._is_unwanted = True
            is_busy = self._is_busy
        if self._guard is not None:
            with contextlib.suppress(OSError):
                self._guard.shutdown(socket.SHUT_RDWR)
        if not is_busy:
            self._release()

    def _release(self) -> None:
        with contextlib.suppress(ldap.LDAPError):
            self.handle.unbind_ext()
        if self._guard is not None:
            self._guard.close()


async def _over_socket(server: LdapUrl, access: Access) -> _Making:
    """Over a socket of ours, which libldap gets when it is connected."""
    stream = await _socket(server, access.timeout_s)
    guard = stream.dup()
    try:
        handle = ldap.initialize(_uri(server), fileno=stream.fileno())
    except BaseException:
        stream.close()
        guard.close()
        raise
    stream.detach()  # libldap's now
    making = _Making(handle, guard)
    try:
        _set_options(handle, access)
    except BaseException:
        making.discard()
        raise
    return making


async def _over_tls(server: LdapUrl, access: Access) -> _Making:
    """By libldap, which speaks TLS from the start only where it has connected itself; and that is when it sends."""
    handle = ldap.initialize(_uri(server))
    making = _Making(handle)
    try:
        _set_options(handle, access)
        _set_tls(handle, access)
        number = await making.run(functools.partial(_ask_root, handle), access.timeout_s)
        making.adopt_socket()
        await making.run(functools.partial(_ignore_answer, handle, number, access.timeout_s), access.timeout_s)
    except BaseException:
        making.discard()
        raise
    return making


def _ask_root(handle: Any) -> int:
    """Ask for the entry that every server has; the number of the message."""
    number: int = handle.search_ext("", BASE, ANY_OBJECT, ["1.1"])
    return number


def _ignore_answer(handle: Any, number: int, timeout_s: float) -> None:
    """Wait for the answer to a search, even if it is a refusal.

    Raises:
        LDAPError: by libldap. Lost: it is no answer to a search.
    """
    try:
        kind = handle.result3(number, 1, timeout_s)[0]
    except ldap.LDAPError as error:
        if code_of(error) < 0:
            raise
        kind = details_of(error).get("msgtype")
    if kind != ldap.RES_SEARCH_RESULT:
        raise Lost("answers what was not asked")


def _probe(handle: Any, access: Access) -> None:
    _ignore_answer(handle, _ask_root(handle), access.timeout_s)


async def _socket(server: LdapUrl, timeout_s: float) -> socket.socket:
    """A connected socket that does not block."""
    loop = asyncio.get_running_loop()
    if server.scheme == "ldapi":
        return await _reached(socket.AF_UNIX, server.host or LDAPI_PATH, timeout_s)
    host = server.host or "localhost"
    literal = parse_address(host)
    if literal is not None:
        return await _reached(socket.AF_INET6 if literal[0] == 6 else socket.AF_INET, (host, server.port), timeout_s)
    async with asyncio.timeout(timeout_s):
        found = await loop.getaddrinfo(host, server.port, type=socket.SOCK_STREAM)
    last: OSError = OSError(f"no address of {host}")
    for family, *_, address in found:
        try:
            return await _reached(family, address, timeout_s)
        except OSError as error:
            last = error
    raise last


async def _reached(family: int, address: Any, timeout_s: float) -> socket.socket:
    stream = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if family != socket.AF_UNIX:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(stream, address)
    except BaseException:
        stream.close()
        raise
    return stream


def _uri(server: LdapUrl) -> str:
    host = f"[{server.host}]" if ":" in server.host else quote(server.host or "localhost", safe="")
    if server.scheme == "ldapi":
        return f"ldapi://{quote(server.host or LDAPI_PATH, safe='')}"
    return f"{server.scheme}://{host}:{server.port}"


def _set_options(handle: Any, access: Access) -> None:
    if access.debug_level:
        ldap.set_option(ldap.OPT_DEBUG_LEVEL, access.debug_level)
    for option, value in (
        (ldap.OPT_PROTOCOL_VERSION, access.version),
        (ldap.OPT_DEREF, access.dereference),
        (ldap.OPT_REFERRALS, ldap.OPT_OFF),
        (ldap.OPT_NETWORK_TIMEOUT, access.timeout_s),
        (ldap.OPT_TIMEOUT, access.timeout_s),
    ):
        handle.set_option(option, value)
    if access.start_tls:
        _set_tls(handle, access)


def _set_tls(handle: Any, access: Access) -> None:
    for option, text in (
        (ldap.OPT_X_TLS_CACERTFILE, access.tls_ca_file),
        (ldap.OPT_X_TLS_CACERTDIR, access.tls_ca_directory),
        (ldap.OPT_X_TLS_CERTFILE, access.tls_certificate),
        (ldap.OPT_X_TLS_KEYFILE, access.tls_key),
        (ldap.OPT_X_TLS_RANDOM_FILE, access.tls_random_file),
        (ldap.OPT_X_TLS_CIPHER_SUITE, access.tls_ciphers),
    ):
        if text:
            handle.set_option(option, text)
    verify = ldap.OPT_X_TLS_DEMAND if access.tls_verifies else ldap.OPT_X_TLS_NEVER
    handle.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, verify)
    handle.set_option(ldap.OPT_X_TLS_NEWCTX, 0)  # last: makes a context of the others


def _bind_sasl(handle: Any, access: Access) -> None:
    if access.sasl_min_ssf:
        handle.set_option(ldap.OPT_X_SASL_SECPROPS, f"minssf={access.sasl_min_ssf}")
    elif access.sasl_mechanisms.upper() == "EXTERNAL":
        handle.sasl_bind_s("", "EXTERNAL", access.sasl_authorization.encode())
        return
    answers = {
        ldap.sasl.CB_AUTHNAME: access.bind_dn,
        ldap.sasl.CB_PASS: access.bind_password,
        ldap.sasl.CB_USER: access.sasl_authorization,
        ldap.sasl.CB_GETREALM: access.sasl_realm,
    }
    # python-ldap does not let go of the interpreter in this call: bounded, and as short as can be.
    handle.set_option(ldap.OPT_TIMEOUT, min(access.timeout_s, SASL_STEP_S))
    handle.sasl_interactive_bind_s("", ldap.sasl.sasl(answers, access.sasl_mechanisms))
