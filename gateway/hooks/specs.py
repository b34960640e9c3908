"""The contract with plugins: every hook, its arguments, when it runs and what it may answer.

pluggy validates implementations against these signatures when a plugin is loaded; an implementation takes the
arguments it wants, by name. Register hooks run once at (re)load. Stage hooks are compiled into chains and called by
``chain.py`` alone, in the order of main.cf's ``plugins``. Observers are told, and their answer is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from gateway.hooks.marker import PROJECT

if TYPE_CHECKING:
    from gateway.config import Config, Registry
    from gateway.hooks.edit_list import EditList
    from gateway.hooks.message import Message
    from gateway.model.address import Address
    from gateway.model.delivery import DeliveryRequest, Status
    from gateway.model.envelope import Envelope, Recipient
    from gateway.model.ledger import LedgerEntry
    from gateway.model.session import Session
    from gateway.model.verdict import Verdict

hookspec = pluggy.HookspecMarker(PROJECT)

REGISTER = ("parameters", "configure", "lookup_tables", "restrictions", "transports", "commands")
STAGES = ("connect", "helo", "mail", "rcpt", "predata", "data", "queue", "deliver")
OBSERVERS = ("unknown", "reset", "disconnect", "verdict", "delivered")


class Specs:
    """Hook specifications; the docstring slots are checked by tests/meta."""

    # --- register hooks: sync, once per (re)load ---------------------------------------------------------------------

    @hookspec
    def parameters(self, registry: Registry) -> None:
        """Add main.cf parameters of the plugin's own.

        When:     before main.cf values are checked, in every process and tool.
        Args:     registry: ``registry.add(Parameter(...))``; a name that exists is a ConfigError.
        Raises:   anything stops the start, with the plugin's name.
        Postfix:  none.
        """

    @hookspec
    def configure(self, config: Config) -> None:
        """Read settings and build what the plugin needs.

        When:     after main.cf was checked, once per (re)load, before any other call into this plugin instance.
        Args:     config: the whole configuration; ``config.text("name")`` and so on.
        Raises:   ConfigError stops the start (a reload keeps the old configuration); anything else does too.
        Postfix:  none.
        """

    @hookspec
    def lookup_tables(self, register: Callable[[str, Any], None]) -> None:
        """Add lookup table types, usable as ``type:name`` in every parameter.

        When:     at (re)load, before tables are opened.
        Args:     register: ``register(type_name, factory)``; factory(name, config) returns a ``gateway.maps.Table``.
        Raises:   anything stops the start, with the plugin's name.
        Postfix:  DATABASE_README.
        """

    @hookspec
    def restrictions(self, register: Callable[[str, Any], None]) -> None:
        """Add restrictions, usable by name in every ``smtpd_*_restrictions``.

        When:     at (re)load, before restriction lists are compiled.
        Args:     register: ``register(name, factory)``; see ``gateway.model.restriction`` for the factory.
        Raises:   anything stops the start, with the plugin's name.
        Postfix:  smtpd_client_restrictions and its family.
        """

    @hookspec
    def transports(self, register: Callable[[str, Any], None]) -> None:
        """Add delivery programs, usable in the command column of master.cf.

        When:     at (re)load, scheduler process.
        Args:     register: ``register(command, factory)``; factory(config, name) returns a
                  ``gateway.transport.Transport``.
        Raises:   anything stops the start, with the plugin's name. What a delivery raises, or one that takes longer
                  than ``<name>_time_limit`` (``command_time_limit``), defers the mail.
        Postfix:  master(5), transport_time_limit.
        """

    @hookspec
    def commands(self, register: Callable[[str, Any], None]) -> None:
        """Add subcommands to ``postgate``.

        When:     when the command line runs.
        Args:     register: ``register(name, function)``; function(arguments: list[str], config) -> exit status.
        Raises:   anything is reported with the plugin's name; other commands work on.
        Postfix:  none.
        """

    # --- stage hooks: sync or async, per session ---------------------------------------------------------------------

    @hookspec
    def connect(self, session: Session) -> Verdict | None:
        """Judge a connection before the banner.

        When:     once per connection, after ``smtpd_client_restrictions`` (when not delayed); smtpd process.
        Result:   first final Verdict wins; None: no opinion. A refusal is the greeting, and only QUIT is served after.
        Args:     session: client name and address are known.
        Async:    may be ``async def``; deadline ``plugin_timeout``.
        Raises:   anything: ``plugin_default_action``, logged with the plugin's name.
        Edits:    none.
        Postfix:  smtpd_client_restrictions, milter xxfi_connect.    Source: RFC 5321 §3.1.
        """

    @hookspec
    def helo(self, session: Session, name: str) -> Verdict | None:
        """Judge a HELO or EHLO.

        When:     each HELO/EHLO with valid syntax, after ``smtpd_helo_restrictions`` (when not delayed).
        Result:   first final Verdict wins; None: no opinion.
        Args:     name: the argument as sent.
        Async:    may be ``async def``; deadline ``plugin_timeout``.
        Raises:   anything: ``plugin_default_action``, logged with the plugin's name.
        Edits:    none.
        Postfix:  smtpd_helo_restrictions, milter xxfi_helo.    Source: RFC 5321 §4.1.1.1.
        """

    @hookspec
    def mail(self, session: Session, sender: Address, params: Mapping[str, str]) -> Verdict | None:
        """Judge a MAIL FROM.

        When:     each MAIL in a legal state with valid syntax.
        Result:   first final Verdict wins; None: no opinion.
        Args:     sender: ``Address.NULL`` for ``<>``. params: ESMTP parameters, keys upper-case.
        Async:    may be ``async def``; deadline ``plugin_timeout``.
        Raises:   anything: ``plugin_default_action``, logged with the plugin's name.
        Edits:    none here; ask at ``data``.
        Postfix:  smtpd_sender_restrictions, milter xxfi_envfrom.    Source: RFC 5321 §4.1.1.2.
        """

    @hookspec
    def rcpt(self, session: Session, recipient: Address, params: Mapping[str, str]) -> Verdict | None:
        """Judge one RCPT TO, before the recipient joins the envelope.

        When:     once per RCPT in a legal state, after the restriction lists let it pass: no plugin can open a relay.
        Result:   first final Verdict wins; None: no opinion.
        Args:     recipient: decoded address, domain lower-case. params: ESMTP parameters, keys upper-case.
        Async:    may be ``async def``; deadline ``plugin_timeout``.
        Raises:   anything: ``plugin_default_action``, logged with the plugin's name.
        Edits:    none here; ask at ``data``.
        Postfix:  smtpd_recipient_restrictions, milter xxfi_envrcpt.    Source: RFC 5321 §4.1.1.3.
        """

    @hookspec
    def predata(self, session: Session) -> Verdict | None:
        """Judge the envelope, before any content is taken.

        When:     at DATA, or before the first BDAT chunk, after ``smtpd_data_restrictions``.
        Result:   first final Verdict wins; None: no opinion.
        Args:     session: sender and recipients are complete.
        Async:    may be ``async def``; deadline ``plugin_timeout``.
        Raises:   anything: ``plugin_default_action``, logged with the plugin's name.
        Edits:    none here; ask at ``data``.
        Postfix:  smtpd_data_restrictions, milter xxfi_data.    Source: RFC 5321 §4.1.1.4.
        """

    @hookspec
    def data(self, session: Session, message: Message, edits: EditList) -> Verdict | None:
        """Judge and change the whole message, while the client still waits for the answer.

        When:     after the end of data, before anything is queued, after ``smtpd_end_of_data_restrictions``.
        Result:   first final Verdict wins; None: no opinion.
        Args:     message: the content with the edits of earlier plugins applied.
        Async:    may be ``async def``; deadline ``plugin_timeout``.
        Raises:   anything: ``plugin_default_action``; its edits are dropped.
        Edits:    headers, body, sender, recipients; applied once and stored.
        Postfix:  smtpd_end_of_data_restrictions, milter xxfi_eom, smtpd_proxy_filter.    Source: RFC 5321 §4.1.1.4.
        """

    @hookspec
    def queue(self, envelope: Envelope, message: Message, edits: EditList) -> Verdict | None:
        """Judge and change a message from any source just before it is stored.

        When:     once per message: from smtpd after ``data``, and from pickup; never for our own bounces.
        Result:   first final Verdict wins; None: no opinion. For pickup a REJECT bounces and a DEFER is retried.
        Args:     envelope: as it will be stored. message: with all edits so far applied.
        Async:    may be ``async def``; deadline ``plugin_timeout``.
        Raises:   anything: ``plugin_default_action``; its edits are dropped.
        Edits:    headers, body, sender, recipients; applied once and stored.
        Postfix:  cleanup(8), non_smtpd_milters.
        """

    @hookspec
    def deliver(self, request: DeliveryRequest, message: Message, edits: EditList) -> Verdict | None:
        """Judge and change one delivery attempt.

        When:     before each attempt, scheduler process.
        Result:   None or OK: go on. REJECT: bounce. DEFER: try later. DISCARD: done without delivery. FILTER: use that
                  ``transport:nexthop`` for this attempt.
        Args:     request: envelope, recipients, transport and nexthop of this attempt. message: the stored content.
        Async:    may be ``async def``; deadline ``plugin_timeout``.
        Raises:   anything: ``plugin_default_action`` (reject bounces, the others defer or go on).
        Edits:    headers and body, for this attempt only, never stored.
        Postfix:  smtp_header_checks.
        """

    # --- observers: told, never asked --------------------------------------------------------------------------------

    @hookspec
    def unknown(self, session: Session, verb: str, argument: str) -> None:
        """See a command that is not known.

        When:     before the 500 reply.
        Args:     verb: upper-case, printable. argument: the rest of the line.
        Async:    sync only. Raises: anything is logged and ignored.
        Postfix:  milter xxfi_unknown.
        """

    @hookspec
    def reset(self, session: Session) -> None:
        """See the end of a transaction: the last moment at which the transaction's state is there.

        When:     RSET, new HELO, after each end of data (accepted or not), at the end of the connection.
        Args:     session: still with its transaction.
        Async:    sync only. Raises: anything is logged and ignored.
        Postfix:  milter xxfi_abort.
        """

    @hookspec
    def disconnect(self, session: Session) -> None:
        """See the end of a connection.

        When:     once, however it ended.
        Args:     session: as it was last.
        Async:    sync only. Raises: anything is logged and ignored.
        Postfix:  milter xxfi_close.
        """

    @hookspec
    def verdict(self, session: Session | None, entry: LedgerEntry) -> None:
        """See every verdict and edit as it enters the ledger.

        When:     after a plugin or restriction answered. Entries of this plugin's own are left out.
        Args:     session: None outside SMTP. entry: who said what.
        Async:    sync only. Raises: anything is logged and ignored.
        Postfix:  none.
        """

    @hookspec
    def delivered(self, envelope: Envelope, recipient: Recipient, status: Status) -> None:
        """See the result of one attempt for one recipient.

        When:     after each attempt, scheduler process.
        Args:     status: sent, deferred, bounced or expired, with the text that is logged.
        Async:    sync only. Raises: anything is logged and ignored.
        Postfix:  the ``status=`` log line.
        """
