"""The values that every room shares."""

from __future__ import annotations

import msgspec
import pytest

from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope, Recipient, RecipientState
from gateway.model.errors import ConfigError, TableError
from gateway.model.reply import Reply
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict


@pytest.mark.parametrize(
    ("address", "internal", "quoted"),
    [
        (Address("a.b", "x.example"), "a.b@x.example", "a.b@x.example"),
        (Address("a b", "x.example"), "a b@x.example", '"a b"@x.example'),
        (Address('a"\\b', "x.example"), 'a"\\b@x.example', '"a\\"\\\\b"@x.example'),
        (Address("a..b", "x.example"), "a..b@x.example", '"a..b"@x.example'),
        (Address("postmaster"), "postmaster", "postmaster"),
        (Address("grün", "bücher.example"), "grün@bücher.example", "grün@bücher.example"),
        (Address.NULL, "", ""),
    ],
)
def test_address_forms(address: Address, internal: str, quoted: str) -> None:
    assert (str(address), address.quoted) == (internal, quoted)


def test_address_of_text() -> None:
    assert Address.of("A@B@Example.COM.") == Address("A@B", "example.com")
    assert Address.of("root") == Address("root")
    assert not Address.NULL and Address("a")


def test_content_counts_its_octets() -> None:
    assert Content(b"A: 1\r\n", b"body").size_bytes == 12
    assert Content(b"A: 1\r\n", BodyFile("bodies/x", 1000)).size_bytes == 1008
    assert Content(b"A: 1\r\n", is_headless=True).size_bytes == 6


def test_envelope_survives_its_stored_form() -> None:
    envelope = Envelope(
        "Q1", Address("a", "b.example"), [Recipient(Address("c", "d.example"), notify=("NEVER",))], 1.5, trace="t"
    )
    stored = msgspec.msgpack.encode(envelope)
    assert msgspec.msgpack.decode(stored, type=Envelope) == envelope
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode({"queue_id": 7}), type=Envelope)


def test_pending_recipients() -> None:
    done = Recipient(Address("a", "b"), state=RecipientState.DONE)
    waiting = Recipient(Address("c", "d"))
    assert Envelope("Q", Address.NULL, [done, waiting], 0.0).pending == [waiting]


def test_errors_name_the_place() -> None:
    error = ConfigError("no such word", file="/etc/main.cf", line=3, parameter="inet_protocols")
    assert str(error) == "/etc/main.cf, line 3: inet_protocols: no such word"
    assert str(ConfigError("x", file="f")) == "f: x"
    assert str(TableError("texthash:/x", "gone")) == "table texthash:/x: gone"


def test_verdicts() -> None:
    assert Verdict.reject("no").is_final and Verdict.reject("no").is_refusal
    assert Verdict.ok().is_final and not Verdict.ok().is_refusal
    assert not Verdict.hold("x").is_final
    assert Verdict.discard("x").is_final
    assert [
        v.action for v in (Verdict.filter("a:b"), Verdict.redirect("a@b"), Verdict.bcc("a@b"), Verdict.prepend("A: b"))
    ] == [
        Action.FILTER,
        Action.REDIRECT,
        Action.BCC,
        Action.PREPEND,
    ]


def test_reply_on_one_line() -> None:
    assert Reply(250, "one\ntwo", "2.0.0").line == "250 2.0.0 one two"
    assert Reply(354, "go").line == "354 go"
    assert Reply(354, "go").is_positive and not Reply(450, "no").is_positive


def test_reset_forgets_the_transaction_and_keeps_the_connection() -> None:
    session = Session(Client("192.0.2.1", name="c.example"))
    session.helo, session.notes["p"], session.connection_actions[:] = "h", 1, [Verdict.hold("x")]
    session.sender, session.queue_id, session.actions[:] = Address("a", "b"), "Q", [Verdict.hold("y")]
    session.recipients.append(Recipient(Address("c", "d")))
    session.transaction_notes["p"] = 2
    session.reset()
    assert (session.sender, session.queue_id, session.actions, session.recipients) == (None, "", [], [])
    assert session.transaction_notes == {} and session.notes == {"p": 1}
    assert session.helo == "h" and len(session.connection_actions) == 1
    assert session.client.label == "c.example[192.0.2.1]"
