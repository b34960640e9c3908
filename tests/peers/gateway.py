"""Postgate as real processes: the same private instance as :mod:`peers.postfix`, for the gateway itself.

plugin = "from gateway.hooks import hookimpl\\n..."
with GatewayInstance({"relayhost": "[127.0.0.1]:2525"}, plugins={"veto": plugin}) as gateway:
    smtplib.SMTP("127.0.0.1", gateway.port)
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import psutil
from peers.instance import MailInstance
from peers.ports import NotReady, banner, wait_for

from gateway.config import Config


def mail_owner() -> str:
    """Who runs the workers when a test is root: ``postfix`` where that account can read this Python, else root."""
    python = Path(os.__file__).resolve()
    if os.geteuid() != 0 or all(folder.stat().st_mode & 0o005 == 0o005 for folder in python.parents):
        return "postfix"
    return "root"


class GatewayInstance(MailInstance):
    """One private Postgate, started in the foreground as a child of the test.

    Args:
        plugins: name to source text. Each becomes a file and is loaded by its path, after the built-in ones, unless
            ``settings`` gives ``plugins`` itself (``{dir}/plugins/NAME.py`` is the path then).
    The rest is :class:`peers.instance.MailInstance`'s.
    """

    label = "gateway"

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        services: Iterable[str] = (),
        files: Mapping[str, str] | None = None,
        parent: str | None = None,
        smtpd: str = "",
        plugins: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(settings, services=services, files=files, parent=parent, smtpd=smtpd)
        self._process: subprocess.Popen[bytes] | None = None
        self._output = self.directory / "log" / "output"
        self.settings.setdefault("mail_owner", mail_owner())
        if plugins:
            self._write_plugins(plugins)

    def _write_plugins(self, plugins: Mapping[str, str]) -> None:
        folder = self.directory / "plugins"
        folder.mkdir()
        names = list(Config.from_settings({}).words("plugins"))
        for name, source in plugins.items():
            (folder / f"{name}.py").write_text(source, encoding="utf-8")
            names.append(str(folder / f"{name}.py"))
        self.settings.setdefault("plugins", ", ".join(names))

    def program(self, name: str) -> str:
        return str(Path(sys.executable).parent / name)

    # life

    def _launch(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [self.program("postgate"), "-c", str(self.config_directory), "start-fg"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            )  # fmt: skip

    def start(self, timeout_s: float = 30.0) -> Self:
        """Start, and wait for the greeting; a start that ends at once fails with what it printed."""
        self.write_configuration()
        self._launch()
        process = self._process
        assert process is not None

        def greets_or_died() -> bool:
            if process.poll() is not None:
                raise NotReady(f"postgate start-fg ended with {process.returncode}: {self.output_text()}")
            return bool(banner(self.port))

        try:
            wait_for(greets_or_died, "the gateway's greeting", timeout_s)
        except NotReady as late:
            raise NotReady(f"{late}\n{self.output_text()}\n{self.log_text()[-4000:]}") from None
        return self

    def _ask_to_stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(15)

    def stop(self) -> None:
        """Stop every process; whatever outlives its master is killed too."""
        super().stop()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        if self._process is not None:
            self._process.wait(10)
            self._process = None

    def kill_master(self) -> None:
        """``kill -9`` of the master; returns when it and the workers, which must notice, are gone.

        Raises: NotReady when a worker outlives its master for 15 s.
        """
        processes = self.processes()
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        _, alive = psutil.wait_procs(processes, timeout=15)
        for process in alive:
            process.kill()
        if alive:
            raise NotReady(f"processes outlived their master: {alive}")

    # looking inside

    def master(self) -> psutil.Process | None:
        if self._process is None or self._process.poll() is not None:
            return None
        return psutil.Process(self._process.pid)

    def workers(self) -> list[psutil.Process]:
        """The processes below the master."""
        return self.processes()[1:]

    def output_text(self) -> str:
        """What the gateway printed outside its log."""
        try:
            return self._output.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def queue(self) -> list[dict[str, Any]]:
        """The queue as ``postqueue -j`` prints it: one mapping a message."""
        return [json.loads(line) for line in self.command("postqueue", "-j").splitlines() if line.strip()]

    def queue_size(self) -> int:
        return len(self.queue())
