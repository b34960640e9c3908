"""Which address becomes which, from the client's words to what the spool stores.

Owns the order: canonical maps (those of senders or recipients, then those of all), masquerading, a copy for what the
sender is, a copy for what each recipient is, virtual aliases, and duplicates last. Addresses come in canonical form
already; the tables themselves are :mod:`gateway.cleanup.canonical`'s and its neighbours'. Mail of our own is expanded,
and never copied. Source: ADDRESS_REWRITING_README; cleanup(8); postconf(5) receive_override_options.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable

from msgspec.structs import replace

from gateway.cleanup.address_use import RECIPIENTS, SENDERS, AddressUse, Step, uses_of
from gateway.cleanup.automatic_bcc import AutomaticBcc
from gateway.cleanup.canonical import Canonical
from gateway.cleanup.masquerade import Masquerade
from gateway.cleanup.recipients import DuplicateFilter
from gateway.cleanup.virtual_aliases import VirtualAliases
from gateway.config import Config
from gateway.config.receive_options import ReceiveOption
from gateway.maps import Tables
from gateway.maps.address_class import AddressClasses
from gateway.maps.address_lookup import AddressLookup, Extensions, Forms, propagates_extension
from gateway.maps.address_mapping import AddressMapping
from gateway.maps.match_list import DomainList, Subdomains
from gateway.maps.rewriting import Rewriting
from gateway.maps.table_list import TableList
from gateway.model.address import Address
from gateway.model.envelope import Envelope, Recipient
from gateway.rfc.address.quoting import address_of, quoted, unquoted

_CANONICAL = (
    ("sender_canonical_maps", "sender_canonical_classes", SENDERS),
    ("recipient_canonical_maps", "recipient_canonical_classes", RECIPIENTS),
    ("canonical_maps", "canonical_classes", SENDERS | RECIPIENTS),
)
_NOBODY_TOLD = ("NEVER",)
_NO_OPTION = ReceiveOption(0)


class Mappings:
    """The mappings of one service. False when there are none: then nothing needs to be asked.

    Args:
        config: of the cleanup service; :func:`gateway.cleanup.cleanup_row.cleanup_config`.
        tables: opens those that it names.
        rewriting: the local rules.
        warn: told of results that make no sense.
        options: of the service that takes the mail in: NO_ADDRESS_MAPPINGS leaves everything out.

    Raises:
        ConfigError: a table cannot be opened, or a class of addresses does not exist.
    """

    def __init__(
        self,
        config: Config,
        tables: Tables,
        rewriting: Rewriting,
        warn: Callable[[str], None],
        options: ReceiveOption = _NO_OPTION,
    ) -> None:
        self._tables, self._rewriting, self._extensions = tables, rewriting, Extensions.of(config)
        self._config, self._classes = config, AddressClasses(config, tables)
        self._duplicates = DuplicateFilter(config)
        steps = [*self._canonical(warn), *self._masquerade()]
        self._aliases = VirtualAliases(config, self._mapping("virtual_alias_maps", "virtual"))
        self._copies = AutomaticBcc(
            config.text("always_bcc"), self._lookup("sender_bcc_maps"), self._lookup("recipient_bcc_maps"), rewriting
        )
        self._is_left_out = ReceiveOption.NO_ADDRESS_MAPPINGS in options
        self._steps: dict[AddressUse, tuple[Step, ...]] = {
            use: () if self._is_left_out else tuple(step for step in steps if use in step.uses) for use in AddressUse
        }

    def __bool__(self) -> bool:
        return not self._is_left_out and bool(self._aliases or self._copies or any(self._steps.values()))

    @property
    def has_headers(self) -> bool:
        """True when addresses in headers may change."""
        return bool(self._steps[AddressUse.HEADER_SENDER] or self._steps[AddressUse.HEADER_RECIPIENT])

    def _lookup(self, parameter: str, forms: Forms = Forms.ADDRESS) -> AddressLookup:
        listed = TableList.of(self._config, parameter, self._tables)
        return AddressLookup(listed, self._extensions, forms, is_local=self._classes.has_local_names)

    def _mapping(self, parameter: str, use: str) -> AddressMapping:
        propagates = propagates_extension(self._config, use)
        return AddressMapping(self._lookup(parameter, Forms.REWRITING), self._rewriting, propagates=propagates)

    def _canonical(self, warn: Callable[[str], None]) -> list[Step]:
        steps: list[Step] = []
        for parameter, classes, allowed in _CANONICAL:
            uses = uses_of(self._config, classes, allowed)
            if mapping := self._mapping(parameter, "canonical"):
                steps.append(Canonical(parameter, mapping, uses, warn))
        return steps

    def _masquerade(self) -> list[Step]:
        uses = uses_of(self._config, "masquerade_classes", SENDERS | RECIPIENTS)
        exceptions = DomainList.of(self._config, "masquerade_exceptions", self._tables, Subdomains.NONE)
        has_exceptions = bool(self._config.words("masquerade_exceptions"))
        domains = self._config.words("masquerade_domains")
        return [Masquerade(domains, exceptions if has_exceptions else None, uses)] if domains else []

    # --- one address -------------------------------------------------------------------------------------------------

    async def _rewritten(self, text: str, use: AddressUse) -> str:
        for step in self._steps[use]:
            text = await step.rewritten(text)
        return text

    async def _address(self, address: Address, use: AddressUse) -> Address:
        if not self._steps[use] or not address:
            return address
        before = str(address)
        text = await self._rewritten(before, use)
        return address if text == before else address_of(text)

    async def sender(self, sender: Address) -> Address:
        """The reverse-path to store; the null one stays.

        Raises:
            TableError: a table has no answer now, or one without any address.
        """
        return await self._address(sender, AddressUse.ENVELOPE_SENDER)

    async def header(self, address: str, use: AddressUse) -> str:
        """An address in a header, in external form, which is kept where nothing changes.

        Raises:
            TableError: as above.
        """
        if not self._steps[use]:
            return address
        before = unquoted(address)
        text = await self._rewritten(before, use)
        return address if text == before else quoted(text)

    # --- the envelope ------------------------------------------------------------------------------------------------

    async def map(self, envelope: Envelope, added: Iterable[Recipient] = ()) -> list[Recipient]:
        """Give a new message the sender and recipients that it is to be stored with.

        Args:
            envelope: as the client gave it, addresses in canonical form.
            added: those of its recipients whom plugins added: there are no copies of what they get, as there are none
                for recipients that milters add.

        Returns:
            The aliases whose sender wants to hear of success: that they were expanded is all that there will be to say,
            for those who took their place do not report it (RFC 3461 §5.2.7; RFC 3464 §2.3.3, "expanded").

        Raises:
            TableError: a table has no answer now, or one without any address.
            EndlessAlias: aliases have no end.
        """
        envelope.sender = await self.sender(envelope.sender)
        reported: list[Recipient] = []
        uncopied = {id(recipient) for recipient in added}
        recipients = [recipient async for recipient in self._with_copies(envelope, uncopied, reported)]
        envelope.recipients = self._duplicates.unique(recipients)
        return reported

    async def map_sender(self, envelope: Envelope) -> None:
        """Map a sender that took the place of another; mail from it is copied too. Raises as :meth:`map`."""
        envelope.sender = await self.sender(envelope.sender)
        copies = await self._copy(await self._copies.for_sender(envelope.sender))
        envelope.recipients = self._duplicates.unique([*envelope.recipients, *copies])

    async def map_added(self, envelope: Envelope, already: Collection[Recipient]) -> None:
        """Map the recipients who are not ``already`` mapped, without copies for them. Raises as :meth:`map`."""
        mapped = {id(recipient) for recipient in already}
        recipients = []
        for recipient in envelope.recipients:
            if id(recipient) in mapped:
                recipients.append(recipient)
            else:
                recipients += await self._expanded(await self._canonical_form(recipient))
        envelope.recipients = self._duplicates.unique(recipients)

    async def _with_copies(
        self, envelope: Envelope, uncopied: set[int], reported: list[Recipient]
    ) -> AsyncIterator[Recipient]:
        """All recipients, duplicates among them, in Postfix's order: who was asked for, each followed by his copy."""
        copies = self._copies
        for each in await self._copy(await copies.for_sender(envelope.sender)):
            yield each
        for recipient in envelope.recipients:
            canonical = await self._canonical_form(recipient)
            found = await self._expanded(canonical)
            if "SUCCESS" in canonical.notify and found != [canonical]:
                reported.append(canonical)
                found = [_without_success(each) for each in found]
            for each in found:
                yield each
            if id(recipient) not in uncopied:
                for each in await self._copy(await copies.for_recipient(canonical.address)):
                    yield each
        for each in await self._copy(copies.always):
            yield each

    async def _copy(self, address: Address | None) -> list[Recipient]:
        """Who gets a copy that is sent to an address; nobody is told what becomes of it (RFC 3461 §4.1)."""
        if address is None:
            return []
        canonical = await self._address(address, AddressUse.ENVELOPE_RECIPIENT)
        return await self._expanded(Recipient(canonical, notify=_NOBODY_TOLD))

    async def _canonical_form(self, recipient: Recipient) -> Recipient:
        return moved(recipient, await self._address(recipient.address, AddressUse.ENVELOPE_RECIPIENT))

    async def _expanded(self, recipient: Recipient) -> list[Recipient]:
        if not self._aliases or not recipient.address:
            return [recipient]
        before = str(recipient.address)
        found = await self._aliases.expand(before)
        if found == [before]:
            return [recipient]
        return [moved(recipient, address_of(text)) for text in found]


def _without_success(recipient: Recipient) -> Recipient:
    notify = tuple(word for word in recipient.notify if word != "SUCCESS")
    return replace(recipient, notify=notify or _NOBODY_TOLD)


def moved(recipient: Recipient, address: Address) -> Recipient:
    """The recipient at another address, still known by the one that the sender gave (RFC 3461 §4.2, §5.2.1)."""
    if address == recipient.address:
        return recipient
    original = recipient.original or str(recipient.address)
    orcpt = recipient.orcpt
    if not orcpt and recipient.notify != _NOBODY_TOLD and original.isascii():
        orcpt = f"rfc822;{quoted(original)}"
    return replace(recipient, address=address, original=original, orcpt=orcpt)
