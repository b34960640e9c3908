"""Header addresses are rewritten as Debian's cleanup(8) does: the same messages go through both, and arrive the same.

240 messages with some 1,500 address headers, hand-made and generated with a fixed seed, from clients that are local
and, under remote_header_rewrite_domain, from clients that are not. What is left out differs on purpose:
docs/postfix-differences.md.
"""

from __future__ import annotations

import random
import re
import smtplib
from collections.abc import Iterator

import pytest
from peers.gateway import GatewayInstance
from peers.instance import MailInstance
from peers.ports import LOOPBACK, free_port
from peers.postfix import PostfixInstance
from peers.sinks import RecordingSink

from gateway.rfc.address.fields import NAMES

pytestmark = pytest.mark.peer("postfix")

SETTINGS = {
    "compatibility_level": "3.6",
    "myhostname": "mx.dom.example",
    "mydomain": "dom.example",
    "myorigin": "Origin.example",
    "append_dot_mydomain": "yes",
    "local_header_rewrite_clients": "static:all",
    "remote_header_rewrite_domain": "remote.invalid",
    "message_drop_headers": "",
    "smtpd_client_message_rate_limit": "0",
}
HAND_MADE = [
    b"", b"   ", b"a", b"a@b", b"a@b.c", b"a b <c>", b"a,b", b"a  ,  b ,  c@d", b"Full  Name   <a>,  b (x y),c", b"(x) a", b"a (x) b",
    b"g: a, b;, c", b"g : a , b ; c", b'"Q  u" <a>', b"<a>", b"<a", b"a>", b"a <b> c", b"a (c1) (c2) <b>(c3)", b"<@r1,@r2:u@d>",
    b"a <>", b"<>", b"a!b", b"a%b", b"a!b@c", b"a b c", b"a,,b", b",", b"a;b", b"g:;", b"undisclosed-recipients:;", b"g: ;, a",
    b"a@b.", b"a@b.c, d", b"a\t<b>", b"a\r\n b", b"a,\r\n\tb", b"\r\n a", b"=?utf-8?q?x?= <a>", b'"a\\"b" <c>', b"J. Q. Public <c>",
    b"John (Jack) Doe <c>", b"a@b (unterminated", b'"unterminated <a>', b"[x] <a>", b"a [192.0.2.1]", b"a@[192.0.2.1], b", b".a",
    b"a . b", b"a..b", b"(only)", b"a@b@c, d", b"a:b", b"a:b:c;", b"g:h:a;;", b'g: <a>, "x" <b>;', b"a <b@c", b"a@", b"@b", b"<<a>>",
    b"<a><b>", b"<a>,<b>", b'a"b"c', b"a\\,b <c>", b"a\\ b", b"\xe4 <a>", "ä <ö@ü.example>, é".encode(), b"a <a b>", b"a <(c)a>",
    b"<a@b (c)>", b"x <g:a;>", b"a (c)@b", b"a @ b", b"a@b c@d", b"<a> b <c>", b"; a", b": a", b"a:", b"<:a>", b"a,b;c:d;e",
    b"long name with many words " * 5 + b"<a>", b", ".join(b"user%d" % n for n in range(40)), b"a" * 100 + b"," + b"b" * 100,
    b", ".join(b"user%d@far.example" % n for n in range(40)), b"a (c\r\n d), b (" + b"e " * 40 + b"\r\n f)", b'"u"@x.y, a', b"a@b.c  , d",
]  # fmt: skip
_PARTS = [
    b"a", b"b", b"foo ", b"x.y", b"host", b"u@h.example", b'"Q P" ', b"<", b">", b"<v@h>", b"<w>", b" ", b", ", b",", b",", b";", b":",
    b"(c)", b" (c d) ", b"@", b"%", b".", b"=?utf-8?q?x?= ", b"\r\n ", b"\t", b'"a@b"', b"[192.0.2.1]", b'"x"', b'"u"@x.y', b"\\,",
    b"Mr. X ", b"undisclosed-recipients:;", b"g:", b"(", b'"', b"\xe4", b"\xc3\xa9", b"long.name@some.long.domain.example", b"x.y.",
    b"h!u",
]  # fmt: skip
_SENSIBLE = [
    b"a", b"b@h", b"u@h.example", b"Full Name <a@b.c>", b'"Name, Full" <d>', b"e (comment)", b"<f@g.h>", b"group: i, j@k.l;",
    b"=?utf-8?b?w6Q=?= <m@n.o>", b"p!q", b"r%s", b"long.name@some.long.domain.example", b"t@u.v (w (x) y)",
]  # fmt: skip


def _values() -> list[bytes]:
    random_ = random.Random(822)
    values = list(HAND_MADE)
    for _ in range(500):
        glue = random_.choice([b", ", b",", b",\r\n ", b" , "])
        values.append(glue.join(random_.choices(_SENSIBLE, k=random_.randint(1, 6))))
    while len(values) < 1450:
        value = b"".join(random_.choices(_PARTS, k=random_.randint(1, 12)))
        if not re.search(rb"\r\n[ \t]*(\r\n|\Z)|@[^,;>]*:", value):  # white lines; what looks like a source route
            values.append(value)
    return values


