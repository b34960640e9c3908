"""A private instance of the system's Postfix: own configuration, queue, data, log and ports, gone afterwards.

Needs root, because Postfix's master does. Never reads or writes the system's main.cf and never starts the system's
instance: every command gets ``-c``. Loopback only, no DNS, no system users, no aliases. Source: postfix(1), postconf(5).

    with PostfixInstance({"relayhost": "[127.0.0.1]:2525"}) as postfix:
        smtplib.SMTP("127.0.0.1", postfix.port)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from peers.ports import LOOPBACK, NotReady, free_port, wait_for, wait_for_banner

POSTFIX = shutil.which("postfix", path="/usr/sbin:/usr/bin:/usr/local/sbin")

# Debian's stock services, unchrooted: a chroot would need copies of /etc files in each private queue directory.
_SERVICES = """\
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

_QUEUES = ("maildrop", "incoming", "active", "deferred", "hold", "corrupt")


class PostfixInstance:
    """One private Postfix.

    Args:
        settings: main.cf parameters, on top of loopback-only defaults (see :meth:`_main_cf`); a value may hold
            ``{dir}``, which becomes the instance's directory.
        services: extra master.cf lines, or lines that replace a stock service of the same name and type; ``{dir}`` and
            ``{port}`` are replaced.
        files: files to write into the configuration directory before the start, name to text; a ``hash:`` or
            ``lmdb:`` table needs :meth:`postmap` afterwards.
        parent: where to make the instance's directory; the system's temporary directory by default. Benchmarks give a
            directory of the filesystem they compare on.
        smtpd: options of the inbound service, e.g. ``-o smtpd_client_restrictions=permit``.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        services: Iterable[str] = (),
        files: Mapping[str, str] | None = None,
        parent: str | None = None,
        smtpd: str = "",
    ) -> None:
        if POSTFIX is None:
            raise NotReady("Postfix is not installed")
        if os.geteuid() != 0:
            raise NotReady("a private Postfix instance needs root")
        self.directory = Path(tempfile.mkdtemp(prefix="postfix-peer-", dir=parent))
        self.directory.chmod(0o755)  # the mail owner has to walk through
        self.port = free_port()
        self.config_directory = self.directory / "conf"
        self.queue_directory = self.directory / "queue"
        self.data_directory = self.directory / "data"
        self.log_path = self.directory / "log" / "mail.log"
        for path in (self.config_directory, self.queue_directory, self.data_directory, self.log_path.parent):
            path.mkdir()
        shutil.chown(self.data_directory, "postfix")
        for name, text in (files or {}).items():
            (self.config_directory / name).write_text(text, encoding="utf-8")
        self._write_configuration(dict(settings or {}), list(services), smtpd)

    # configuration

    def _main_cf(self) -> dict[str, str]:
        return {
            "compatibility_level": "3.6",
            "queue_directory": str(self.queue_directory),
            "data_directory": str(self.data_directory),
            "maillog_file": str(self.log_path),
            "maillog_file_prefixes": str(self.directory),
            "myhostname": "postfix.peer.example",
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
            "smtp_tls_security_level": "none",
            "smtpd_tls_security_level": "none",
        }

    def _write_configuration(self, settings: dict[str, str], services: list[str], smtpd: str) -> None:
        merged = self._main_cf() | settings
        directory = str(self.directory)
        main = "".join(f"{name} = {value.replace('{dir}', directory)}\n" for name, value in merged.items())
        (self.config_directory / "main.cf").write_text(main, encoding="utf-8")
        rows = [f"{LOOPBACK}:{self.port} inet n - n - - smtpd {smtpd}", *_SERVICES.splitlines()]
        for line in services:
            text = line.replace("{dir}", directory).replace("{port}", str(self.port))
            rows = [row for row in rows if row.split()[:2] != text.split()[:2]]
            rows.append(text)
        (self.config_directory / "master.cf").write_text("\n".join(rows) + "\n", encoding="utf-8")

    # life

    def command(self, *arguments: str, timeout_s: float = 60.0) -> str:
        """Run ``postfix -c dir ...``, ``postmap -c dir ...`` and so on; returns both outputs. Raises on failure."""
        program, *rest = arguments
        done = subprocess.run(
            [f"/usr/sbin/{program}", "-c", str(self.config_directory), *rest],
            check=False, capture_output=True, text=True, timeout=timeout_s, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip
        output = done.stdout + done.stderr
        if done.returncode:
            raise NotReady(f"{' '.join(arguments)}: {output}")
        return output

    def postmap(self, table: str) -> None:
        """Compile a table such as ``hash:access`` that lies in the configuration directory."""
        kind, _, name = table.partition(":")
        self.command("postmap", f"{kind}:{self.config_directory / name}")

    def start(self) -> Self:
        """Start and wait for the greeting."""
        self.command("postfix", "start")
        wait_for_banner(self.port)
        return self

    def stop(self) -> None:
        """Stop every process of the instance; the directory stays. Harmless when it does not run."""
        processes = self._processes()
        if not processes:
            return
        try:
            self.command("postfix", "stop", timeout_s=30)
        except (NotReady, subprocess.TimeoutExpired):
            self.command("postfix", "abort", timeout_s=30)
        _, alive = psutil.wait_procs(processes, timeout=10)
        for process in alive:
            process.kill()

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

    def _processes(self) -> list[psutil.Process]:
        try:
            pid = int((self.queue_directory / "pid" / "master.pid").read_text())
            master = psutil.Process(pid)
            if str(self.config_directory) not in str(master.environ().get("MAIL_CONFIG", "")):
                return []  # a stale pid file: the number belongs to somebody else now
            return [master, *master.children(recursive=True)]
        except (OSError, ValueError, psutil.Error):
            return []

    def pids(self) -> list[int]:
        """The master's process and all its children, now."""
        return [process.pid for process in self._processes()]

    def log_text(self) -> str:
        """Everything logged so far."""
        try:
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def wait_for_log(self, text: str, timeout_s: float = 20.0) -> str:
        """Wait until ``text`` is in the log; returns the whole log."""
        wait_for(lambda: text in self.log_text(), f"Postfix log line with {text!r}", timeout_s)
        return self.log_text()

    def queue_size(self) -> int:
        """Messages in all queues: maildrop, incoming, active, deferred, hold, corrupt."""
        return sum(
            len(files)
            for queue in _QUEUES
            for _, _, files in os.walk(self.queue_directory / queue)
        )  # fmt: skip

    def wait_until_empty(self, timeout_s: float = 60.0) -> None:
        """Wait until no message is queued."""
        wait_for(lambda: self.queue_size() == 0, "an empty Postfix queue", timeout_s, pause_s=0.05)
