"""smtp_generic_maps beside Debian's smtp: the same mail, the same tables, and what arrives at a sink.

Four transports, each with tables and parameters of its own in master.cf, and cases made by chance from parts that mean
something: extensions, quotes, local and strange domains, lists, groups and comments in headers.
"""

from __future__ import annotations

import random
import re
import smtplib
from concurrent.futures import ThreadPoolExecutor

import pytest
from peers.gateway import GatewayInstance
from peers.instance import MailInstance
from peers.ports import LOOPBACK
from peers.postfix import PostfixInstance
from peers.sinks import Received, RecordingSink
from peers.throwaway import throwaway

pytestmark = pytest.mark.peer("postfix")

CASES = 240
GENERIC = """\
alice@in.example        alice.a@out.example
bob@in.example          @out.example
carol+x@in.example      carol-x@out.example
carol@in.example        Carol C <carol@Out.Example>
dave@in.example         dave
erin@in.example         erin@sub
frank@in.example        frank@out.example, frank@second.example
"gina g"@in.example     "gina x"@out.example
local                   public@out.example
local+y@here.example    public-y@out.example
mail                    mail@out.example
@all.example            @out.example
@one.example            one@out.example
<odd@in.example>        never@out.example
chain@in.example        alice@in.example
same@in.example         same@in.example
"""
PATTERNS = r"""
/^(.*)@in\.example$/        $1@pattern.example
/^"(.*)"@here\.example$/    "$1"@quoted.example
/^(local)$/                 never@out.example
"""
TRANSPORTS = {
    "plain": "-o smtp_generic_maps=texthash:{dir}/conf/generic",
    "whole": "-o smtp_generic_maps=texthash:{dir}/conf/generic -o propagate_unmatched_extensions=generic",
    "dashed": "-o smtp_generic_maps=texthash:{dir}/conf/generic -o recipient_delimiter=-+ -o propagate_unmatched_extensions=canonical,generic -o append_dot_mydomain=yes",
    "both": "-o smtp_generic_maps=regexp:{dir}/conf/patterns,texthash:{dir}/conf/generic -o append_at_myorigin=no",
}
USERS = [
    "alice", "alice+e", "bob", "bob+e", "carol", "carol+x", "carol+z", "dave", "dave+e", "erin", "frank", "frank+e",
    '"gina g"', '"gina g+e"', "local", "local+y", "local+e", "mail", "chain", "same", "odd", "other", "a-b", "alice-e",
    '"q@q"', "mailer-daemon+e", "Alice",
]  # fmt: skip
DOMAINS = ["in.example", "in.example", "in.example", "here.example", "origin.example", "all.example", "one.example",
           "IN.Example", "far.example"]  # fmt: skip
FORMS = [
    "{a}", "<{a}>", "Some One <{a}>", '"One, Some" <{a}>', "{a} (comment)", "=?utf-8?q?=C3=A4?= <{a}>", "group: {a}, {b};",
    "{a}, {b}", "{a},{b}", "One <{a}>, Two <{b}>", "One <{a}>,\r\n\tTwo <{b}>,\r\n Three <x@y.example>", "undisclosed:;",
    "A very long name that fills a line nearly to the end of it <{a}>, Two <{b}>, Three <c@far.example>", "{a} {b}",
    "alice", "<>", "(nobody)",
]  # fmt: skip
HEADERS = ["From", "To", "Cc", "Reply-To", "Sender", "Resent-To", "Errors-To", "X-To", "Subject", "Return-Receipt-To",
           "TO", "Disposition-Notification-To", "Delivered-To"]  # fmt: skip
INNER = (
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: alice@in.example\r\n\r\nx\r\n--b--\r\n"
)


def address(chance: random.Random) -> str:
    return f"{chance.choice(USERS)}@{chance.choice(DOMAINS)}"


def made(number: int) -> tuple[str, list[str], bytes]:
    """Sender, recipients and content of a case."""
    chance = random.Random(number)
    transport = [*TRANSPORTS][number % len(TRANSPORTS)]
    sender = "" if number % 20 == 7 else address(chance)
    users = [f"case{number}", *chance.sample(USERS, chance.randrange(3))]
    values = [chance.choice(FORMS).format(a=address(chance), b=address(chance)) for _ in range(4)]
    names = chance.sample(HEADERS, len(values))
    lines = [f"Subject: case {number}", *(f"{name}: {value}" for name, value in zip(names, values, strict=True))]
    body = INNER if number % 15 == 3 else "\r\nTo: alice@in.example\r\n"
    return sender, [f"{user}@{transport}.example" for user in users], ("\r\n".join(lines) + "\r\n" + body).encode()


def settings(sink: RecordingSink) -> dict[str, str]:
    return {
        "compatibility_level": "3.6",
        "myorigin": "origin.example",
        "mydomain": "dom.example",
        "mydestination": "here.example",
        "recipient_delimiter": "+",
        "local_header_rewrite_clients": "",
        "append_dot_mydomain": "no",
        "smtpd_recipient_restrictions": "permit_mynetworks",
        "smtpd_reject_unlisted_sender": "no",
        "message_drop_headers": "",
        "default_transport": f"smtp:[{LOOPBACK}]:{sink.port}",
        "transport_maps": "inline:{"
        + ", ".join(f"{{ {name}.example = {name}:[{LOOPBACK}]:{sink.port} }}" for name in TRANSPORTS)
        + "}",
        "smtpd_client_message_rate_limit": "0",
    }


def arrived(kind: type[MailInstance]) -> dict[int, Received]:
    """What came through one system, by case."""
    services = [f"{name} unix - - n - - smtp {options}" for name, options in TRANSPORTS.items()]
    # One table more that knows the recipients of every transport.
    files = {
        "generic": GENERIC + "".join(f"@{name}.example @to.example\n" for name in TRANSPORTS),
        "patterns": PATTERNS,
    }
    with RecordingSink() as sink, throwaway(kind(settings(sink), services=services, files=files)) as system:
        with smtplib.SMTP(LOOPBACK, system.port, timeout=30) as client:
            client.ehlo("client.example")
            for number in range(CASES):
                client.sendmail(*made(number))
        received = sink.wait_for(CASES)
    return {number_of(message): message for message in received}


def number_of(message: Received) -> int:
    found = re.search(rb"^Subject: case (\d+)\r$", message.content, re.MULTILINE)
    assert found is not None
    return int(found[1])


def lowered(addresses: tuple[str, ...]) -> list[str]:
    """Addresses in some order, with domains in lower case, in which envelopes have them here."""
    return sorted(local + at + domain.lower() for local, at, domain in (text.rpartition("@") for text in addresses))


def content(message: Received) -> bytes:
    """The message without what tells which system it came through."""
    return re.sub(rb"(?:\A|(?<=\n))Received: .*\r\n(?:[ \t].*\r\n)*", b"", message.content)


def test_envelopes_and_headers_at_a_sink() -> None:
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(arrived, (GatewayInstance, PostfixInstance))
    assert ours.keys() == theirs.keys() == set(range(CASES))
    wrong = []
    changed = 0
    for number, their in sorted(theirs.items()):
        our = ours[number]
        if lowered((our.sender,)) != lowered((their.sender,)) or lowered(our.recipients) != lowered(their.recipients):
            wrong.append((number, made(number)[:2], (our.sender, our.recipients), (their.sender, their.recipients)))
        if content(our) != content(their):
            wrong.append((number, made(number)[2], content(our), content(their)))
        changed += content(their) != made(number)[2]
    assert wrong == []
    assert changed > CASES // 3
