"""A private instance of the system's Postfix: own configuration, queue, data, log and port, gone afterwards.

Needs root, because Postfix's master does. Never reads or writes the system's main.cf and never starts the system's
instance: every command gets ``-c``. Loopback only, no DNS, no system users. Source: postfix(1), postconf(5).

    with PostfixInstance({"relayhost": "[127.0.0.1]:2525"}) as postfix:
        smtplib.SMTP("127.0.0.1", postfix.port)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping

import psutil
from peers.instance import MailInstance
from peers.ports import NotReady

_QUEUES = ("maildrop", "incoming", "active", "deferred", "hold", "corrupt")


class PostfixInstance(MailInstance):
    """One private Postfix; the arguments are :class:`peers.instance.MailInstance`'s.

    A ``hash:`` table among ``files`` needs :meth:`postmap` before :meth:`start`.
    """

    label = "postfix"

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        services: Iterable[str] = (),
        files: Mapping[str, str] | None = None,
        parent: str | None = None,
        smtpd: str = "",
    ) -> None:
        if shutil.which("postfix", path="/usr/sbin") is None:
            raise NotReady("Postfix is not installed")
        if os.geteuid() != 0:
            raise NotReady("a private Postfix instance needs root")
        super().__init__(settings, services=services, files=files, parent=parent, smtpd=smtpd)
        shutil.chown(self.data_directory, "postfix")

    def program(self, name: str) -> str:
        return f"/usr/sbin/{name}"

    def postmap(self, table: str) -> None:
        """Compile a table such as ``hash:access`` that lies in the configuration directory."""
        self.write_configuration()
        kind, _, name = table.partition(":")
        self.command("postmap", f"{kind}:{self.config_directory / name}")

    def _launch(self) -> None:
        self.command("postfix", "start")

    def _ask_to_stop(self) -> None:
        try:
            self.command("postfix", "stop", timeout_s=30)
        except (NotReady, subprocess.TimeoutExpired):
            with contextlib.suppress(NotReady):
                self.command("postfix", "abort", timeout_s=30)

    def master(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int((self.queue_directory / "pid" / "master.pid").read_text()))
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None
        # A pid file may be stale, and its number somebody else's by now.
        return process if process.environ().get("MAIL_CONFIG") == str(self.config_directory) else None

    def queue_size(self) -> int:
        """Messages in all queues: maildrop, incoming, active, deferred, hold, corrupt."""
        return sum(len(files) for queue in _QUEUES for _, _, files in os.walk(self.queue_directory / queue))
