"""One connection to an LDAP server: many searches at a time, none of them blocking the loop.

The protocol is libldap's, through python-ldap. We open the socket, make it non-blocking and give it to libldap; what
libldap can only do in one blocking step (TLS, SASL) is done in a thread before the loop reads from the connection, and
ended by shutting the socket down. Referrals are never followed here.

Source: RFC 4511, ldap_result(3), ldap_set_option(3).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import ldap
import msgspec

from gateway.maps.ldap.expansion import OCTETS_LIMIT, Entry, Search

MESSAGES_A_TURN = 200
"""Messages taken before the loop may do something else."""
_NO_SUCH_OBJECT, _SIZE_LIMIT, _REFERRAL = 32, 4, 10
"""Result codes of RFC 4511."""


LOCAL_REFUSALS = frozenset({-7, -9})
"""What libldap finds wrong before it sends anything: the filter, the parameters."""


class Refused(Exception):
    """The server, or libldap, says no. ``code`` is a result code of RFC 4511, negative for libldap's own."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


class Referred(Refused):
    """The server sends us to another one. ``url`` is where."""

    def __init__(self, url: str, text: str) -> None:
        self.url = url
        super().__init__(_REFERRAL, text)


class Lost(Exception):
    """The connection is gone, or could not be made."""


class Found(msgspec.Struct):
    """What a search gave.

    Args:
        entries: None: there is no such base. referrals: URLs of other servers, alternatives together.
    """

    entries: list[Entry] | None
    referrals: list[list[str]]


class _Pending(msgspec.Struct):
    """A request without its last answer: of which kind that is, what came, how much the connection had heard before."""

    kind: int
    future: asyncio.Future[Found]
    found: Found
    heard: int
    timer: asyncio.TimerHandle | None = None
    octets: int = 0


