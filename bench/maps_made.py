"""Makes the tables of the part ``maps``: files, servers, namespaces; all gone at the end of an exit stack."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from peers.table_servers import SERVED
from peers.ypserv import DOMAIN, Ypserv

from bench.maps_content import rows, write_source, write_sqlite, write_text
from bench.maps_kinds import Kind

_INSIDE_S = 300.0
_WITH_ACCOUNTS = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"')
T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    """A table, and where a process must be to open it.

    Args:
        spec: ``type:name``.
        command: what to put before a command line.
        environment: of the process.
        domain: the NIS domain to run it in; None for none.
    """

    spec: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    domain: Ypserv | None = None

    def inside(self, function: Callable[[], T]) -> T:
        """What ``function`` returns, run where the table is."""
        return function() if self.domain is None else self.domain.inside(function, _INSIDE_S)


def make(kind: Kind, entries: int, directory: Path, stack: ExitStack) -> Made:
    """The table, its files in ``directory``, its server on ``stack``."""
    match kind.name:
        case "static":
            return Made("static:value")
        case "inline":
            return Made(f"inline:{{ {{ {' = '.join(next(rows(1)))} }} }}")
        case "randmap":
            return Made("randmap:{ one, two, three }")
        case "environ":
            return Made("environ:all", environment=os.environ | dict(rows(entries)))
        case "unix":
            return Made("unix:passwd.byname", (*_WITH_ACCOUNTS, str(_accounts(directory, entries))))
        case "unionmap" | "pipemap":
            source = _source(directory, "texthash", entries)
            return Made(f"{kind.name}:{{ texthash:{source}, static:value }}")
        case "sqlite":
            path = directory / "sqlite"
            write_sqlite(path, entries)
            return Made(f"sqlite:{path}.cf")
        case "nis":
            return _nis(directory, entries, stack)
    if kind.is_remote:
        return _served(kind.name, entries, directory, stack)
    path = _source(directory, kind.name, entries)
    if kind.is_built:
        subprocess.run(["/usr/sbin/postmap", "-c", str(directory), f"{kind.name}:{path}"], check=True)
    return Made(f"{kind.name}:{path}")


def _source(directory: Path, name: str, entries: int) -> Path:
    path = directory / name
    write_source(path, name, entries)
    return path


def _accounts(directory: Path, entries: int) -> Path:
    """The accounts of the machine, which programs look up for themselves, and those we ask for."""
    path = _source(directory, "unix", entries)
    write_text(path, Path("/etc/passwd").read_text(encoding="ascii", errors="replace") + path.read_text("ascii"))
    path.chmod(0o644)
    return path


def _served(name: str, entries: int, directory: Path, stack: ExitStack) -> Made:
    served = SERVED[name]
    port = served.start(stack, dict(rows(entries)), directory)
    file = directory / f"{name}.cf"
    write_text(file, served.text(port))
    return Made(f"{name}:{served.name(port).format(file=file)}")


def _nis(directory: Path, entries: int, stack: ExitStack) -> Made:
    """A map of a domain in namespaces of its own, where connections of the past keep no reserved port.

    Postfix binds anew for each lookup: with ports kept for a minute it could be asked for 150 keys.
    """
    source = _source(directory, "nis", entries)
    nis = stack.enter_context(Ypserv({}))
    nis.command("echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets")
    nis.command(f"/usr/lib/yp/makedbm -l {source} /var/yp/{DOMAIN}/mail")
    return Made("nis:mail", domain=nis)
