"""Is the address one that its address class knows? Source: reject_unlisted_recipient, reject_unlisted_sender,
ADDRESS_CLASS_README; local_recipient_maps, virtual_alias_maps, virtual_mailbox_maps, relay_recipient_maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.maps import Tables
from gateway.maps.address_class import AddressClasses
from gateway.maps.address_lookup import AddressLookup, Extensions
from gateway.maps.destination import AddressClass
from gateway.maps.table_list import TableList
from gateway.model.address import Address
from gateway.model.restriction import SENDER, Subject
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.restrictions.replies import refuse

if TYPE_CHECKING:
    from gateway.config import Config

# class: table that has its addresses, parameter with the reply code, name of the table in the reply, and the enhanced
# codes for recipient and sender
_CLASSES = {
    AddressClass.LOCAL: ("local_recipient_maps", "unknown_local_recipient_reject_code", "local recipient", "5.1.0"),
    AddressClass.VIRTUAL_ALIAS: ("", "unknown_virtual_alias_reject_code", "virtual alias", "5.1.7"),
    AddressClass.VIRTUAL_MAILBOX: (
        "virtual_mailbox_maps", "unknown_virtual_mailbox_reject_code", "virtual mailbox", "5.1.0",
    ),
    AddressClass.RELAY: ("relay_recipient_maps", "unknown_relay_recipient_reject_code", "relay recipient", "5.1.0"),
}  # fmt: skip


_REWRITING = ("recipient_canonical_maps", "sender_canonical_maps", "canonical_maps", "virtual_alias_maps")


class AddressTables:
    """The tables that list valid addresses.

    A table that is not there is an error where main.cf names it; in a default it has no answers, and mail for its
    class is deferred.

    Raises:
        ConfigError: a table cannot be opened.
    """

    def __init__(self, config: Config, tables: Tables, classes: AddressClasses) -> None:
        self._classes = classes
        extensions = Extensions.of(config)

        def lookup(listed: TableList) -> AddressLookup:
            return AddressLookup(listed, extensions, is_local=classes.has_local_names)

        # Rewriting tables: an address that is rewritten exists, whatever its class says. In the order of smtpd(8).
        recipient, sender, both, virtual = (lookup(TableList.of(config, name, tables)) for name in _REWRITING)
        self._for_recipient = [listed for listed in (recipient, both, virtual) if listed]
        self._for_sender = [listed for listed in (recipient, sender, both, virtual) if listed]
        self._lists: dict[AddressClass, AddressLookup] = {}
        self._codes: dict[AddressClass, int] = {}
        shows_table = config.boolean("show_user_unknown_table_name")
        self._texts: dict[AddressClass, str] = {}
        for address_class, (parameter, code, table, _) in _CLASSES.items():
            self._lists[address_class] = lookup(_opened(config, parameter, tables))
            self._codes[address_class] = config.integer(code)
            self._texts[address_class] = "User unknown" + (f" in {table} table" if shows_table else "")
        self._always_local = frozenset({"postmaster", "mailer-daemon", config.text("double_bounce_sender").lower()})

    async def check(self, session: Session, address: Address, subject: Subject) -> Verdict | None:
        """A refusal when the class of the address has a list, and the address is neither in it nor rewritten.

        The rewriting tables are asked first, whatever the class: mail that they cannot be asked for now is not taken.

        Raises:
            TableError: a table has no answer now.
        """
        resolved = await self._classes.resolve(address)
        for rewriting in self._for_sender if subject is SENDER else self._for_recipient:
            if await rewriting.find(resolved.address) is not None:
                return None
        if not (resolved.is_final or resolved.is_relay):
            return None
        address_class = await self._classes.of(resolved.domain)
        if address_class is AddressClass.LOCAL and resolved.address.rpartition("@")[0] in self._always_local:
            return None
        listed = self._lists[address_class]
        if not listed and address_class is not AddressClass.VIRTUAL_ALIAS:
            return None
        if listed and await listed.find(resolved.address) is not None:
            return None
        enhanced = _CLASSES[address_class][3] if subject is SENDER else "5.1.1"
        return refuse(self._codes[address_class], enhanced, subject.refusal(session, self._texts[address_class]))


def _opened(config: Config, parameter: str, tables: Tables) -> TableList:
    if not parameter:
        return TableList(())
    if config.is_set(parameter):
        return TableList.of(config, parameter, tables)
    return TableList([tables.open_default(spec) for spec in config.words(parameter)])