def messages() -> list[bytes]:
    """Header blocks, each with about six address headers and what a message needs."""
    random_ = random.Random(5322)
    values = _values()
    heads = []
    for number in range(240):
        lines = [
            b"Date: Sun, 22 Nov 2026 10:00:00 +0000",
            b"Message-Id: <%d@a.example>" % number,
            b"X-Number: %d" % number,
        ]
        lines += [b"%s: %s" % (random_.choice(NAMES), value) for value in values[number::240]]
        lines += [b"From: f", b"To: t@far.example"]
        lines += [
            b"Resent-Date: Sun, 22 Nov 2026 10:00:00 +0000",
            b"Resent-Message-Id: <1@a.example>",
            b"Resent-From: f",
        ]
        random_.shuffle(lines)
        heads.append(b"\r\n".join(lines) + b"\r\n")
    return heads


MESSAGES = messages()


class Passage:
    """A mail system with two listeners: its clients are local on one, strangers on the other."""

    def __init__(self, kind: type[MailInstance], sink: RecordingSink) -> None:
        self.sink, self.strangers = sink, free_port()
        settings = SETTINGS | {"relayhost": f"[{LOOPBACK}]:{sink.port}", "mynetworks": "127.0.0.0/8"}
        row = f"{LOOPBACK}:{self.strangers} inet n - n - - smtpd -o local_header_rewrite_clients="
        self.instance = kind(settings, services=[row])

    def through(self, heads: list[bytes], port: int) -> dict[bytes, bytes]:
        """Send; returns what arrived, by X-Number, without the trace header."""
        self.sink.messages.clear()
        with smtplib.SMTP(LOOPBACK, port, timeout=20) as client:
            client.ehlo("client.example")
            for head in heads:
                client.mail("s@a.example", ["BODY=8BITMIME"])
                client.rcpt("r@far.example")
                assert client.docmd("DATA")[0] == 354
                client.send(re.sub(rb"(?m)^\.", b"..", head + b"\r\nTo: body\r\n") + b".\r\n")
                assert client.getreply()[0] == 250
        arrived = {}
        for message in self.sink.wait_for(len(heads), timeout_s=60):
            content = re.sub(rb"\AReceived: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)+", b"", message.content)
            number = re.search(rb"^X-Number: (\d+)\r$", content, re.MULTILINE)
            assert number
            arrived[number[1]] = content
        return arrived


@pytest.fixture(scope="module")
def passages() -> Iterator[tuple[Passage, Passage]]:
    with RecordingSink() as first, RecordingSink() as second:
        ours, theirs = Passage(GatewayInstance, first), Passage(PostfixInstance, second)
        with ours.instance, theirs.instance:
            yield ours, theirs


def test_headers_of_local_clients(passages: tuple[Passage, Passage]) -> None:
    ours, theirs = (passage.through(MESSAGES, passage.instance.port) for passage in passages)
    assert ours == theirs
    assert sum(b"@Origin.example" in content for content in ours.values()) > 200


def test_missing_headers_are_added_where_headers_are_rewritten(passages: tuple[Passage, Passage]) -> None:
    for port in ("instance", "strangers"):
        arrived = []
        for passage in passages:
            number = passage.instance.port if port == "instance" else passage.strangers
            content = passage.through([b"X-Number: 1\r\nTo: a\r\n"], number)[b"1"]
            arrived.append(re.sub(rb"(Message-Id: <)[^@]*|(Date: ).*?(?=\r)", rb"\1\2", content))
        assert arrived[0] == arrived[1]
        assert arrived[0].count(b"\r\nFrom: s@a.example\r\n") == 1


def test_envelope_addresses(passages: tuple[Passage, Passage]) -> None:
    """Sender and recipients leave in canonical form; letter case of domains is left out, ours is lower."""
    addresses = [
        "u", "u%far.example", "far.example!u", "u%h", "h!u", "a!b!u", "u%a%b", '"a b"', '"a b"@far.example', "u@h", "u@far.example.",
        "@r.example:u@far.example", "@r.example,@s.example:u", '"u@x"@far.example', '"@r:u"@far.example', '"u%x"', "u@[192.0.2.1]",
        '"a\\"b"@far.example', "é@far.example", "a.b+c@far.example",
    ]  # fmt: skip
    seen = []
    for passage in passages:
        passage.sink.messages.clear()
        with smtplib.SMTP(LOOPBACK, passage.instance.port, timeout=20) as client:
            client.ehlo("client.example")
            for number, address in enumerate(addresses):
                client.command_encoding = "utf-8"
                assert client.docmd(f"MAIL FROM:<{address}> SMTPUTF8")[0] == 250, address
                assert client.docmd(f"RCPT TO:<{address}>")[0] == 250, address
                assert client.data(f"X-Number: {number}\r\n\r\n".encode())[0] == 250
        got = {}
        for message in passage.sink.wait_for(len(addresses)):
            found = re.search(rb"^X-Number: (\d+)\r$", message.content, re.MULTILINE)
            assert found
            got[addresses[int(found[1])]] = (message.sender.lower(), *(each.lower() for each in message.recipients))
        seen.append(got)
    assert seen[0] == seen[1]
    assert seen[0]["far.example!u"] == ("u@far.example", "u@far.example")


def test_headers_of_strangers(passages: tuple[Passage, Passage]) -> None:
    ours, theirs = (passage.through(MESSAGES[:80], passage.strangers) for passage in passages)
    assert ours == theirs
    assert sum(b"remote.invalid" in content for content in ours.values()) > 60
    assert not any(b"Origin.example" in content for content in ours.values())
