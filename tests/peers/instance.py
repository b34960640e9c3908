"""What a private mail system needs, whoever's it is: directories, main.cf, master.cf, a log to read, processes to find.

:class:`peers.postfix.PostfixInstance` and :class:`peers.gateway.GatewayInstance` differ in how they start and how their
queue is counted; everything else is here, so that a test or a benchmark treats both alike.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import psutil
from peers.ports import LOOPBACK, NotReady, free_port, wait_for, wait_for_banner

# Debian's stock master.cf, unchrooted: a chroot would need copies of /etc files in each private queue directory.
STOCK_SERVICES = """\
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""

_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


class MailInstance(ABC):
    """One private mail system on a high loopback port.

    Args:
        settings: main.cf parameters, on top of loopback-only defaults (see :meth:`defaults`); a value may hold
            ``{dir}``, which becomes the instance's directory.
        services: master.cf lines that are added, or replace a stock service of the same name and type; ``{dir}`` and
            ``{port}`` are replaced.
        files: files to write into the configuration directory before the start, name to text.
        parent: where to make the instance's directory; the system's temporary directory by default. Benchmarks give a
            directory on the filesystem they compare on.
        smtpd: options of the inbound service, e.g. ``-o smtpd_client_restrictions=permit``.
    """

    label: ClassVar[str]

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        services: Iterable[str] = (),
        files: Mapping[str, str] | None = None,
        parent: str | None = None,
        smtpd: str = "",
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.label}-peer-", dir=parent))
        self.directory.chmod(0o755)  # the mail owner has to walk through
        self.port = free_port()
        self.config_directory = self.directory / "conf"
        self.queue_directory = Path((settings or {}).get("queue_directory", self.directory / "queue"))
        self.data_directory = self.directory / "data"
        self.log_path = self.directory / "log" / "mail.log"
        for path in (self.config_directory, self.queue_directory, self.data_directory, self.log_path.parent):
            path.mkdir()
        for name, text in (files or {}).items():
            (self.config_directory / name).write_text(text, encoding="utf-8")
        self.settings = self.defaults() | dict(settings or {})
        self._services, self._smtpd = list(services), smtpd

    # configuration

    def defaults(self) -> dict[str, str]:
        """The main.cf of an instance without settings: loopback only, no DNS, no system users, no aliases."""
        return {
            "compatibility_level": "3.6",
            "queue_directory": str(self.queue_directory),
            "data_directory": str(self.data_directory),
            "maillog_file": str(self.log_path),
            "maillog_file_prefixes": str(self.directory),
            "myhostname": f"{self.label}.peer.example",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": LOOPBACK,
            "inet_protocols": "ipv4",
            "disable_dns_lookups": "yes",
            "smtp_host_lookup": "native",
            "alias_maps": "",
            "alias_database": "",
            "local_recipient_maps": "",
            "notify_classes": "",
            "biff": "no",
        }

    def write_configuration(self) -> None:
        """Write main.cf and master.cf from ``settings`` and the services; done by :meth:`start`."""
        main = "".join(f"{name} = {self._filled(value)}\n" for name, value in self.settings.items())
        (self.config_directory / "main.cf").write_text(main, encoding="utf-8")
        rows = [f"{LOOPBACK}:{self.port} inet n - n - - smtpd {self._smtpd}", *STOCK_SERVICES.splitlines()]
        for line in map(self._filled, self._services):
            rows = [row for row in rows if row.split()[:2] != line.split()[:2]]
            rows.append(line)
        (self.config_directory / "master.cf").write_text("\n".join(rows) + "\n", encoding="utf-8")

    def _filled(self, text: str) -> str:
        return text.replace("{dir}", str(self.directory)).replace("{port}", str(self.port))

    # life

    @abstractmethod
    def program(self, name: str) -> str:
        """Path of a command of this mail system, such as ``postqueue``."""

    def command(self, name: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 60.0) -> str:
        """Run a command of this mail system with ``-c`` for this instance; returns what it printed.

        Raises: NotReady when it fails.
        """
        done = subprocess.run(
            [self.program(name), "-c", str(self.config_directory), *arguments],
            check=False, capture_output=True, input=stdin, timeout=timeout_s, env=_PATH,
        )  # fmt: skip
        if done.returncode:
            raise NotReady(f"{name} {' '.join(arguments)}: {(done.stdout + done.stderr).decode(errors='replace')}")
        return done.stdout.decode(errors="replace")

    def start(self, timeout_s: float = 30.0) -> Self:
        """Start, and wait for the greeting."""
        self.write_configuration()
        self._launch()
        wait_for_banner(self.port, timeout_s)
        return self

    @abstractmethod
    def _launch(self) -> None: ...

    def stop(self) -> None:
        """Stop every process of the instance; the directory stays. Harmless when it does not run."""
        processes = self.processes()
        if not processes:
            return
        self._ask_to_stop()
        _, alive = psutil.wait_procs(processes, timeout=10)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=5)

    @abstractmethod
    def _ask_to_stop(self) -> None: ...

    def remove(self) -> None:
        """Delete the instance's directory."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            self.remove()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.remove()

    # looking inside

    @abstractmethod
    def master(self) -> psutil.Process | None:
        """The first process of the instance, or None."""

    def processes(self) -> list[psutil.Process]:
        """The master and everything below it, now; empty when it does not run."""
        try:
            master = self.master()
            return [master, *master.children(recursive=True)] if master else []
        except psutil.Error:
            return []

    def pids(self) -> list[int]:
        """Process IDs of :meth:`processes`."""
        return [process.pid for process in self.processes()]

    @abstractmethod
    def queue_size(self) -> int:
        """Messages in all queues."""

    def wait_until_empty(self, timeout_s: float = 60.0) -> None:
        """Wait until no message is queued."""
        wait_for(lambda: self.queue_size() == 0, f"an empty queue of {self.label}", timeout_s, pause_s=0.1)

    def log_text(self) -> str:
        """Everything logged so far."""
        try:
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def wait_for_log(self, text: str, timeout_s: float = 20.0) -> str:
        """Wait until ``text`` is in the log; returns the whole log."""
        try:
            wait_for(lambda: text in self.log_text(), f"a log line of {self.label} with {text!r}", timeout_s)
        except NotReady as late:
            raise NotReady(f"{late}; the log:\n{self.log_text()[-4000:]}") from None
        return self.log_text()
