"""Mail of our own, such as notifications, on its way to the spool.

Its recipients and headers are mapped as everybody's, so that it reaches a sender who is an alias; it is neither copied
nor shown to plugins. Its sender stays: that address tells a notification from mail that wants one. Source: cleanup(8);
postconf(5) always_bcc, "automatic BCC recipients are produced only for new mail".
"""

from __future__ import annotations

from gateway.cleanup.cleanup import Submitter
from gateway.cleanup.cleanup_row import cleanup_config
from gateway.cleanup.header_addresses import header_rewriters
from gateway.cleanup.mappings import Mappings
from gateway.cleanup.virtual_aliases import EndlessAlias
from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.rewriting import Rewriting
from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError, TableError
from gateway.observe import MailLog


class InternalMail:
    """A submitter in front of another.

    Args:
        config: main.cf.
        submitter: the spool.
        tables: opens the tables of the address mappings.
        log: the process's log.

    Raises:
        ConfigError: a table cannot be opened, or a class of addresses does not exist.
    """

    def __init__(self, config: Config, submitter: Submitter, *, tables: Tables, log: MailLog) -> None:
        self._submitter = submitter
        rewriting = Rewriting(config)
        mapped_by = cleanup_config(config, config)
        self._mappings = Mappings(mapped_by, tables, rewriting, log.logger("cleanup").warning)
        self._headers = header_rewriters(config, rewriting, self._mappings)[0]
        self._has_mappings = bool(self._mappings)

    async def submit(self, envelope: Envelope, content: Content) -> None:
        """Map and store.

        Raises:
            SpoolError: nothing was stored; a table that has no answer now is as good a reason as a full disk.
        """
        if self._has_mappings:
            try:
                await self._mappings.map_added(envelope, ())
                head = await self._headers.map(content.head)
            except (TableError, EndlessAlias) as exc:
                raise SpoolError(str(exc)) from exc
            content = Content(head, content.body, content.is_headless)
            envelope.size_bytes = content.size_bytes
        await self._submitter.submit(envelope, content)
