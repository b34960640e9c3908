from __future__ import annotations

import pytest

from gateway.model.delivery import Outcome
from gateway.net.resolver import DnsNotFound, DnsTemporary, NullMx
from gateway.proto.server_reply import ServerReply
from gateway.proto.smtp_client import Verb
from gateway.transport import results
from gateway.transport.endpoint import Endpoint

MX = Endpoint("mx.example", "192.0.2.1", 25)
SOCKET = Endpoint("me.example", "/run/lmtp", 0)


def reply(text: str) -> ServerReply:
    return ServerReply(int(text[:3]), text)


@pytest.mark.parametrize(
    ("text", "verb", "outcome", "dsn"),
    [
        ("550 5.1.1 no such user", Verb.RCPT, Outcome.BOUNCED, "5.1.1"),
        ("550 no such user", Verb.RCPT, Outcome.BOUNCED, "5.0.0"),
        ("450 4.2.0 greylisted", Verb.RCPT, Outcome.DEFERRED, "4.2.0"),
        ("552 5.5.3 too many recipients", Verb.RCPT, Outcome.DEFERRED, "4.5.3"),
        ("552 5.3.4 too big", Verb.MAIL, Outcome.BOUNCED, "5.3.4"),
        ("552 too big", Verb.END, Outcome.BOUNCED, "5.0.0"),
        ("250 2.0.0 not what DATA wants", Verb.DATA, Outcome.DEFERRED, "4.5.0"),
        ("354 not what MAIL wants", Verb.MAIL, Outcome.DEFERRED, "4.5.0"),
        ("550 4.1.1 cannot decide", Verb.RCPT, Outcome.BOUNCED, "5.0.0"),
    ],
)
def test_refused(text: str, verb: Verb, outcome: Outcome, dsn: str) -> None:
    status = results.refused(MX, reply(text), verb)
    assert (status.outcome, status.dsn) == (outcome, dsn)
    assert status.text.startswith(f"host mx.example[192.0.2.1] said: {text} (in reply to ")
    assert status.relay == "mx.example[192.0.2.1]:25"


def test_text_is_postfixs() -> None:
    status = results.refused(MX, reply("550-5.1.1 one\n550 5.1.1 two"), Verb.RCPT)
    assert status.text == ("host mx.example[192.0.2.1] said: 550-5.1.1 one 550 5.1.1 two (in reply to RCPT TO command)")
    assert status.remote_reply == "550-5.1.1 one\n550 5.1.1 two"
    sent = results.accepted(MX, reply("250 2.0.0 Ok: queued as 4X"))
    assert (sent.outcome, sent.dsn, sent.text) == (Outcome.SENT, "2.0.0", "250 2.0.0 Ok: queued as 4X")


def test_unwelcome() -> None:
    soft = results.unwelcome(MX, reply("554 5.7.1 no"), is_soft=True)
    assert (soft.outcome, soft.dsn) == (Outcome.DEFERRED, "4.7.1")
    assert soft.text == "host mx.example[192.0.2.1] refused to talk to me: 554 5.7.1 no"
    hard = results.unwelcome(MX, reply("554 5.7.1 no"), is_soft=False)
    assert (hard.outcome, hard.dsn) == (Outcome.BOUNCED, "5.7.1")
    odd = results.unwelcome(MX, reply("354 eh"), is_soft=False)
    assert (odd.outcome, odd.dsn) == (Outcome.DEFERRED, "4.5.0")


def test_unreachable() -> None:
    assert (
        results.unreachable(MX, "Connection refused").text == "connect to mx.example[192.0.2.1]:25: Connection refused"
    )
    assert results.unreachable(SOCKET, "No such file").text == "connect to me.example[/run/lmtp]: No such file"
    assert results.unreachable(MX, "x").dsn == "4.4.1"


def test_unresolved() -> None:
    gone = results.unresolved(DnsNotFound("x.example", "MX", "Host not found"))
    assert (gone.outcome, gone.dsn) == (Outcome.BOUNCED, "5.4.4")
    assert gone.text == ("Host or domain name not found. Name service error for name=x.example type=MX: Host not found")
    later = results.unresolved(DnsTemporary("x.example", "MX", "Host not found, try again"))
    assert (later.outcome, later.dsn) == (Outcome.DEFERRED, "4.4.3")
    null = results.unresolved(NullMx("x.example", "MX", "Domain x.example does not accept mail (nullMX)"))
    assert (null.outcome, null.dsn) == (Outcome.BOUNCED, "5.1.0")
    assert null.text == "Domain x.example does not accept mail (nullMX)"
