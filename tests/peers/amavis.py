"""amavisd-new as an after-queue filter: Debian's program under a directory of its own, without scanners.

with Amavis(forward_port=port) as amavis:
    amavis.port

Needs root, because its Perl modules insist on an account to change to. Source: amavisd.conf(5), README.postfix of
amavisd-new.
"""

from __future__ import annotations

import contextlib
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from peers.ports import NotReady, banner, free_port, wait_for

_CONFIGURATION = """\
use strict;
$daemon_user = '{user}';
$daemon_group = '{user}';
$max_servers = 2;
$max_requests = 100;
$MYHOME = '{home}';
$TEMPBASE = '{home}/tmp';
$QUARANTINEDIR = undef;
$db_home = '{home}/db';
$lock_file = '{home}/lock';
$pid_file = '{home}/pid';
$enable_db = 0;
$enable_zmq = 0;
$enable_dkim_verification = 0;
$enable_dkim_signing = 0;
$myhostname = 'amavis.peer.example';
$mydomain = 'peer.example';
$inet_socket_bind = '127.0.0.1';
$inet_socket_port = {port};
$protocol = 'SMTP';
$forward_method = 'smtp:[127.0.0.1]:{forward_port}';
$notify_method = $forward_method;
@bypass_virus_checks_maps = (1);
@bypass_spam_checks_maps = (1);
@bypass_banned_checks_maps = (1);
@bypass_header_checks_maps = (1);
@local_domains_maps = (1);
@mynetworks = qw( 127.0.0.0/8 );
$insert_received_line = 1;
$allow_disclaimers = 0;
$do_syslog = 0;
$logfile = '{home}/log';
$log_level = 1;
$file = 'file';
1;
"""


class Amavis:
    """One amavisd in the foreground.

    Args:
        forward_port: where it sends what it has looked at.
        user: who it becomes.
    """

    def __init__(self, forward_port: int, user: str = "nobody") -> None:
        self.port = free_port()
        # It refuses a configuration that lies where it could write.
        self._directory = Path(tempfile.mkdtemp(prefix="amavis-peer-"))
        self._directory.chmod(0o755)
        self.home = self._directory / "home"
        group = pwd.getpwnam(user).pw_gid
        for folder in (self.home, self.home / "tmp", self.home / "db"):
            folder.mkdir(mode=0o750)
            shutil.chown(folder, user, group)
        self._file = self._directory / "amavisd.conf"
        text = _CONFIGURATION.replace("$daemon_group = '{user}'", f"$daemon_group = '{group}'")
        for name, value in {"user": user, "home": self.home, "port": self.port, "forward_port": forward_port}.items():
            text = text.replace(f"{{{name}}}", str(value))
        self._file.write_text(text, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def start(self) -> Self:
        """Start, and wait for the greeting."""
        with (self._directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                ["/usr/sbin/amavisd", "-c", str(self._file), "foreground"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=self.home,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"},
            )  # fmt: skip
        process = self._process

        def greets_or_died() -> bool:
            if process.poll() is not None:
                raise NotReady("amavisd ended")
            return bool(banner(self.port))

        try:
            wait_for(greets_or_died, "the greeting of amavisd", 30)
        except NotReady as late:
            raise NotReady(f"{late}: {(self._directory / 'output').read_text()[-2000:]}") from None
        return self

    def stop(self) -> None:
        """Kill it with its children: it takes seconds to say good-bye, and nothing it has is worth keeping."""
        if self._process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def log_text(self) -> str:
        """What it logged."""
        path = self.home / "log"
        return path.read_text(errors="replace") if path.exists() else ""
