"""A private postfix-mta-sts-resolver: a socketmap_table(5) server that answers from a cache filled beforehand.

Domains that are not in the cache would be asked for in the DNS: tests name those only that are.

    with MtaSts({"a.example": "mx.a.example"}) as resolver:
        smtp_tls_policy_maps = socketmap:inet:127.0.0.1:{resolver.port}:postfix
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Mapping

from peers.ports import LOOPBACK
from peers.private_server import PrivateServer

_LONG_S = 10_000_000


class MtaSts(PrivateServer):
    """Policies by domain: the mail exchanger of an ``enforce`` policy, or empty for one of mode ``none``.

    Args:
        policies: all that may be asked for.
        is_unix: listen on the UNIX-domain socket ``path`` instead of the port.
    """

    label = "mta-sts"
    user = "_mta-sts"

    def __init__(self, policies: Mapping[str, str], *, is_unix: bool = False) -> None:
        super().__init__()
        self.policies = dict(policies)
        self.path = str(self.directory / "socket") if is_unix else ""

    def set_up(self) -> None:
        cache = self.directory / "cache.db"
        with contextlib.closing(sqlite3.connect(cache)) as database, database:
            database.execute("create table sts_policy_cache (domain text, ts integer, pol_id text, pol_body text)")
            database.execute("create unique index sts_policy_domain on sts_policy_cache (domain)")
            database.executemany(
                "insert into sts_policy_cache values (?, ?, '1', ?)",
                [(domain, int(time.time()), _policy(exchanger)) for domain, exchanger in self.policies.items()],
            )
        if os.geteuid() == 0:
            shutil.chown(cache, self.user, self.user)
        where = {"path": self.path} if self.path else {"host": LOOPBACK, "port": self.port}
        configuration = {
            **where,
            "cache_grace": _LONG_S,
            "shutdown_timeout": 1,
            "cache": {"type": "sqlite", "options": {"filename": str(cache), "threads": 1}},
            "default_zone": {"strict_testing": False, "require_sni": False, "timeout": 1},
        }
        (self.directory / "daemon.yml").write_text(json.dumps(configuration))

    def command(self) -> list[str]:
        return ["env", f"HOME={self.directory}", "mta-sts-daemon", "-c", str(self.directory / "daemon.yml")]

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX if self.path else socket.AF_INET) as probe:
            probe.connect(self.path or (LOOPBACK, self.port))
            return True
        return False


def _policy(exchanger: str) -> str:
    mode = "enforce" if exchanger else "none"
    return json.dumps({"version": "STSv1", "mode": mode, "mx": [exchanger], "max_age": _LONG_S})
