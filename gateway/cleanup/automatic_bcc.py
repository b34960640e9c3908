"""Copies that nobody asked for: ``always_bcc``, ``sender_bcc_maps``, ``recipient_bcc_maps``.

Source: postconf(5); ADDRESS_REWRITING_README, "Automatic BCC recipients".
"""

from __future__ import annotations

from gateway.maps.address_lookup import AddressLookup
from gateway.maps.rewriting import Rewriting
from gateway.model.address import Address
from gateway.rfc.address.quoting import address_of


class AutomaticBcc:
    """Who gets copies. False when nobody does.

    A table's text is one address, as it stands in an envelope: there are no lists here, quotes are part of the name,
    and no extension is passed on.

    Args:
        always: always_bcc.
        senders, recipients: the tables, with :attr:`gateway.maps.address_lookup.Forms.ADDRESS`.
        rewriting: the local rules.
    """

    def __init__(self, always: str, senders: AddressLookup, recipients: AddressLookup, rewriting: Rewriting) -> None:
        self._rewriting, self._senders, self._recipients = rewriting, senders, recipients
        self.always = self._address(always) if always else None

    def __bool__(self) -> bool:
        return bool(self.always or self._senders or self._recipients)

    async def for_sender(self, sender: Address) -> Address | None:
        """Who gets a copy of mail from a sender. Raises TableError."""
        return await self._found(self._senders, sender)

    async def for_recipient(self, recipient: Address) -> Address | None:
        """Who gets a copy of mail to a recipient. Raises TableError."""
        return await self._found(self._recipients, recipient)

    async def _found(self, lookup: AddressLookup, address: Address) -> Address | None:
        if not lookup or not address:
            return None
        found = await lookup.find(str(address))
        return self._address(found.value) if found is not None else None

    def _address(self, text: str) -> Address:
        return self._rewriting.address(address_of(text))
