"""What a client on a block list is told: templates with ``$name``, from main.cf or a table.

Names come from a fixed set, and what they bring in is filtered: TXT records, HELO names and addresses are a stranger's
text. Source: postconf(5), default_rbl_reply, rbl_reply_maps, smtpd_expansion_filter, maps_rbl_reject_code.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import msgspec

from gateway.config.expansion import ExpansionError, Lookup, expand, referenced
from gateway.model.address import Address
from gateway.model.errors import ConfigError, TableError
from gateway.model.restriction import LookupTable, RestrictionContext, Subject
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.restrictions.access_action import suited_enhanced
from gateway.restrictions.replies import refuse, server_error
from gateway_rbl.dns_list import Answer, DnsList, reason_of

UNAVAILABLE = "Service unavailable"
_REPLY = re.compile(r"([45][0-9]{2}) +(?:([245]\.[0-9]{1,3}\.[0-9]{1,3})(?!\S)\s*)?(.*)", re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|(.?))", re.DOTALL)
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class Blocked(msgspec.Struct, frozen=True):
    """What a reply is about.

    Args:
        subject: the kind of thing that is listed, for ``$rbl_class``.
        what: the address, host name or mail address.
        dns_list: the list.
        answer: what it said.
        reason: from its TXT records; empty unless the template asks for it.
    """

    subject: Subject
    what: str
    dns_list: DnsList
    answer: Answer
    reason: str = ""


def _whole(address: Address | None) -> str:
    return "" if address is None else str(address) or "<>"


def _local(address: Address | None) -> str:
    return "" if address is None else address.local or "<>"


def _domain(address: Address | None) -> str:
    return "" if address is None else address.domain


NAMES: dict[str, Callable[[Session, Blocked], str]] = {
    "client": lambda session, blocked: session.client.label,
    "client_address": lambda session, blocked: session.client.address,
    "client_name": lambda session, blocked: session.client.name,
    "client_port": lambda session, blocked: session.client.port,
    "reverse_client_name": lambda session, blocked: session.client.reverse_name,
    "helo_name": lambda session, blocked: session.helo,
    "localtime": lambda session, blocked: time.strftime("%b %d %H:%M:%S"),
    "recipient": lambda session, blocked: _whole(session.recipient),
    "recipient_name": lambda session, blocked: _local(session.recipient),
    "recipient_domain": lambda session, blocked: _domain(session.recipient),
    "sender": lambda session, blocked: _whole(session.sender),
    "sender_name": lambda session, blocked: _local(session.sender),
    "sender_domain": lambda session, blocked: _domain(session.sender),
    "rbl_class": lambda session, blocked: blocked.subject.label,
    "rbl_domain": lambda session, blocked: blocked.dns_list.domain,
    "rbl_reason": lambda session, blocked: blocked.reason,
    "rbl_txt": lambda session, blocked: blocked.reason,
    "rbl_what": lambda session, blocked: blocked.what,
}
"""The names that a session gives; ``rbl_code`` and ``server_name`` come from main.cf."""
_REASONS = frozenset({"rbl_reason", "rbl_txt"})


class Replies:
    """The replies of one restriction.

    Args:
        context: gives the parameters; tables of ``rbl_reply_maps`` are opened.

    Raises:
        ConfigError: ``default_rbl_reply`` has a mistake, or a table cannot be opened.
    """

    def __init__(self, context: RestrictionContext) -> None:
        self._context = context
        self._constants = {
            "rbl_code": str(context.integer("maps_rbl_reject_code")),
            "server_name": context.text("myhostname"),
        }
        self._octets = filter_table(context.text("smtpd_expansion_filter"))
        self._default = context.text("default_rbl_reply")
        self._check_default()
        self._tables: tuple[LookupTable, ...] = tuple(map(context.table, context.words("rbl_reply_maps")))

    async def refusal(self, session: Session, blocked: Blocked) -> Verdict:
        """The verdict about something that is listed."""
        try:
            template = await self._from_tables(blocked.dns_list.spec)
        except TableError as error:
            return server_error(str(error))
        if template is not None:
            text = await self._filled(template, session, blocked)
            if text is not None:
                return self._verdict(text, session, blocked)
            self._context.warn(f"rbl_reply_maps: bad template for {blocked.dns_list.spec}: {template}")
        text = await self._filled(self._default, session, blocked)
        return self._verdict(text or "", session, blocked)

    async def _from_tables(self, key: str) -> str | None:
        """The template of a list; raises TableError, as for an empty one."""
        for table in self._tables:
            template = await table.find(key)
            if template is not None:
                if not template:
                    raise TableError(table.spec, f'an empty text under "{key}"')
                return template
        return None

    async def _filled(self, template: str, session: Session, blocked: Blocked) -> str | None:
        """The template with its names filled in; None when it has a mistake."""
        if not _REASONS.isdisjoint(referenced(template)):
            blocked = msgspec.structs.replace(blocked, reason=await reason_of(self._context, blocked.answer))

        def value(name: str) -> str | None:
            constant = self._constants.get(name)
            if constant is not None:
                return constant
            of_session = NAMES.get(name)
            return None if of_session is None else of_session(session, blocked)

        try:
            return expand(template, _known(lambda name: self._safe(value(name))), value)
        except ExpansionError:
            return None

    def _safe(self, value: str | None) -> str | None:
        """A value whose octets are all allowed: the others are underscores (smtpd_expansion_filter)."""
        if value is None:
            return None
        return value.encode("utf-8", "surrogateescape").translate(self._octets).decode("utf-8", "surrogateescape")

    def _verdict(self, text: str, session: Session, blocked: Blocked) -> Verdict:
        reason = f"{self._context.name} {blocked.dns_list.spec}: {blocked.answer.query}"
        match = _REPLY.fullmatch(text)
        if match is None:
            self._context.report(blocked.dns_list.spec, f"rbl response code configuration error: {text[:100]}")
            return refuse(450, "4.7.1", UNAVAILABLE, reason=reason)
        enhanced = suited_enhanced(match[2] or "4.7.1", blocked.subject)
        return refuse(int(match[1]), enhanced, match[3] or UNAVAILABLE, reason=reason)

    def _check_default(self) -> None:
        """Refuse a template that could fail at the first message."""
        names = {*NAMES, *self._constants}
        full, empty = {name: self._constants.get(name, "x") for name in names}, self._constants
        try:
            texts = [expand(self._default, values.get) for values in (full, empty)]
        except ExpansionError as error:
            raise ConfigError(str(error), parameter="default_rbl_reply") from error
        if unknown := referenced(self._default) - names:
            raise ConfigError(
                f"unknown name ${min(unknown)}; there are {', '.join(sorted(names))}", parameter="default_rbl_reply"
            )
        if not any(map(_REPLY.fullmatch, texts)):
            raise ConfigError(
                "must begin with a reply code 4xx or 5xx, such as $rbl_code, and a blank", parameter="default_rbl_reply"
            )


def _known(value: Lookup) -> Lookup:
    """A lookup for which a name that there is not is a mistake; ``${name?text}`` may ask for one."""

    def lookup(name: str) -> str:
        found = value(name)
        if found is None:
            raise ExpansionError(f"unknown name ${name}")
        return found

    return lookup


def filter_table(text: str) -> bytes:
    r"""For each octet itself when ``text`` has it, C's escapes (``\t``, ``\40``, ``\\``) undone, or else ``_``."""

    def octet(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1], 8) & 0xFF]) if match[1] else _ESCAPED.get(match[2], match[2])

    allowed = frozenset(_ESCAPE.sub(octet, text.encode("utf-8", "surrogateescape")))
    return bytes(each if each in allowed else ord("_") for each in range(256))
