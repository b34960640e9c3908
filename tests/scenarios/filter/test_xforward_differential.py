"""What is told with XFORWARD, beside Debian's smtp and smtpd: octet by octet, for each way in which mail comes."""

from __future__ import annotations

import re
import smtplib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from peers.dialogue_sink import DialogueSink
from peers.gateway import GatewayInstance
from peers.instance import MailInstance
from peers.ports import LOOPBACK
from peers.postfix import PostfixInstance
from peers.throwaway import throwaway

pytestmark = pytest.mark.peer("postfix")

EVERYTHING = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"
# What a client says before MAIL.
DIALOGUES = (
    ("EHLO client.example",),
    ("HELO client.example",),
    ("EHLO [192.0.2.1]",),
    ("EHLO a=b+c",),
    ("EHLO f.example", "XFORWARD NAME=spike.example ADDR=192.0.2.7 PORT=7 PROTO=ESMTP HELO=h.example IDENT=abc SOURCE=REMOTE"),
    ("EHLO f.example", "XFORWARD NAME=spike.example ADDR=192.0.2.7 PROTO=ESMTP", "XFORWARD HELO=x+2By+E4 IDENT=abc"),
    ("EHLO f.example", "XFORWARD ADDR=IPV6:2001:db8::1 HELO=x+3Dy+C3+A4=+20+7F SOURCE=LOCAL"),
    ("EHLO f.example", "XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE]"),
    (
        "EHLO f.example",
        "XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] PROTO=[UNAVAILABLE] HELO=[UNAVAILABLE] "
        "IDENT=[UNAVAILABLE] SOURCE=[UNAVAILABLE]",
    ),
    ("EHLO f.example", "XFORWARD IDENT=a+20b+2Bc"),
    ("EHLO f.example", "XFORWARD SOURCE=REMOTE"),
    ("EHLO f.example", "XFORWARD NAME=spike.example", "EHLO again.example"),
    ("EHLO f.example", "XFORWARD HELO=" + "h" * 240),
    ("EHLO f.example", "XFORWARD NAME=bad_name..example"),
    ("EHLO f.example", "XCLIENT NAME=far.example ADDR=192.0.2.9 PORT=9", "EHLO far.example"),
    ("EHLO f.example", "XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::9", "HELO far.example"),
    (),
)  # fmt: skip
SENDMAIL = ("sendmail",)
SERVER = {
    "smtpd_authorized_xforward_hosts": "127.0.0.0/8",
    "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
    "smtpd_peername_lookup": "no",
    "mynetworks": "0.0.0.0/0 [::]/0",
    "local_header_rewrite_clients": "static:all",  # XCLIENT does not change whose headers Postfix completes
    "inet_protocols": "all",
}


def normal(lines: list[bytes]) -> list[bytes]:
    """Lines without what differs from run to run."""
    text = b"".join(lines)
    text = re.sub(rb"(?<= IDENT=)[0-9A-Za-z]{8,}(?=[ \r])", b"queue-id", text)
    return re.sub(rb"(?<= PORT=)[0-9]{3,}", b"port", text).splitlines(keepends=True)


OFFERS = (
    ("", b""),
    ("XFORWARD", b""),
    ("XFORWARD NAME ADDR", b""),
    ("xforward proto helo foo", b""),
    ("XFORWARD SOURCE", b""),
    (EVERYTHING, b"550 5.7.1 not you"),
    (EVERYTHING, b"451 4.3.0 later"),
)  # fmt: skip


def heard(sink: DialogueSink, count: int) -> list[bytes]:
    """What a next hop heard from XFORWARD to MAIL since it was last asked; it has ``count`` messages then."""
    sink.wait_for(count)
    with sink.lock:
        lines = [line for line in sink.lines if line.startswith((b"XFORWARD", b"MAIL"))]
        sink.lines.clear()
    return normal(lines)


def post(system: MailInstance, dialogue: tuple[str, ...], recipient: str) -> None:
    """Send a message to one system, over SMTP with a dialogue before it, or with sendmail."""
    if dialogue == SENDMAIL:
        subprocess.run(
            [system.program("sendmail"), "-C", str(system.config_directory), "-f", "s@a.example", recipient],
            input=b"Subject: x\n\nx\n", check=True, timeout=20,
            env={"MAIL_CONFIG": str(system.config_directory), "PATH": "/usr/sbin:/usr/bin"},
        )  # fmt: skip
        return
    with smtplib.SMTP(LOOPBACK, system.port, timeout=20) as client:
        for command in (*dialogue, "MAIL FROM:<s@a.example>", f"RCPT TO:<{recipient}>"):
            client.docmd(command)
        client.data(b"Subject: x\r\n\r\nx\r\n")


def told(kind: type[MailInstance]) -> dict[tuple[str, ...], list[bytes]]:
    """What next hops of one system hear, by dialogue and by what they offer."""
    found = {}
    with ExitStack() as stack:
        everything = stack.enter_context(DialogueSink(EVERYTHING))
        sinks = [stack.enter_context(DialogueSink(*filter(None, [offers]))) for offers, _ in OFFERS]
        for sink, (_, answer) in zip(sinks, OFFERS, strict=True):
            sink.answers["XFOR"] = answer or b"250 2.0.0 Ok"
        routes = [f"{{ {number}.example = out:[{LOOPBACK}]:{sink.port} }}" for number, sink in enumerate(sinks)]
        settings = SERVER | {
            "transport_maps": f"inline:{{ {', '.join(routes)} }}",
            "default_transport": f"out:[{LOOPBACK}]:{everything.port}",
        }
        row = "out unix - - n - - smtp -o smtp_send_xforward_command=yes"
        system = stack.enter_context(throwaway(kind(settings, services=[row])))
        for count, dialogue in enumerate((*DIALOGUES, SENDMAIL), 1):
            post(system, dialogue, "r@b.example")
            found[dialogue] = heard(everything, count)
        for number, (sink, offer) in enumerate(zip(sinks, OFFERS, strict=True)):
            post(system, DIALOGUES[5], f"r@{number}.example")
            found[tuple(map(str, offer))] = heard(sink, 1)
    return found


def test_every_way_in_is_told_as_postfix_tells_it() -> None:
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(told, (GatewayInstance, PostfixInstance))
    assert [*ours.items()] == [*theirs.items()]
    assert len(ours) == len(DIALOGUES) + len(OFFERS) + 1
    assert ours[DIALOGUES[4]] == [
        b"XFORWARD NAME=spike.example ADDR=192.0.2.7 PORT=7\r\n",
        b"XFORWARD PROTO=ESMTP HELO=h.example IDENT=abc SOURCE=REMOTE\r\n",
        b"MAIL FROM:<s@a.example>\r\n",
    ]
