"""An after-queue filter as people write one: an aiosmtpd Controller that adds a header and sends the mail back.

with AddingFilter(back_port) as added:
    added.port, added.most
"""

from __future__ import annotations

import asyncio
import smtplib
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from peers.ports import LOOPBACK, free_port

HEADER = b"X-Filtered: yes\r\n"


class _Server(SMTP):
    """An aiosmtpd server that takes XFORWARD."""

    async def smtp_XFORWARD(self, argument: str) -> None:
        told = getattr(self.session, "told", None) or []
        told.append(argument)
        self.session.told = told
        await self.push("250 2.0.0 Ok")


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Server(self.handler, **self.SMTP_kwargs)


class AddingFilter:
    """One filter; it can be stopped and started again.

    Args:
        back_port: where mail goes when it has been looked at.
        delay_s: how long it looks at a message.

    Attributes:
        seen: (sender, recipients, XFORWARD arguments) of every message.
        busy: messages that it has just now; ``most`` were at a time.
    """

    def __init__(self, back_port: int, *, delay_s: float = 0.0) -> None:
        self.port, self._back_port, self.delay_s = free_port(), back_port, delay_s
        self.seen: list[tuple[str, list[str], list[str]]] = []
        self.busy = self.most = 0
        self._controller: Controller | None = None

    # aiosmtpd's handler protocol

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        session.told = []
        return [*responses[:-1], "250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE", responses[-1]]

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        told, session.told = session.told, []
        self.seen.append((str(envelope.mail_from), list(envelope.rcpt_tos), told))
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await asyncio.sleep(self.delay_s)
            await asyncio.get_running_loop().run_in_executor(None, self._send_back, envelope, told)
        except (OSError, smtplib.SMTPException) as exc:
            return f"451 4.3.0 {type(exc).__name__}"
        finally:
            self.busy -= 1
        return "250 2.0.0 Ok: filtered"

    def _send_back(self, envelope: Any, told: list[str]) -> None:
        with smtplib.SMTP(LOOPBACK, self._back_port, local_hostname="filter.peer.example", timeout=20) as client:
            client.ehlo()
            for arguments in told:
                client.docmd("XFORWARD", arguments)
            content = HEADER + bytes(envelope.original_content)
            client.sendmail(envelope.mail_from or "", envelope.rcpt_tos, content, ["BODY=8BITMIME"])

    # life

    def start(self) -> Self:
        """Listen, at the same port as before."""
        self._controller = _Controller(
            self, hostname=LOOPBACK, port=self.port, ready_timeout=10.0, server_hostname="filter.peer.example",
            data_size_limit=100_000_000,
        )  # fmt: skip
        self._controller.start()
        return self

    def stop(self) -> None:
        """Be down."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
