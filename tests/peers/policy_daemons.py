"""The policy servers that Debian packages, each a private process with files of its own.

postgrey, postfwd and policyd-rate-limit listen; policyd-spf is spawned for each connection, as Postfix's spawn(8) does.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import socket
import socketserver
import subprocess
import tempfile
from pathlib import Path

import psutil
from peers.dns_server import DnsServer
from peers.ports import LOOPBACK, free_port, wait_for
from peers.private_server import PrivateServer
from peers.threaded import ThreadedServer


class PolicyDaemon(PrivateServer):
    """One that listens on ``port``."""

    @property
    def account(self) -> tuple[str, str]:
        """User and group it is told to run as: those it has already."""
        user = self.user if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        return user, grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name

    @property
    def endpoint(self) -> str:
        """As ``check_policy_service`` takes it."""
        return f"inet:{LOOPBACK}:{self.port}"

    def set_up(self) -> None:
        """Nothing to do."""

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, self.port), 1).close()
            return True
        return False


class Postgrey(PolicyDaemon):
    """Greylists for a second; listens on the UNIX-domain socket ``path``."""

    label = user = "postgrey"

    @property
    def path(self) -> str:
        return str(self.directory / "socket")

    def set_up(self) -> None:
        for name in ("clients", "recipients"):
            (self.directory / name).touch()

    def command(self) -> list[str]:
        user, group = self.account
        return [
            "postgrey", f"--unix={self.path}", f"--dbdir={self.directory}", "--delay=1",
            f"--user={user}", f"--group={group}",
            f"--whitelist-clients={self.directory / 'clients'}",
            f"--whitelist-recipients={self.directory / 'recipients'}",
        ]  # fmt: skip

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(self.path)
            return True
        return False


class Postfwd(PolicyDaemon):
    """Applies its rules.

    Args:
        rules: in its language, ``id=NAME; sender=…; action=…``.
    """

    label, user = "postfwd", "postfw"

    def __init__(self, *rules: str) -> None:
        super().__init__()
        self._rules = rules

    def command(self) -> list[str]:
        rules = [argument for rule in self._rules for argument in ("--rule", rule)]
        user, group = self.account
        return [
            "postfwd1", "--interface", LOOPBACK, "--port", str(self.port), "--nodns", "--daemon",
            "--user", user, "--group", group, "--pidfile", str(self.directory / "pid"), *rules,
        ]  # fmt: skip

    def start(self) -> None:
        self.run(self.command())  # it listens only as a daemon
        wait_for(self.is_ready, f"postfwd on port {self.port}")

    def kill(self) -> None:
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            daemon = psutil.Process(int((self.directory / "pid").read_text()))
            daemon.kill()
            daemon.wait(10)


class RateLimit(PolicyDaemon):
    """Lets each client address send ``limit`` messages a minute."""

    label = user = "policyd-rate-limit"

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def set_up(self) -> None:
        user, group = self.account
        (self.directory / "config.yaml").write_text(
            f'debug: false\nuser: "{user}"\ngroup: "{group}"\npidfile: "{self.directory}/pid"\n'
            f'sqlite_config:\n    database: "{self.directory}/db.sqlite3"\nbackend: 0\n'
            f'SOCKET: ["{LOOPBACK}", {self.port}]\nlimits:\n    - [{self._limit}, 60]\nlimits_by_id: {{}}\n'
            'limit_by_sasl: true\nlimit_by_sender: false\nlimit_by_ip: true\nlimited_networks: ["0.0.0.0/0"]\n'
            'success_action: "dunno"\nfail_action: "defer_if_permit Rate limit reach, retry later"\n'
            'db_error_action: "dunno"\nreport: false\ndelay_to_close: 300\n'
        )

    def command(self) -> list[str]:
        return ["policyd-rate-limit", "--file", str(self.directory / "config.yaml")]


class SpfPolicy(ThreadedServer):
    """policyd-spf, one process for each connection, which asks ``dns`` (:func:`peers.postfix_dns.name_server`).

    Attributes:
        processes: all that were started.
    """

    def __init__(self, dns: DnsServer) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self._directory = tempfile.TemporaryDirectory(prefix="policyd-spf-peer-")
        directory = Path(self._directory.name)
        (directory / "resolv.conf").write_text(f"nameserver {dns.host}\noptions timeout:2 attempts:1\n")
        (directory / "conf").write_text("debugLevel = 1\nTestOnly = 1\nHELO_reject = Fail\nMail_From_reject = Fail\n")
        command = [
            "unshare", "--mount", "sh", "-c", f"mount --bind {directory}/resolv.conf /etc/resolv.conf && exec policyd-spf $1",
            "sh", str(directory / "conf"),
        ]  # fmt: skip
        peer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                connection: socket.socket = self.request
                process = subprocess.Popen(
                    command,
                    stdin=connection,
                    stdout=connection,
                    stderr=subprocess.DEVNULL,
                    env={"PATH": "/usr/bin:/bin"},
                )
                peer.processes.append(process)
                process.wait()

        super().__init__(Handler, free_port())

    @property
    def endpoint(self) -> str:
        """As ``check_policy_service`` takes it."""
        return f"inet:{LOOPBACK}:{self.port}"

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for process in self.processes:
            process.kill()
            process.wait(5)
        self._directory.cleanup()
