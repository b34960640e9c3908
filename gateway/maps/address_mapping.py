"""What a table of canonical(5), virtual(5) or generic(5) makes of an address.

Owns the way from a table's text to addresses: ``@otherdomain`` keeps the user, each address of the text is brought into
canonical form by the local rules, and the extension that the table did not know goes to each of them where
``propagate_unmatched_extensions`` says so. Once: results are not looked up again. Source: the manual pages' "RESULT
ADDRESS REWRITING" and "ADDRESS EXTENSION".
"""

from __future__ import annotations

from gateway.maps.address_lookup import AddressLookup
from gateway.maps.rewriting import Rewriting
from gateway.model.address import Address
from gateway.model.errors import TableError
from gateway.rfc.address.header import Mailbox, parse
from gateway.rfc.address.tokens import internal, scan


class AddressMapping:
    """The tables of one parameter, and how their results are read. False when there are none.

    Args:
        lookup: with :attr:`gateway.maps.address_lookup.Forms.REWRITING`.
        rewriting: the local rules.
        propagates: results get the unmatched extension;
            :func:`gateway.maps.address_lookup.propagates_extension`.
    """

    def __init__(self, lookup: AddressLookup, rewriting: Rewriting, *, propagates: bool) -> None:
        self._lookup, self._rewriting, self._propagates = lookup, rewriting, propagates

    def __bool__(self) -> bool:
        return bool(self._lookup)

    async def find(self, address: str) -> list[str] | None:
        """The addresses that stand for one, at least one of them; None when the tables do not know it.

        The null address, ``<>``, is one too, empty but for the extension.

        Args:
            address: internal form, as are the results.

        Raises:
            TableError: a table has no answer now, or one without any address.
        """
        found = await self._lookup.find(address)
        if found is None:
            return None
        text = found.value
        if text.startswith("@"):
            user = address.rpartition("@")[0] if "@" in address else address
            text = Address(user.removesuffix(found.extension)).quoted + text
        extension = found.extension if self._propagates else ""
        nodes = parse(scan(text))
        results = [self._result(node, extension) for node in nodes if isinstance(node, Mailbox)]
        if not results and text.strip() == "<>":
            return [extension]
        if not results:
            specs = " ".join(table.spec for table in self._lookup.tables.tables)
            raise TableError(specs, f'no address in "{found.value}" for {found.key}')
        return results

    def _result(self, mailbox: Mailbox, extension: str) -> str:
        self._rewriting.rewrite(mailbox.tokens)
        text = internal(mailbox.tokens)
        local, at, domain = text.rpartition("@")
        return f"{local}{extension}@{domain}" if at else text + extension
