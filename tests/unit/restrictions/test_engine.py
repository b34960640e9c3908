"""The stages, what lives how long, and that strangers never relay; replies are in tests/scenarios/policy."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import gateway_access
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.address_class import AddressClasses
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.envelope import Recipient
from gateway.model.errors import ConfigError
from gateway.model.restriction import RestrictionKind
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions import RestrictionEngine

SETTINGS = {
    "compatibility_level": "3.6",
    "myorigin": "local.example",
    "mydestination": "local.example",
    "relay_domains": "relay.example",
    "mynetworks": "192.0.2.0/24",
    "local_recipient_maps": "",
    "inet_interfaces": "127.0.0.1",
}
REGISTERED: dict[str, object] = {}
gateway_access.restrictions(REGISTERED.__setitem__)


class NoDns:
    async def mx(self, domain: str) -> list[tuple[int, str]]:
        raise AssertionError

    async def addresses(self, host: str) -> list[str]:
        raise AssertionError


def engine(**more: str) -> RestrictionEngine:
    config = Config.from_settings(SETTINGS | more)
    return RestrictionEngine(config, Tables(config), NoDns(), REGISTERED)


def run(judging: Coroutine[Any, Any, Verdict | None]) -> Verdict | None:
    """Run without a loop: nothing here may suspend while all tables are in memory."""
    with pytest.raises(StopIteration) as caught:
        judging.send(None)
    verdict: Verdict | None = caught.value.value
    return verdict


def stranger(recipient: str = "c@d.example", address: str = "203.0.113.9") -> Session:
    session = Session(Client(address, name="mail.client.example", name_code=2))
    session.helo, session.sender, session.recipient = "h.example", Address("s", "a.example"), Address.of(recipient)
    return session


def test_decisions_are_in_the_ledger_with_their_author() -> None:
    made = engine()
    session = stranger(address="192.0.2.7")
    assert run(made.at_rcpt(session)) is None
    assert [(entry.stage, entry.author, entry.recipient) for entry in session.ledger] == [
        ("rcpt", "permit_mynetworks", "c@d.example")
    ]
    session = stranger()
    verdict = run(made.at_rcpt(session))
    assert verdict is not None
    assert verdict.reason == "defer_unauth_destination"
    assert session.ledger[-1].verdict == verdict


def test_delayed_lists_say_nothing_early() -> None:
    made = engine(
        smtpd_client_restrictions="reject", smtpd_helo_restrictions="reject", smtpd_sender_restrictions="reject"
    )
    session = stranger()
    for judge in (made.at_connect, made.at_helo, made.at_mail):
        assert run(judge(session)) is None
    assert run(made.at_rcpt(session)) is not None


def test_without_delay_each_stage_says_it_itself() -> None:
    made = engine(
        smtpd_delay_reject="no", smtpd_client_restrictions="reject", smtpd_helo_restrictions="defer",
        smtpd_sender_restrictions="reject",
    )  # fmt: skip
    session = stranger("r@local.example")
    verdicts = [run(judge(session)) for judge in (made.at_connect, made.at_helo, made.at_mail, made.at_rcpt)]
    assert [verdict.action if verdict else None for verdict in verdicts] == [
        Action.REJECT, Action.DEFER, Action.REJECT, None,
    ]  # fmt: skip


def test_deferrals_of_early_stages_wait_for_a_permission() -> None:
    made = engine(smtpd_delay_reject="no", smtpd_client_restrictions="defer_if_permit")
    session = stranger("r@local.example")
    sender, session.sender = session.sender, None
    assert run(made.at_connect(session)) is None
    session.sender = sender
    for _ in range(2):
        verdict = run(made.at_rcpt(session))
        assert verdict is not None
        assert (verdict.action, verdict.reason) == (Action.DEFER, "defer_if_permit")
    assert run(made.at_data(session)) is None  # a new question: what deferred recipients does not defer the message
    run(made.at_connect(stranger()))
    session = stranger("r@local.example")
    assert run(made.at_rcpt(session)) is None


def test_notes_before_mail_belong_to_the_connection_and_the_last_helo() -> None:
    made = engine(
        smtpd_delay_reject="no", smtpd_client_restrictions="check_client_access static:HOLD",
        smtpd_helo_restrictions="check_helo_access static:{INFO hello}, check_helo_access static:{WARN x}",
    )  # fmt: skip
    session = stranger()
    session.sender = None
    run(made.at_connect(session))
    for n in range(5):
        session.helo = f"h{n}.example"
        run(made.at_helo(session))
    assert [verdict.action for verdict in session.connection_actions] == [Action.HOLD, Action.INFO, Action.WARN]
    assert session.actions == []


def test_vrfy_notes_nothing() -> None:
    made = engine(smtpd_recipient_restrictions="check_recipient_access static:HOLD")
    session = stranger("r@local.example")
    session.sender = None
    assert run(made.at_rcpt(session)) is None
    assert session.actions == session.connection_actions == []


def test_the_message_stages_name_a_single_recipient_only() -> None:
    made = engine(smtpd_data_restrictions="check_recipient_access static:{REJECT x}, reject")
    session = stranger()
    session.recipient, session.recipients = None, [Recipient(Address("r", "local.example"))]
    verdict = run(made.at_data(session))
    assert verdict is not None
    assert verdict.text == "<r@local.example>: Recipient address rejected: x"
    assert session.recipient is None
    session.recipients.append(Recipient(Address("q", "local.example")))
    verdict = run(made.at_data(session))
    assert verdict is not None
    assert verdict.text == "<DATA>: Data command rejected: Access denied"


def test_observers_hear_notes_when_they_are_made() -> None:
    made = engine(smtpd_recipient_restrictions="warn_if_reject reject")
    heard: list[tuple[str, str]] = []
    made.observe = lambda session, stage, verdict: heard.append((stage, verdict.text))
    run(made.at_rcpt(stranger("r@local.example")))
    assert heard == [("rcpt", "<r@local.example>: Recipient address rejected: Access denied")]


# results of tables


def test_results_that_name_each_other_end() -> None:
    made = engine(
        smtpd_restriction_classes="again",
        again="check_helo_access static:again",
        smtpd_recipient_restrictions="again",
    )
    verdict = run(made.at_rcpt(stranger("r@local.example")))
    assert verdict is not None
    assert (verdict.code, verdict.text) == (451, "Server configuration error")
    assert "without end" in verdict.reason


def test_results_cannot_open_tables() -> None:
    made = engine(smtpd_recipient_restrictions="check_recipient_access static:{check_helo_access inline:{a=b}}")
    verdict = run(made.at_rcpt(stranger("r@local.example")))
    assert verdict is not None
    assert verdict.code == 451


def test_compiled_results_are_bounded() -> None:
    made = engine(smtpd_recipient_restrictions="check_helo_access regexp:{ {/^h(.*)/ reject_no_such_$$1} }")
    session = stranger("r@local.example")
    for n in range(1100):
        session.helo = f"h{n}"
        run(made.at_rcpt(session))
    assert len(made._results) <= 1000


# relay safety


def test_the_last_resort() -> None:
    """The start-up check is content; nothing in the lists catches this recipient."""
    made = engine(
        smtpd_relay_restrictions="",
        smtpd_recipient_restrictions="catch",
        smtpd_restriction_classes="catch",
        catch="check_sender_access inline:{nobody=OK}, defer_if_permit",
    )
    made._lists = made._lists | {"smtpd_recipient_restrictions": ()}
    made._at_recipient = ((), ())
    session = stranger()
    verdict = run(made.at_rcpt(session))
    assert verdict is not None
    assert (verdict.code, verdict.text, verdict.reason) == (
        554, "<c@d.example>: Relay access denied", "relay safety",
    )  # fmt: skip
    assert session.ledger[-1].author == "relay safety"
    assert run(made.at_rcpt(stranger("r@local.example"))) is None


def test_the_last_resort_defers_when_it_cannot_know() -> None:
    made = engine(smtpd_relay_restrictions="check_recipient_access static:DUNNO, defer_if_permit")
    made._at_recipient = ((), ())
    made._classes = AddressClasses(
        Config.from_settings(SETTINGS | {"mydestination": "fail:x"}),
        Tables(Config.from_settings(SETTINGS)),
    )
    verdict = run(made.at_rcpt(stranger()))
    assert verdict is not None
    assert verdict.code == 451


def test_a_failing_domain_list_defers() -> None:
    made = engine(relay_domains="fail:x")
    verdict = run(made.at_rcpt(stranger()))
    assert verdict is not None
    assert (verdict.code, verdict.text) == (451, "<c@d.example>: Temporary lookup failure")


# Restrictions that permit nobody explicitly who is not in mynetworks.
WORDS = st.sampled_from([
    "permit_mynetworks", "permit_sasl_authenticated", "permit_inet_interfaces", "permit_auth_destination",
    "reject_unauth_destination", "defer_unauth_destination", "reject_unauth_pipelining", "reject_non_fqdn_recipient",
    "warn_if_reject reject", "warn_if_reject reject_unauth_destination", "warn_if_reject defer_if_permit",
    "defer_if_reject", "defer_if_permit", "reject_unlisted_recipient", "check_recipient_access static:DUNNO",
    "check_recipient_access static:HOLD", "check_recipient_access inline:{relay.example=OK,local.example=OK}",
    "check_sender_access static:defer_if_reject", "check_helo_access static:permit_auth_destination", "a_class",
    "check_recipient_access static:{warn_if_reject reject}", "reject_multi_recipient_bounce",
])  # fmt: skip
LISTS = st.lists(WORDS, max_size=5).map(", ".join)
RECIPIENTS = st.lists(
    st.sampled_from(["@", "%", "!", "u", "local.example", "relay.example", "o.example"]), min_size=1, max_size=7
).map("".join)


@settings(max_examples=250, deadline=None)
@given(st.tuples(LISTS, LISTS, LISTS, LISTS), RECIPIENTS, st.sampled_from(["yes", "no"]))
def test_strangers_never_relay(lists: tuple[str, str, str, str], recipient: str, delay: str) -> None:
    sender_list, relay, recipient_list, a_class = lists
    try:
        made = engine(
            smtpd_sender_restrictions=sender_list, smtpd_relay_restrictions=relay,
            smtpd_recipient_restrictions=recipient_list, smtpd_restriction_classes="a_class", a_class=a_class,
            smtpd_delay_reject=delay,
        )  # fmt: skip
    except ConfigError:
        return
    session = stranger(recipient)
    run(made.at_connect(session))
    run(made.at_mail(session))
    if run(made.at_rcpt(session)) is None:
        classes = made._materials.classes
        assert session.recipient is not None
        assert asyncio.run(classes.resolve(session.recipient)).is_authorized


def test_registered_names() -> None:
    kinds = ("", "_a", "_mx", "_ns")
    parties = ("client", "reverse_client_hostname", "helo", "sender", "recipient")
    checks = {f"check_{party}{kind}_access" for party in parties for kind in kinds} | {"check_sasl_access"}
    logins = {f"reject_{whose}sender_login_mismatch" for whose in ("", "authenticated_", "unauthenticated_", "known_")}
    assert set(REGISTERED) == checks | logins
    assert all(
        isinstance(kind, RestrictionKind) and kind.arguments == (name in checks) for name, kind in REGISTERED.items()
    )