class LdapConnection:
    """A connection that is bound already.

    Args:
        handle: libldap's, connected.
        guard: a second descriptor of its socket, ours to watch and to shut down.
        where: the server, for messages.

    Attributes:
        where: as given.
        is_open: False once it is lost.
    """

    def __init__(self, handle: Any, guard: socket.socket, where: str) -> None:
        self.where, self.is_open = where, True
        self._handle, self._guard = handle, guard
        self._pending: dict[int, _Pending] = {}
        self._heard, self._reads_on = 0, False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(guard.fileno(), self._read)

    async def search(self, search: Search, timeout_s: float, size_limit: int) -> Found:
        """Run one search.

        Args:
            timeout_s: until the last of its results. size_limit: entries; 0: as many as the server gives.

        Raises:
            Refused: by the server or before it got there.
            Lost: the connection broke.
            TimeoutError: no end within ``timeout_s``. When nothing at all came, the connection is closed.
        """
        arguments = (search.base, search.scope, search.filter, list(search.attributes), 0, None, None)
        number = self._sent(self._handle.search_ext, *arguments, timeout_s, size_limit)
        return await self._answer(ldap.RES_SEARCH_RESULT, number, timeout_s)

    async def bind(self, dn: str, password: str, timeout_s: float) -> None:
        """A simple bind. Raises as :meth:`search`."""
        await self._answer(ldap.RES_BIND, self._sent(self._handle.simple_bind, dn, password), timeout_s)

    def close(self, reason: str = "closed") -> None:
        """Close it; searches that wait are Lost. Its loop may be closed already: then nobody waits any more."""
        if not self.is_open:
            return
        self.is_open = False
        is_alive = not self._loop.is_closed()
        if is_alive:
            self._loop.remove_reader(self._guard.fileno())
        with contextlib.suppress(ldap.LDAPError):
            self._handle.unbind_ext()
        self._guard.close()
        for pending in self._pending.values() if is_alive else ():
            self._settle(pending, Lost(f"{self.where}: {reason}"))
        self._pending.clear()

    def _sent(self, request: Callable[..., int], *arguments: object) -> int:
        """Send a request; the number of its message."""
        if not self.is_open:
            raise Lost(f"{self.where}: connection is closed")
        try:
            return request(*arguments)
        except ldap.LDAPError as error:
            code = code_of(error)
            if code in LOCAL_REFUSALS:
                raise Refused(code, said(error)) from error
            self.close(said(error))
            raise Lost(f"{self.where}: {said(error)}") from error
        except ValueError as error:  # a NUL, or octets that are not UTF-8, in a DN of the directory
            raise Refused(-1, f"cannot be asked: {error}") from error

    # results

    async def _answer(self, kind: int, number: int, timeout_s: float) -> Found:
        pending = _Pending(kind, self._loop.create_future(), Found([], []), self._heard)
        pending.timer = self._loop.call_later(timeout_s, self._expire, number)
        self._pending[number] = pending
        try:
            return await pending.future
        finally:
            pending.timer.cancel()
            if self._pending.pop(number, None) is not None:
                self._abandon(number)

    def _expire(self, number: int) -> None:
        pending = self._pending.pop(number)
        self._abandon(number)
        self._settle(pending, TimeoutError(f"{self.where}: no answer in time"))
        if pending.heard == self._heard:
            self.close("does not answer")

    def _abandon(self, number: int) -> None:
        if self.is_open:
            with contextlib.suppress(ldap.LDAPError):
                self._handle.abandon_ext(number)

    def _read(self) -> None:
        if not self._pending:
            # Nobody asked: the server hangs up, or answers what was given up. Either way it starts anew.
            self.close("the server closed the connection")
            return
        for _ in range(MESSAGES_A_TURN):
            if not self._take() or not self.is_open or not self._pending:
                return
        if not self._reads_on:
            self._reads_on = True
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        """Go on with what libldap has read already: the socket may have nothing more to say."""
        self._reads_on = False
        if self.is_open and self._pending:
            self._read()

    def _take(self) -> bool:
        """Take one message from libldap; False when it has none."""
        try:
            kind, data, number, _ = self._handle.result3(ldap.RES_ANY, 0, 0)
        except ldap.LDAPError as error:
            return self._fail(error)
        except Exception as error:  # a DN that is not UTF-8, a control that is none; for which search is not told
            self.close(f"sent what cannot be read: {error}")
            return False
        if kind is None:
            return False
        self._heard += 1
        pending = self._pending.get(number)
        if pending is None:
            return True
        if kind == pending.kind:
            self._end(number, pending.found)
        elif kind in (ldap.RES_SEARCH_ENTRY, ldap.RES_SEARCH_REFERENCE) and pending.kind == ldap.RES_SEARCH_RESULT:
            self._collect(number, pending, data)
        else:
            self.close("answers what was not asked")
        return True

    def _collect(self, number: int, pending: _Pending, data: list[tuple[str | None, Any]]) -> None:
        for dn, content in data:
            if dn is None:
                pending.found.referrals.append(content)
                pending.octets += sum(map(len, content))
            elif pending.found.entries is not None:
                pending.found.entries.append(content)
                pending.octets += len(dn) + sum(len(value) for values in content.values() for value in values)
        if pending.octets > OCTETS_LIMIT:
            self._end(number, Refused(_SIZE_LIMIT, f"{self.where}: more than {OCTETS_LIMIT} octets for one search"))
            self._abandon(number)

    def _fail(self, error: Any) -> bool:
        """A result that is an error, for one search; or the end of the connection."""
        details, code = details_of(error), code_of(error)
        number = int(details.get("msgid", -1))
        pending = self._pending.get(number)
        if pending is None or code < 0:
            self.close(said(error))
            return False
        self._heard += 1
        if code == _NO_SUCH_OBJECT and details.get("msgtype") == pending.kind == ldap.RES_SEARCH_RESULT:
            self._end(number, Found(None, []))
        elif code == _REFERRAL:
            self._end(number, Referred(details.get("info", "").partition("\n")[2], f"{self.where}: {said(error)}"))
        else:
            self._end(number, Refused(code, f"{self.where}: {said(error)}"))
        return True

    def _end(self, number: int, outcome: Found | Exception) -> None:
        self._settle(self._pending.pop(number), outcome)

    @staticmethod
    def _settle(pending: _Pending, outcome: Found | Exception) -> None:
        if pending.future.done():
            return
        if isinstance(outcome, Exception):
            pending.future.set_exception(outcome)
        else:
            pending.future.set_result(outcome)


def details_of(error: ldap.LDAPError) -> dict[str, Any]:
    """What python-ldap knows of an error: ``result``, ``desc``, ``info``, ``msgid``, ``msgtype``."""
    return error.args[0] if error.args and isinstance(error.args[0], dict) else {}


def code_of(error: ldap.LDAPError) -> int:
    """The result code: RFC 4511's, or a negative one of libldap's own."""
    return int(details_of(error).get("result", -1))


def said(error: ldap.LDAPError) -> str:
    """What the library and the server say, on one line."""
    details = details_of(error)
    desc, info = details.get("desc") or type(error).__name__, details.get("info")
    return " ".join(f"{desc}: {info}".split()) if info and info != desc else str(desc)
