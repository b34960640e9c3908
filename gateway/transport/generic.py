"""Addresses that mean something only in here, exchanged for public ones when mail leaves.

Owns what of a request is looked up: the sender, unless it is null, the recipients, and the addresses in the message's
own header fields, not in those of attached messages. One attempt, one lookup for each address. What is stored, logged
and reported on keeps the addresses it had. Source: postconf(5) smtp_generic_maps, lmtp_generic_maps; generic(5).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.address_class import AddressClasses
from gateway.maps.address_lookup import AddressLookup, Extensions, Forms, propagates_extension
from gateway.maps.address_mapping import AddressMapping
from gateway.maps.rewriting import Rewriting
from gateway.maps.table_list import TableList
from gateway.model.address import Address
from gateway.model.content import Content
from gateway.model.delivery import DeliveryRequest
from gateway.model.envelope import Recipient
from gateway.rfc.address.fields import FIELD, field, parsed
from gateway.rfc.address.header import Mailbox
from gateway.rfc.address.quoting import quoted
from gateway.rfc.address.tokens import internal, scan


class GenericMaps:
    """The generic maps of one transport.

    Args:
        mapping: the tables.
        token_limit: a header field with more words than this is left alone (header_address_token_limit).
        tables: where they come from. They are the transport's own and closed with it; their log is told when one gives
            several addresses, of which the first is taken.
    """

    def __init__(self, mapping: AddressMapping, token_limit: int, tables: Tables) -> None:
        self._mapping, self._token_limit, self._tables = mapping, token_limit, tables

    @classmethod
    def of(cls, config: Config, tables: Tables, rewriting: Rewriting, *, is_lmtp: bool) -> GenericMaps | None:
        """The generic maps that a transport's configuration names, or None.

        Args:
            config, tables: the transport's.
            rewriting: the local rules by main.cf alone: addresses are completed by another service than smtp(8), which
                does not see the ``-o`` settings of this one.
            is_lmtp: they are lmtp_generic_maps.

        Raises:
            ConfigError: a table cannot be opened.
        """
        listed = TableList.of(config, "lmtp_generic_maps" if is_lmtp else "smtp_generic_maps", tables)
        if not listed:
            return None
        is_local = AddressClasses(config, tables).has_local_names
        lookup = AddressLookup(listed, Extensions.of(config), Forms.REWRITING, is_local=is_local)
        mapping = AddressMapping(lookup, rewriting, propagates=propagates_extension(config, "generic"))
        return cls(mapping, config.integer("header_address_token_limit"), tables)

    async def close(self) -> None:
        """Close the tables."""
        await self._tables.close()

    async def applied(self, request: DeliveryRequest) -> DeliveryRequest:
        """The request as it is to be sent.

        Raises:
            TableError: a table has no answer now.
        """
        pass_ = _Pass(self._mapping, self._token_limit, self._tables.warn_once)
        sender = await pass_.find(request.sender) if request.sender else None
        content = request.content
        head = await pass_.head(content.head)
        if head is not content.head:
            content = Content(head, content.body, content.is_headless)
        return replace(
            request,
            sender=request.sender if sender is None else sender,
            recipients=[await pass_.recipient(recipient) for recipient in request.recipients],
            content=content,
        )


class _Pass:
    """The lookups of one attempt: an address that stands in envelope and headers is asked for once."""

    def __init__(self, mapping: AddressMapping, token_limit: int, warn: Callable[[str], None]) -> None:
        self._mapping, self._token_limit, self._warn = mapping, token_limit, warn
        self._known: dict[str, str | None] = {}

    async def find(self, address: str) -> str | None:
        """What an address in internal form becomes, or None. Raises TableError."""
        if address not in self._known:
            found = await self._mapping.find(address)
            if found is not None and len(found) > 1:
                self._warn(f"generic maps: several addresses for {address}: only {found[0]} is taken")
            self._known[address] = found[0] if found else None
        return self._known[address]

    async def recipient(self, recipient: Recipient) -> Recipient:
        """The recipient, or a copy with another address. Raises TableError."""
        found = await self.find(str(recipient.address))
        return recipient if found is None else replace(recipient, address=Address.of(found))

    async def head(self, head: bytes) -> bytes:
        """The header block, the very same where nothing is found. Raises TableError."""
        parts: list[bytes] = []
        at = 0
        for match in FIELD.finditer(head):
            changed = await self._field(match[1], match[2])
            if changed is not None:
                parts += (head[at : match.start()], changed)
                at = match.end()
        return b"".join((*parts, head[at:])) if parts else head

    async def _field(self, name: bytes, value: bytes) -> bytes | None:
        nodes = parsed(value, self._token_limit)
        is_changed = False
        for at, node in enumerate(nodes):
            if isinstance(node, Mailbox) and (found := await self.find(internal(node.tokens))) is not None:
                nodes[at] = Mailbox(scan(quoted(found)))
                is_changed = True
        return field(name, nodes) if is_changed else None
