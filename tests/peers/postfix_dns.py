"""A private Postfix that asks a DNS server of the test's own: both sides of a comparison see the same zones.

Postfix takes its name servers from /etc/resolv.conf, which knows no ports. So the server listens on port 53 of a
loopback address that nobody uses, and the instance runs in a mount namespace with resolv.conf, nsswitch.conf and hosts
of its own; the network is the machine's, and the test connects as always. Needs root, as Postfix does.

    with name_server({"example.com": {"MX": ["10 mx.example.com"]}}) as dns, PostfixWithDns(dns, {…}) as postfix:
        …                                                   # for the gateway: {"resolver_nameservers": dns.address}
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterable, Mapping

from peers.dns_server import DnsServer, Fault, Zone
from peers.ports import NotReady
from peers.postfix import PostfixInstance

_FILES = {
    "resolv.conf": "nameserver {host}\noptions timeout:2 attempts:1\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
}
_MOUNT_AND_RUN = (
    'for file in resolv.conf nsswitch.conf hosts; do mount --bind "$1/$file" "/etc/$file" || exit 1; done; '
    'shift; exec "$@"'
)
_chance = random.SystemRandom()


def name_server(zones: Mapping[str, Zone | Fault] | None = None, *, ttl: int = 300) -> DnsServer:
    """A server on port 53 of a loopback address of its own, to be entered with ``with``.

    Raises: NotReady without root, or when no address is free.
    """
    if os.geteuid() != 0:
        raise NotReady("port 53 needs root")
    for _ in range(20):
        host = f"127.{_chance.randrange(1, 255)}.{_chance.randrange(256)}.{_chance.randrange(1, 255)}"
        try:
            return DnsServer(zones, ttl=ttl, host=host, port=53)
        except OSError:
            continue
    raise NotReady("no loopback address has a free port 53")


class PostfixWithDns(PostfixInstance):
    """One private Postfix that resolves names by ``dns``.

    Args:
        dns: from :func:`name_server`.
        settings: main.cf; ``disable_dns_lookups`` and ``smtp_host_lookup`` are set for DNS.
    The rest is :class:`peers.instance.MailInstance`'s.
    """

    def __init__(
        self,
        dns: DnsServer,
        settings: Mapping[str, str] | None = None,
        *,
        services: Iterable[str] = (),
        files: Mapping[str, str] | None = None,
        smtpd: str = "",
    ) -> None:
        if shutil.which("unshare") is None or dns.port != 53:
            raise NotReady("Postfix can be told of name servers on port 53 only, and by unshare(1)")
        asks_dns = {"disable_dns_lookups": "no", "smtp_host_lookup": "dns"}
        super().__init__(asks_dns | dict(settings or {}), services=services, files=files, smtpd=smtpd)
        self._etc = self.directory / "etc"
        self._etc.mkdir()
        for name, text in _FILES.items():
            (self._etc / name).write_text(text.format(host=dns.host), encoding="utf-8")

    def _launch(self) -> None:
        start = [self.program("postfix"), "-c", str(self.config_directory), "start"]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", _MOUNT_AND_RUN, "sh", str(self._etc), *start],
            check=False, capture_output=True, timeout=60, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip
        if done.returncode:
            raise NotReady(f"postfix start: {(done.stdout + done.stderr).decode(errors='replace')}")
