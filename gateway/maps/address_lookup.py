"""Which keys a mail address is looked up by, in which order, and what the answer means for its extension.

One order with variations serves every table that is asked for an address: ``user+ext@domain``, ``user@domain``, then

======================  ==============================================================================================
``Forms.ADDRESS``       ``user+ext`` and ``user`` where the domain is myorigin, in mydestination or the literal of an
                        own address; ``@domain``. relocated(5), all ``*_recipient_maps``, virtual mailboxes, BCC maps,
                        sender-dependent maps, smtpd_sender_login_maps
``Forms.REWRITING``     the same, in external form only. canonical(5), virtual(5), generic(5)
``Forms.ACCESS``        ``domain`` and its parents; ``user+ext@`` and ``user@``. access(5)
``Forms.TRANSPORT``     ``domain`` and its parents. transport(5)
======================  ==============================================================================================

Each key is asked of all tables of a parameter before the next key is; with a local part in it, in external form
(``"john smith"@example.com``) and then, where that differs, in internal form (``john smith@example.com``). Tables of
patterns see the whole address alone, in both forms. aliases(5) knows no domains: ``user+ext``, ``user``
(:func:`alias_keys`). Sources: the tables' manual pages, "TABLE SEARCH ORDER"; postconf(5) recipient_delimiter,
owner_request_special, propagate_unmatched_extensions, parent_domain_matches_subdomains; which forms each use has, is
observed (tests/scenarios/tables). Domains are not converted between their UTF-8 and ``xn--`` forms: a table that shall
know both has both. Source: SMTPUTF8_README, "No automatic conversions".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from enum import Flag, auto
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from gateway.maps.match_list import Subdomains, parent_keys
from gateway.maps.table_list import TableList
from gateway.model.address import Address

if TYPE_CHECKING:
    from gateway.config import Config

_NEVER_SPLIT = "mailer-daemon"


class Key(NamedTuple):
    """One key to ask for.

    Args:
        text: what tables are asked; tables that fold case fold it themselves.
        is_part: only a part of the address, which tables of patterns are not asked for.
        extension: what was cut off the local part to get here, delimiter included: ``+ext``.
    """

    text: str
    is_part: bool = False
    extension: str = ""


class Found(NamedTuple):
    """What a lookup found.

    Args:
        value: the table's text.
        key: what it was found under.
        extension: the unmatched extension with its delimiter, that the result is to get where
            :func:`propagates_extension` says so; empty when the address was found whole.
    """

    value: str
    key: str
    extension: str


class Forms(Flag):
    """Which keys are tried behind the whole address and the address without its extension."""

    INTERNAL = auto()  # not only external form
    LOCAL_PART = auto()  # the local part alone, when the domain is local
    AT_DOMAIN = auto()  # @domain
    DOMAIN = auto()  # domain, and its parents
    LOCAL_PART_AT = auto()  # user@, whatever the domain

    ADDRESS = INTERNAL | LOCAL_PART | AT_DOMAIN
    REWRITING = LOCAL_PART | AT_DOMAIN
    ACCESS = INTERNAL | DOMAIN | LOCAL_PART_AT
    TRANSPORT = INTERNAL | DOMAIN


class Parameters(Protocol):
    """The part of ``gateway.config.Config``, and of what restrictions see of it, that is needed here."""

    def text(self, parameter: str, /) -> str:
        """A main.cf value, expanded."""
        ...


class Extensions(msgspec.Struct, frozen=True):
    """How local parts are split into user and extension. The default splits nothing.

    Args:
        delimiters: recipient_delimiter; the first of them that occurs splits.
        double_bounce: double_bounce_sender, which is never split.
        spares_lists: ``owner-list`` and ``list-request`` stay whole: a hyphen is among the delimiters, and
            owner_request_special is on.
    """

    delimiters: str = ""
    double_bounce: str = "double-bounce"
    spares_lists: bool = False

    @classmethod
    def of(cls, main_cf: Parameters) -> Extensions:
        """What main.cf says."""
        delimiters = main_cf.text("recipient_delimiter")
        spares_lists = "-" in delimiters and main_cf.text("owner_request_special").lower() == "yes"
        return cls(delimiters, main_cf.text("double_bounce_sender").lower(), spares_lists)

    def split(self, local: str) -> tuple[str, str]:
        """``user`` and ``+ext`` of ``user+ext``; the extension is empty when there is none.

        Neither a local part that begins with a delimiter is split, nor one whose recipient is the mail system.
        """
        at = min((found for found in map(local.find, self.delimiters) if found >= 0), default=0)
        if not at:
            return local, ""
        folded = local.lower()
        if folded in (_NEVER_SPLIT, self.double_bounce) or (
            self.spares_lists
            and (folded.startswith("owner-") or (folded.endswith("-request") and len(folded) > len("-request")))
        ):
            return local, ""
        return local[:at], local[at:]


def propagates_extension(config: Config, use: str) -> bool:
    """Whether results of a kind of lookup get the unmatched extension.

    Args:
        config: has propagate_unmatched_extensions.
        use: ``canonical``, ``virtual``, ``alias``, ``forward``, ``include`` or ``generic``.
    """
    return use in config.words("propagate_unmatched_extensions")


def _local_keys(local: str, behind: str, extensions: Extensions, forms: Forms, *, is_part: bool) -> Iterator[Key]:
    """The local part with what stands ``behind`` it (``@domain``, ``@``, nothing), then without its extension."""
    yield from _written(Key(local, is_part), behind, forms)
    user, extension = extensions.split(local)
    if extension:
        yield from _written(Key(user, is_part=True, extension=extension), behind, forms)


def _written(key: Key, behind: str, forms: Forms) -> Iterator[Key]:
    """The key, of which ``text`` is the local part, in external and internal form."""
    local = key.text
    quoted = Address(local).quoted if local else '""'
    yield key._replace(text=quoted + behind)
    if quoted != local and Forms.INTERNAL in forms:
        yield key._replace(text=local + behind)


def whole_keys(address: str, extensions: Extensions, forms: Forms = Forms.INTERNAL) -> Iterator[Key]:
    """The whole address, and the address without its extension.

    Args:
        address: internal form, with or without a domain.
        extensions: how it is split.
        forms: only :attr:`Forms.INTERNAL` matters.
    """
    local, at, domain = address.rpartition("@")
    local, behind = (local, at + domain) if at else (address, "")
    return _local_keys(local, behind, extensions, forms, is_part=False)


def part_keys(
    address: str, extensions: Extensions, forms: Forms, *, is_local: bool = False, style: Subdomains = Subdomains.NONE
) -> Iterator[Key]:
    """The keys behind :func:`whole_keys`: none for an address without a domain.

    Args:
        address, extensions: as there.
        forms: which ones.
        is_local: the domain is local, for :attr:`Forms.LOCAL_PART`.
        style: how parents of the domain are written, for :attr:`Forms.DOMAIN`.
    """
    local, at, domain = address.rpartition("@")
    if not at:
        return
    if Forms.LOCAL_PART in forms and is_local and local:
        yield from _local_keys(local, "", extensions, forms, is_part=True)
    if Forms.AT_DOMAIN in forms:
        yield Key(f"@{domain}", is_part=True)
    if Forms.DOMAIN in forms and domain:
        yield Key(domain, is_part=True)
        for parent in parent_keys(domain, style):
            if parent:  # behind a trailing dot
                yield Key(parent, is_part=True)
    if Forms.LOCAL_PART_AT in forms:
        yield from _local_keys(local, "@", extensions, forms, is_part=True)


def alias_keys(local: str, extensions: Extensions) -> Iterator[Key]:
    """``user+ext`` and ``user`` in internal form, as alias_maps are asked. Source: aliases(5), local(8)."""
    yield Key(local)
    user, extension = extensions.split(local)
    if extension:
        yield Key(user, is_part=True, extension=extension)


IsLocal = Callable[[str], Awaitable[bool]]


class AddressLookup:
    """The tables of one parameter, asked for addresses. False when there are none.

    Args:
        tables: in asking order.
        extensions: recipient_delimiter and what goes with it.
        forms: which keys.
        is_local: tells whether a domain is local, asked when the whole address is not in the tables; for
            :attr:`Forms.LOCAL_PART`. :meth:`gateway.maps.address_class.AddressClasses.has_local_names`.
        style: how parents of a domain are written, for :attr:`Forms.DOMAIN`;
            :func:`gateway.maps.match_list.subdomain_style`.
    """

    def __init__(
        self,
        tables: TableList,
        extensions: Extensions,
        forms: Forms = Forms.ADDRESS,
        *,
        is_local: IsLocal | None = None,
        style: Subdomains = Subdomains.NONE,
    ) -> None:
        self.tables, self._extensions, self._forms, self._style = tables, extensions, forms, style
        self._is_local = is_local if Forms.LOCAL_PART in forms else None

    def __bool__(self) -> bool:
        return bool(self.tables)

    async def find(self, address: str) -> Found | None:
        """The first answer, or None.

        Args:
            address: internal form.

        Raises:
            TableError: a table, or one that says which domains are local, has no answer now.
        """
        found = await first_in(self.tables, whole_keys(address, self._extensions, self._forms))
        if found is not None:
            return found
        is_local = False
        if self._is_local is not None:
            domain = address.rpartition("@")[2] if "@" in address else ""
            is_local = bool(domain) and await self._is_local(domain)
        parts = part_keys(address, self._extensions, self._forms, is_local=is_local, style=self._style)
        return await first_in(self.tables, parts)


async def first_in(tables: TableList, keys: Iterator[Key]) -> Found | None:
    """The first key that one of the tables knows.

    Raises:
        TableError: a table has no answer now.
    """
    for key in keys:
        value = await tables.find(key.text, is_part=key.is_part)
        if value is not None:
            return Found(value, key.text, key.extension)
    return None
