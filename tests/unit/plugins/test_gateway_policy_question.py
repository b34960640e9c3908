"""What a policy server is told of a session where no dialogue with a client shows it: see tests/scenarios/policy_service."""

from __future__ import annotations

import gc
import itertools
import weakref

from gateway_policy.question import announced, instance_of, question

from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.session import Session
from gateway.restrictions.progress import progress_of


def session_at(stage: str) -> Session:
    session = Session(
        Client("203.0.113.9", "4711", "mail.client.example"), server_address="192.0.2.1", server_port="25"
    )
    session.sender = Address("s", "sender.example")
    progress_of(session).stage = stage
    return session


def test_an_instance_lasts_as_long_as_its_transaction() -> None:
    session, count = session_at("rcpt"), itertools.count()
    first = instance_of(session, count)
    assert first is not None
    assert instance_of(session, count) is first
    text, gone = first.text, weakref.ref(first)
    del first
    session.reset()
    gc.collect()
    assert gone() is None
    assert instance_of(session, count) is None  # no MAIL yet
    session.sender = Address.NULL
    second = instance_of(session, count)
    assert second is not None
    assert second.text != text


def test_there_is_no_instance_before_mail_was_accepted() -> None:
    for stage in ("helo", "mail"):
        assert instance_of(session_at(stage), itertools.count()) is None
    assert instance_of(session_at("data"), itertools.count()) is not None


def test_transactions_of_the_same_moment_differ() -> None:
    count = itertools.count()
    instances = [instance_of(session_at("rcpt"), count) for _ in range(1000)]
    assert len({instance.text for instance in instances if instance}) == 1000


def test_the_size_that_mail_announced() -> None:
    session = session_at("mail")
    assert announced(session) == 0
    session.mail_params = {"SIZE": "99"}
    assert announced(session) == 99
    assert question(session, None, stress="", policy_context="").size == 99
    session.size_bytes = 5
    assert question(session, None, stress="", policy_context="").size == 5
    session.mail_params = {"SIZE": "²"}
    assert announced(session) == 0


def test_states() -> None:
    states = [question(session_at(stage), None, stress="", policy_context="").protocol_state
              for stage in ("connect", "helo", "mail", "rcpt", "predata", "data")]  # fmt: skip
    assert states == ["CONNECT", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"]
    session = session_at("rcpt")
    session.command = "VRFY"
    assert question(session, None, stress="yes", policy_context="c").protocol_state == "VRFY"
    assert question(session, None, stress="yes", policy_context="c").stress == "yes"


def test_recipients_are_counted_when_they_are_complete() -> None:
    session = session_at("rcpt")
    session.rcpt_count = 3
    assert question(session, None, stress="", policy_context="").recipient_count == 0
    progress_of(session).stage = "predata"
    assert question(session, None, stress="", policy_context="").recipient_count == 3
