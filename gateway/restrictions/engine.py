"""The restriction engine: smtpd_*_restrictions, compiled at (re)load and asked at each stage of an SMTP session.

Relay safety stands on three legs: a configuration without anything that stops strangers does not start; source-routed
recipients count as unauthorised (``allow_untrusted_routing = no``); and a recipient for which no list gave an explicit
permission is relayed only to destinations that are ours, whatever the lists say.

Source: SMTPD_ACCESS_README; postconf(5) smtpd_delay_reject, smtpd_relay_before_recipient_restrictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from gateway.config.receive_options import ReceiveOption, receive_options
from gateway.config.values import BadValue, split_words
from gateway.maps import Tables
from gateway.maps.address_class import AddressClasses
from gateway.maps.match_list import NetworkList
from gateway.maps.own_address import own_addresses
from gateway.model.address import Address
from gateway.model.errors import ConfigError, TableError
from gateway.model.ledger import LedgerEntry
from gateway.model.restriction import CLIENT, DATA, END_OF_DATA, HELO, RECIPIENT, SENDER, Subject
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions.address import relay_denied
from gateway.restrictions.compiler import Compiler, check_relay_safety
from gateway.restrictions.evaluation import Observe, evaluate
from gateway.restrictions.place import DnsQuestions, Materials
from gateway.restrictions.progress import KEY, Progress, is_discarded, progress_of
from gateway.restrictions.replies import lookup_failure, refuse, server_error
from gateway.restrictions.step import Step
from gateway.restrictions.unlisted import AddressTables

if TYPE_CHECKING:
    from gateway.config import Config

LISTS: dict[str, Subject] = {
    "smtpd_client_restrictions": CLIENT,
    "smtpd_helo_restrictions": HELO,
    "smtpd_sender_restrictions": SENDER,
    "smtpd_relay_restrictions": RECIPIENT,
    "smtpd_recipient_restrictions": RECIPIENT,
    "smtpd_data_restrictions": DATA,
    "smtpd_end_of_data_restrictions": END_OF_DATA,
}
_ROUTING = frozenset("@!%")
DEPTH_LIMIT = 20
"""Tables whose results name tables whose results …: more than anybody writes, less than a stack."""
RESULTS_LIMIT = 1000
"""Table results kept compiled. A pattern table can make any number of different ones out of what strangers send."""


class RestrictionEngine:
    """The restrictions of one configuration.

    Args:
        config: checked configuration.
        tables: opens the tables that restrictions name.
        resolver: asked by ``reject_unknown_*``.
        registered: restrictions that plugins add, by name.

    Attributes:
        observe: told ``(session, stage, verdict)`` when a verdict is noted (HOLD, WARN, a warn_if_reject …), for a log
            that does not wait for the end of the message.

    Raises:
        ConfigError: a list makes no sense, a table cannot be opened, or strangers could relay.
    """

    def __init__(
        self,
        config: Config,
        tables: Tables,
        resolver: DnsQuestions,
        registered: Mapping[str, object] | None = None,
    ) -> None:
        classes = AddressClasses(config, tables)
        self._materials = Materials(
            config,
            tables,
            resolver,
            classes,
            NetworkList.of(config, "mynetworks", tables),
            own_addresses(config),
            AddressTables(config, tables, classes),
        )
        self._compiler = Compiler(self._materials, registered or {}, self._apply)
        self._lists: dict[str, tuple[Step, ...]] = {
            parameter: tuple(self._compiler.compile(config.words(parameter), parameter, subject))
            for parameter, subject in LISTS.items()
        }
        relay, recipient = self._lists["smtpd_relay_restrictions"], self._lists["smtpd_recipient_restrictions"]
        check_relay_safety(relay, recipient)
        is_relay_first = config.boolean("smtpd_relay_before_recipient_restrictions")
        self._at_recipient = (relay, recipient) if is_relay_first else (recipient, relay)
        self._is_delayed = config.boolean("smtpd_delay_reject")
        takes_any_recipient = ReceiveOption.NO_UNKNOWN_RECIPIENT_CHECKS in receive_options(config)
        self._wants_listed_recipient = config.boolean("smtpd_reject_unlisted_recipient") and not takes_any_recipient
        self._wants_listed_sender = config.boolean("smtpd_reject_unlisted_sender")
        early = ("smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions")
        self._has_delayed = self._wants_listed_sender or any(self._lists[parameter] for parameter in early)
        self._relay_code = config.integer("relay_domains_reject_code")
        self._results: dict[tuple[str, Subject, str], tuple[Step, ...] | None] = {}
        self._classes, self._warn = classes, tables.warn_once
        self.observe: Observe | None = None

    def is_silent(self, stage: str) -> bool:
        """True when the list of ``stage`` (connect, helo, mail, predata, data) never says anything: do not ask it."""
        if stage in ("connect", "helo", "mail"):
            return self._is_delayed
        parameter = {"predata": "smtpd_data_restrictions", "data": "smtpd_end_of_data_restrictions"}.get(stage)
        return parameter is not None and not self._lists[parameter]

    # --- stages ------------------------------------------------------------------------------------------------------

    async def at_connect(self, session: Session) -> Verdict | None:
        """Judge the client before the banner; None under ``smtpd_delay_reject``, which does it at RCPT."""
        session.notes.pop(KEY, None)
        progress = self._begin(session, "connect")
        if self._is_delayed:
            return None
        verdict = await self._list("smtpd_client_restrictions", session, progress)
        progress.deferrals["client"] = progress.defer_if_permit
        return verdict

    async def at_helo(self, session: Session) -> Verdict | None:
        """Judge HELO or EHLO; None under ``smtpd_delay_reject``. What an earlier HELO noted is forgotten."""
        progress = self._begin(session, "helo")
        for noted in progress.helo_notes:
            if noted in session.connection_actions:
                session.connection_actions.remove(noted)
        progress.helo_notes = []
        if self._is_delayed:
            return None
        already = len(session.connection_actions)
        verdict = await self._list("smtpd_helo_restrictions", session, progress)
        progress.helo_notes = session.connection_actions[already:]
        progress.deferrals["helo"] = progress.defer_if_permit
        return verdict

    async def at_mail(self, session: Session) -> Verdict | None:
        """Judge MAIL FROM; None under ``smtpd_delay_reject``."""
        progress = self._begin(session, "mail")
        if self._is_delayed:
            return None
        verdict = await self._sender(session, progress)
        progress.deferrals["sender"] = progress.defer_if_permit
        return verdict

    async def at_rcpt(self, session: Session) -> Verdict | None:
        """Judge RCPT TO (or VRFY, with ``session.sender`` None), delayed lists first.

        Returns:
            A refusal, or None.
        """
        progress = self._begin(session, "rcpt")
        recipient = session.recipient
        # RFC 5321 §4.5.1: postmaster without a domain is always accepted.
        if recipient is None or (not recipient.domain and recipient.local.lower() == "postmaster"):
            return None
        if (verdict := await self._misrouted(recipient, session, progress)) is not None:
            return verdict
        progress.is_recipient_checked = False
        if self._is_delayed:
            verdict = await self._delayed(session, progress) if self._has_delayed else None
            if verdict is not None:
                return verdict
        else:
            progress.defer_if_permit = next((verdict for verdict in progress.deferrals.values() if verdict), None)
        return await self._recipient(recipient, session, progress)

    async def at_data(self, session: Session) -> Verdict | None:
        """Judge DATA or BDAT."""
        return await self._message("smtpd_data_restrictions", "predata", session)

    async def at_end_of_data(self, session: Session) -> Verdict | None:
        """Judge the end of the message; ``session.size_bytes`` is known."""
        return await self._message("smtpd_end_of_data_restrictions", "data", session)

    # --- evaluation --------------------------------------------------------------------------------------------------

    def _begin(self, session: Session, stage: str) -> Progress:
        progress = progress_of(session)
        progress.stage, progress.depth, progress.defer_if_permit = stage, 0, None
        if session.sender is not None:
            progress.notes = session.actions
        else:
            # VRFY judges a recipient without a transaction: what it notes belongs to nothing.
            progress.notes = [] if stage == "rcpt" else session.connection_actions
        return progress

    async def _list(self, parameter: str, session: Session, progress: Progress) -> Verdict | None:
        """One list; a refusal, or None."""
        steps = self._lists[parameter]
        progress.defer_if_reject = None
        if not steps or is_discarded(session):
            return None
        verdict = await evaluate(steps, session, progress, self._warn, self.observe)
        return verdict if verdict is not None and verdict.is_refusal else None

    async def _misrouted(self, recipient: Address, session: Session, progress: Progress) -> Verdict | None:
        """Refuse ``user%..@here``, which is no address, and what is not UTF-8; the rest was checked when read."""
        for address, enhanced, role in ((session.sender, "5.1.7", "sender"), (recipient, "5.1.3", "recipient")):
            if not address or (_ROUTING.isdisjoint(address.local) and address.local.isascii()):
                continue
            try:
                if (await self._classes.resolve(address)).is_valid:
                    continue
                verdict = refuse(501, enhanced, f"Bad {role} address syntax", reason=str(address))
            except TableError as error:
                verdict = lookup_failure(str(address), str(error))
            session.ledger.append(LedgerEntry(progress.stage, "address syntax", verdict, (), str(recipient)))
            return verdict
        return None

    async def _sender(self, session: Session, progress: Progress) -> Verdict | None:
        progress.is_sender_checked = False
        verdict = await self._list("smtpd_sender_restrictions", session, progress)
        if verdict is not None or not self._wants_listed_sender or not session.sender or progress.is_sender_checked:
            return verdict
        return await self._listed(session.sender, session, SENDER, "smtpd_reject_unlisted_sender", progress)

    async def _delayed(self, session: Session, progress: Progress) -> Verdict | None:
        verdict = await self._list("smtpd_client_restrictions", session, progress)
        if verdict is None and session.helo:
            verdict = await self._list("smtpd_helo_restrictions", session, progress)
        if verdict is None and session.sender is not None:
            verdict = await self._sender(session, progress)
        return verdict

    async def _recipient(self, recipient: Address, session: Session, progress: Progress) -> Verdict | None:
        progress.defer_if_reject = None
        is_permitted = False
        is_done = is_discarded(session)
        for steps in self._at_recipient:
            if not steps or is_done:
                continue
            verdict = await evaluate(steps, session, progress, self._warn, self.observe)
            if verdict is None:
                continue
            if verdict.is_refusal:
                return verdict
            is_permitted = is_permitted or verdict.action is Action.OK
            is_done = verdict.action is Action.DISCARD
        if progress.defer_if_permit is not None:
            return self._deferred(session, progress)
        if is_done:
            return None
        if self._wants_listed_recipient and not progress.is_recipient_checked:
            verdict = await self._listed(recipient, session, RECIPIENT, "smtpd_reject_unlisted_recipient", progress)
            if verdict is not None:
                return verdict
        return None if is_permitted else await self._last_resort(recipient, session, progress)

    async def _last_resort(self, recipient: Address, session: Session, progress: Progress) -> Verdict | None:
        """Nobody permitted and nobody objected: the destination must be ours."""
        name = "relay safety"
        try:
            if (await self._classes.resolve(recipient)).is_authorized:
                return None
            verdict = relay_denied(session, self._relay_code)
        except TableError as error:
            verdict = lookup_failure(str(recipient), str(error))
        verdict = msgspec.structs.replace(verdict, reason=name)
        session.ledger.append(LedgerEntry(progress.stage, name, verdict, (), str(recipient)))
        return verdict

    async def _listed(
        self, address: Address, session: Session, subject: Subject, name: str, progress: Progress
    ) -> Verdict | None:
        try:
            verdict = await self._materials.addresses.check(session, address, subject)
        except TableError as error:
            verdict = lookup_failure(str(address), str(error))
        if verdict is not None:
            verdict = msgspec.structs.replace(verdict, reason=verdict.reason or name)
            session.ledger.append(LedgerEntry(progress.stage, name, verdict, (), str(session.recipient or "")))
        return verdict

    async def _message(self, parameter: str, stage: str, session: Session) -> Verdict | None:
        progress = self._begin(session, stage)
        if not self._lists[parameter]:
            return None
        if session.recipient is None and len(session.recipients) == 1:
            # One recipient may be judged and named; of several, naming one would mislead.
            session.recipient = session.recipients[0].address
            try:
                verdict = await self._list(parameter, session, progress)
            finally:
                session.recipient = None
        else:
            verdict = await self._list(parameter, session, progress)
        if verdict is None and progress.defer_if_permit is not None:
            return self._deferred(session, progress)
        return verdict

    def _deferred(self, session: Session, progress: Progress) -> Verdict:
        """The deferral that DEFER_IF_PERMIT asked for, now that nothing rejected."""
        assert progress.defer_if_permit is not None
        verdict = msgspec.structs.replace(progress.defer_if_permit, action=Action.DEFER)
        recipient = str(session.recipient) if session.recipient is not None else ""
        session.ledger.append(LedgerEntry(progress.stage, verdict.reason, verdict, (), recipient))
        return verdict

    # --- results of tables -------------------------------------------------------------------------------------------

    async def _apply(self, text: str, session: Session, subject: Subject, parameter: str) -> Verdict | None:
        progress = progress_of(session)
        if progress.depth >= DEPTH_LIMIT:
            return self._misconfigured(f'{parameter}: tables refer to each other without end, at "{text}"')
        key = (text, subject, parameter)
        if key not in self._results:
            if len(self._results) >= RESULTS_LIMIT:
                self._results.clear()
            self._results[key] = self._compiled(text, subject, parameter)
        steps = self._results[key]
        if steps is None:
            return server_error(f'bad restrictions in a table: "{text}"')
        progress.depth += 1
        try:
            return await evaluate(steps, session, progress, self._warn, self.observe)
        finally:
            progress.depth -= 1

    def _compiled(self, text: str, subject: Subject, parameter: str) -> tuple[Step, ...] | None:
        try:
            return tuple(self._compiler.compile(split_words(text), parameter, subject, is_runtime=True))
        except (ConfigError, BadValue) as error:
            self._warn(f'restrictions in a table: "{text}": {error}')
            return None

    def _misconfigured(self, reason: str) -> Verdict:
        self._warn(reason)
        return server_error(reason)
