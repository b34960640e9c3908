"""A DNS server on loopback with scripted zones: what the resolver's tests talk to instead of the world.

UDP and TCP on one ephemeral port, in a thread of its own, so that a test in the same loop and a gateway in another
process see the same server. Everything it was asked is kept in ``queries``.

    with DnsServer({"example.com": {"MX": ["10 mx.example.com"]}, "gone.example": NXDOMAIN}) as dns:
        dns.address     # "127.0.0.1:40053"
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Mapping
from enum import Enum

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


class Fault(Enum):
    """What a name does instead of answering."""

    NXDOMAIN = "nxdomain"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    TIMEOUT = "timeout"  # never answers
    GARBAGE = "garbage"  # answers with octets that are no DNS message
    TRUNCATED = "truncated"  # TC over UDP; the records only over TCP


NXDOMAIN, SERVFAIL, REFUSED = Fault.NXDOMAIN, Fault.SERVFAIL, Fault.REFUSED
TIMEOUT, GARBAGE, TRUNCATED = Fault.TIMEOUT, Fault.GARBAGE, Fault.TRUNCATED

Zone = Mapping[str, "list[str] | Fault"]


class DnsServer:
    """Answers from ``zones``: name -> {type: records}, or name -> fault, or name -> {type: fault}.

    A name that is not there is NXDOMAIN; a type that is not there is an empty answer. CNAMEs are followed inside the
    zones. Records are in master-file form (``10 mx.example.``); relative names are taken as absolute. ``ttl`` goes for
    all records, and for negative answers through the SOA.

    Args:
        host, port: where to listen, over UDP and TCP; port 0 is any that is free.
    """

    def __init__(
        self, zones: Mapping[str, Zone | Fault] | None = None, *, ttl: int = 300, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.zones: dict[str, Zone | Fault] = {name.lower(): zone for name, zone in (zones or {}).items()}
        self.ttl = ttl
        self.queries: list[tuple[str, str]] = []
        self.tcp_queries = 0
        self._udp, self._tcp = _bind_both(host, port)
        self.host = host
        self.port: int = self._udp.getsockname()[1]
        self._wake, self._stop = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="dns-server", daemon=True)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def __enter__(self) -> DnsServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.send(b"x")
        self._thread.join(5)
        for sock in (self._udp, self._tcp, self._wake, self._stop):
            sock.close()

    def asked(self, name: str, kind: str) -> int:
        """How often this was asked."""
        return self.queries.count((name, kind))

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._udp, self._tcp, self._wake], [], [])
            if self._wake in ready:
                return
            if self._udp in ready:
                raw, peer = self._udp.recvfrom(65535)
                if answer := self._answer(raw, is_tcp=False):
                    self._udp.sendto(answer, peer)
            if self._tcp in ready:
                self._serve_tcp()

    def _serve_tcp(self) -> None:
        connection, _ = self._tcp.accept()
        with connection:
            connection.settimeout(2)
            raw = connection.recv(65535)
            self.tcp_queries += 1
            if len(raw) > 2 and (answer := self._answer(raw[2:], is_tcp=True)):
                connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, raw: bytes, *, is_tcp: bool) -> bytes:
        query = dns.message.from_wire(raw)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.queries.append((name, kind))
        reply = dns.message.make_response(query, recursion_available=True)
        fault = self._fill(reply, name, kind)
        if fault is Fault.TIMEOUT:
            return b""
        if fault is Fault.GARBAGE:
            return raw[:2] + b"\xff garbage"
        if fault is Fault.TRUNCATED and not is_tcp:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
        if fault in {Fault.NXDOMAIN, Fault.SERVFAIL, Fault.REFUSED}:
            reply.set_rcode(dns.rcode.from_text(fault.name))
        if not reply.answer and fault in {None, Fault.NXDOMAIN}:
            soa = f"ns.invalid. root.invalid. 1 3600 600 86400 {self.ttl}"
            reply.authority.append(dns.rrset.from_text(dns.name.root, self.ttl, "IN", "SOA", soa))
        return _wire(reply, limit=65535 if is_tcp else query.payload or 512)

    def _fill(self, reply: dns.message.Message, name: str, kind: str) -> Fault | None:
        """Put the records of ``name`` into the answer, along CNAMEs; the fault that ends the search, if any."""
        for _ in range(16):
            zone = self.zones.get(name, Fault.NXDOMAIN)
            if isinstance(zone, Fault):
                return zone
            owner = dns.name.from_text(name)
            records = zone.get(kind)
            if isinstance(records, Fault):
                return records
            if records is not None:
                reply.answer.append(
                    dns.rrset.from_text_list(
                        owner, self.ttl, "IN", kind, records, origin=dns.name.root, relativize=False
                    )
                )
                return Fault.TRUNCATED if "TRUNCATED" in zone else None
            alias = zone.get("CNAME")
            if alias is None:
                return None
            if isinstance(alias, Fault):
                return alias
            reply.answer.append(
                dns.rrset.from_text_list(owner, self.ttl, "IN", "CNAME", alias, origin=dns.name.root, relativize=False)
            )
            name = alias[0].rstrip(".").lower()
        return Fault.SERVFAIL


def _bind_both(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on the same port; one that is free for UDP may be somebody's for TCP."""
    for _ in range(100):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind((host, port))
            return udp, socket.create_server(udp.getsockname())
        except OSError:
            udp.close()
    raise OSError("no port is free for both UDP and TCP")


def _wire(reply: dns.message.Message, *, limit: int) -> bytes:
    """The message, or an empty one with TC when it is too large for the transport."""
    try:
        return reply.to_wire(max_size=max(512, limit), want_shuffle=False)
    except dns.exception.TooBig:
        reply.answer.clear()
        reply.flags |= dns.flags.TC
        return reply.to_wire()
