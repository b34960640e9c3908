"""A private slapd: own configuration, schema and data, on a loopback port and a UNIX-domain socket, gone afterwards.

The schema has what mail sites keep in a directory: ``mailacceptinggeneralid`` and ``maildrop`` (ldap_table(5)),
``mail``, groups of DNs (``member``, ``memberdn``) and of LDAP URLs (``memberurl``), aliases and referrals.

    with Slapd(directory, ldif) as slapd:
        server_host = slapd.uri
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil
from peers.ports import LOOPBACK, NotReady, free_port, wait_for

SUFFIX = "dc=example,dc=test"
ROOT_DN, ROOT_PASSWORD = f"cn=admin,{SUFFIX}", "admin password"

# 1.3.6.1.4.1.4203.666 is OpenLDAP's arc for experiments.
_SCHEMA = r"""
attributetype ( 1.3.6.1.4.1.4203.666.1.900 NAME 'mailacceptinggeneralid'
  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.1.901 NAME 'maildrop'
  EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.1.902 NAME 'memberdn'
  EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
attributetype ( 1.3.6.1.4.1.4203.666.1.903 NAME 'memberreference'
  EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.1.904 NAME 'memberaddress'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.1.905 NAME 'octets'
  EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
objectclass ( 1.3.6.1.4.1.4203.666.3.900 NAME 'postfixaccount' SUP top STRUCTURAL MUST cn
  MAY ( mail $ uid $ mailacceptinggeneralid $ maildrop $ memberdn $ memberreference $ memberaddress $ octets $ sn $
    description $ userPassword $ labeledURI $ associatedDomain $ destinationIndicator ) )
"""

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include {directory}/postfix.schema
pidfile {directory}/slapd.pid
argsfile {directory}/slapd.args
modulepath /usr/lib/ldap
moduleload back_mdb
allow bind_v2
threads 4
authz-regexp uid=([^,]*),cn=[^,]*,cn=auth "cn=$1,ou=logins,{suffix}"
{extra}
database mdb
suffix "{suffix}"
rootdn "{root_dn}"
rootpw "{root_password}"
directory {directory}/data
maxsize 4294967296
index objectClass,mail,mailacceptinggeneralid,maildrop eq
{database}
dbnosync
"""


class Slapd:
    """One private slapd; stopped when the ``with`` block ends.

    Args:
        directory: where its files go; must be empty or missing.
        ldif: what the directory holds below :data:`SUFFIX`.
        options: lines of slapd.conf before the database, such as ``sizelimit 10`` or ``TLSCACertificateFile …``.
        database: lines of slapd.conf for the database, such as ``access to * by users read``.
        is_tls: listen for ``ldaps://`` too.
        port: to listen on; a free one by default.
    """

    def __init__(
        self, directory: Path, ldif: str, *, options: str = "", database: str = "", is_tls: bool = False, port: int = 0
    ) -> None:
        self.directory = directory
        self.port, self.tls_port = port or free_port(), free_port() if is_tls else 0
        self._ldif, self._options, self._database = ldif, options, database
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"ldap://{LOOPBACK}:{self.port}"

    @property
    def tls_uri(self) -> str:
        return f"ldaps://{LOOPBACK}:{self.tls_port}"

    @property
    def socket_path(self) -> Path:
        return self.directory / "ldapi"

    @property
    def unix_uri(self) -> str:
        return f"ldapi://{quote(str(self.socket_path), safe='')}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise NotReady("slapd is not running")
        return self._process.pid

    # life

    def __enter__(self) -> Self:
        (self.directory / "data").mkdir(parents=True)
        (self.directory / "postfix.schema").write_text(_SCHEMA)
        (self.directory / "slapd.conf").write_text(
            _CONFIGURATION.format(
                directory=self.directory,
                suffix=SUFFIX,
                root_dn=ROOT_DN,
                root_password=ROOT_PASSWORD,
                extra=self._options,
                database=self._database,
            )
        )
        self._load()
        self.start()
        return self

    def _load(self) -> None:
        program = shutil.which("slapadd", path="/usr/sbin:/sbin:/usr/bin")
        if program is None:
            raise NotReady("slapadd is not installed")
        done = subprocess.run(
            [program, "-q", "-f", str(self.directory / "slapd.conf")],
            input=self._ldif.encode(),
            capture_output=True,
            check=False,
            timeout=60 + len(self._ldif) // 10**6,
        )
        if done.returncode:
            raise NotReady(f"slapadd: {done.stderr.decode(errors='replace')}")

    def start(self) -> None:
        """Start, or start again on the same port, and wait until it takes connections."""
        program = shutil.which("slapd", path="/usr/sbin:/sbin:/usr/bin")
        if program is None:
            raise NotReady("slapd is not installed")
        tls = f" ldaps://{LOOPBACK}:{self.tls_port}" if self.tls_port else ""
        with (self.directory / "slapd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    "-d",
                    "0",
                    "-f",
                    str(self.directory / "slapd.conf"),
                    "-h",
                    f"{self.uri} {self.unix_uri}{tls}",
                ],
                stdout=log,
                stderr=log,
            )
        wait_for(self._is_ready, f"slapd on port {self.port}")

    def _is_ready(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise NotReady(f"slapd ended: {(self.directory / 'slapd.log').read_text(errors='replace')[-2000:]}")
        try:
            with socket.create_connection((LOOPBACK, self.port), 1):
                return True
        except OSError:
            return False

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it (SIGKILL: at once, in the middle of whatever it does)."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
            if number != signal.SIGKILL:  # which ends a stopped process too
                process.send_signal(signal.SIGCONT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def stop(self) -> None:
        """End it politely."""
        self.kill(signal.SIGTERM)

    def suspend(self) -> None:
        """Let it hang: connections are taken by the kernel, nothing is answered (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)
        process = psutil.Process(self.pid)
        wait_for(lambda: process.status() == psutil.STATUS_STOPPED, "slapd stopped")

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
