"""A private NIS domain: rpcbind, ypserv and ypbind in network, mount, host name and process namespaces of their own.

Most clients bind anew for each lookup and leave two connections from reserved ports behind; there are 400 of those, and
each is back after a minute: Debian's postmap may be asked for 150 keys, not more.

The portmapper's port and the NIS domain's name exist once in a machine, so the servers get a machine of their own, and
so does whoever asks: :meth:`Ypserv.inside` runs a function there. Needs root.

    with Ypserv({"mail.aliases": {"postmaster": "root"}}) as nis:
        nis.inside(lambda: table.ask("postmaster"))
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import subprocess
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from peers.ports import NotReady, wait_for

DOMAIN = "test.nis"
PROGRAMS = ("root", "unshare", "rpcbind", "rpcinfo", "ypserv", "ypbind", "ypwhich")
"""What the ``peer`` marker is to be told."""

_SET_UP = f"""
ip link set lo up
domainname {DOMAIN}
mount -t tmpfs none /var/yp
mount -t tmpfs none /run
mkdir -p /var/yp/binding /var/yp/{DOMAIN} /run/rpcbind
echo 'host 127.0.0.1' > /var/yp/securenets
echo 'domain {DOMAIN} server 127.0.0.1' > /run/yp.conf
exec 2>/run/log
rpcbind -f &
"""
T = TypeVar("T")


class Ypserv:
    """The domain :data:`DOMAIN` with these maps.

    Args:
        maps: keys and values by map.
        with_nul: maps whose keys and values end in a NUL, as those for sendmail do.
    """

    def __init__(self, maps: Mapping[str, Mapping[str, str]], *, with_nul: frozenset[str] = frozenset()) -> None:
        self._maps, self._with_nul = maps, with_nul
        self._port = 700
        self._shell: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._shell = subprocess.Popen(
            ["unshare", "-n", "-m", "-u", "-p", "-f", "--mount-proc", "--kill-child", "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.command(_SET_UP)
            wait_for(lambda: self.command("rpcinfo -p 127.0.0.1 >/dev/null && echo up"), "rpcbind")
            for name, records in self._maps.items():
                text = "".join(f"{key} {value}\n" for key, value in records.items())
                options = "-a" if name in self._with_nul else ""
                path = f"/var/yp/{DOMAIN}/{name}"
                self.command(f"printf %s {shlex.quote(text)} | /usr/lib/yp/makedbm {options} -l - {path}")
            self.start()
            self.command("ypbind -n -i 1 -f /run/yp.conf >/run/ypbind.log 2>&1 &")
            wait_for(lambda: self.command("ypwhich 2>/dev/null"), "ypbind bound to ypserv")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shell is not None:
            self._shell.kill()
            self._shell.communicate()

    def command(self, line: str) -> str:
        """What a shell line in there writes."""
        shell = self._shell
        if shell is None or shell.stdin is None or shell.stdout is None:
            raise NotReady("not started")
        shell.stdin.write(f"{line}\necho ' done'\n")
        shell.stdin.flush()
        written = ""
        for text in shell.stdout:
            if text == " done\n":
                return written
            written += text
        raise NotReady("the namespaces ended")

    def start(self) -> None:
        """Start ypserv, again with the maps it had; at a new port, for it cannot have one that was used lately."""
        self._port += 1
        self.command(f"ypserv -d -p {self._port} >/run/ypserv.log 2>&1 & Y=$!")
        wait_for(lambda: self.command("rpcinfo -T udp 127.0.0.1 100004 2 2>/dev/null"), "ypserv")

    def stop(self) -> None:
        """End ypserv."""
        self.command("kill $Y; wait $Y")

    def pause(self) -> None:
        """Let ypserv hang."""
        self.command("kill -STOP $Y")

    def resume(self) -> None:
        """Let ypserv go on."""
        self.command("kill -CONT $Y")

    def inside(self, function: Callable[[], T], timeout_s: float = 30) -> T:
        """What ``function`` returns or raises, run in a thread of those namespaces.

        Threads and processes that it starts are in there too.
        """
        assert self._shell is not None
        results: list[T] = []
        errors: list[BaseException] = []
        pid = self._shell.pid

        def enter() -> None:
            try:
                for name in ("net", "uts"):
                    _enter(f"/proc/{pid}/ns/{name}")
                results.append(function())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=enter, daemon=True)
        thread.start()
        thread.join(timeout_s)
        if errors:
            raise errors[0]
        if not results:
            raise NotReady(f"no result within {timeout_s:g} s")
        return results[0]


def _enter(path: str) -> None:
    """Move the calling thread into a namespace. Source: setns(2)."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with contextlib.closing(os.fdopen(number)):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(number, 0):
            raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
