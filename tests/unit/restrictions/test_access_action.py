"""access(5) right-hand sides."""

from __future__ import annotations

import pytest

from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.restriction import CLIENT, RECIPIENT, SENDER
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions.access_action import Kind, parse_action, suited_enhanced

SESSION = Session(Client("192.0.2.1", name="mail.example"))
SESSION.sender, SESSION.recipient = Address("s", "a.example"), Address("r", "b.example")


def verdict(value: str) -> Verdict | None:
    return parse_action(value).verdict(RECIPIENT, SESSION, reject_code=554, defer_code=450)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("OK", Kind.OK),
        ("ok trailing", Kind.OK),
        ("RELAY", Kind.OK),
        ("1234567890", Kind.OK),
        ("550", Kind.OK),
        ("DUNNO", Kind.DUNNO),
        ("dunno really", Kind.DUNNO),
        ("permit", Kind.RESTRICTIONS),
        ("reject_unauth_destination, permit", Kind.RESTRICTIONS),
        ("600 text", Kind.RESTRICTIONS),
        ("5505 text", Kind.RESTRICTIONS),
        ("reject, permit", Kind.RESTRICTIONS),
        ("reject", Kind.REFUSE),
    ],
)
def test_kinds(value: str, kind: Kind) -> None:
    assert parse_action(value).kind is kind


@pytest.mark.parametrize(
    ("value", "action", "line"),
    [
        ("REJECT", Action.REJECT, "554 5.7.1 Access denied"),
        ("REJECT 5.1.1 gone", Action.REJECT, "554 5.1.1 gone"),
        ("REJECT 4.1.1", Action.REJECT, "554 5.1.1 Access denied"),
        ("DEFER later on", Action.DEFER, "450 4.7.1 later on"),
        ("550 5.2.2 full", Action.REJECT, "550 5.2.2 full"),
        ("450\t4.2.2   full", Action.DEFER, "450 4.2.2 full"),
        ("554 5.7.1.2 x", Action.REJECT, "554 5.7.1 5.7.1.2 x"),
        ("DEFER_IF_PERMIT", Action.DEFER_IF_PERMIT, "450 4.7.1 Service unavailable"),
        ("DEFER_IF_REJECT no dns", Action.DEFER_IF_REJECT, "450 4.7.1 no dns"),
    ],
)
def test_refusals(value: str, action: Action, line: str) -> None:
    found = verdict(value)
    assert found is not None
    assert found.action is action
    code, enhanced, text = line.split(" ", 2)
    assert (found.code, found.enhanced) == (int(code), enhanced)
    assert found.text == f"<r@b.example>: Recipient address rejected: {text}"


@pytest.mark.parametrize(("value", "closes"), [("421 bye", True), ("521 bye", True), ("550 bye", False)])
def test_421_and_521_disconnect(value: str, closes: bool) -> None:
    found = verdict(value)
    assert found is not None
    assert found.close is closes


@pytest.mark.parametrize(
    ("value", "argument", "text"),
    [
        ("HOLD", "", "<r@b.example>: Recipient address triggers HOLD action"),
        ("HOLD check it", "", "<r@b.example>: Recipient address check it"),
        ("DISCARD", "", "<r@b.example>: Recipient address triggers DISCARD action"),
        ("FILTER smtp:[1.2.3.4]", "smtp:[1.2.3.4]", "<r@b.example>: Recipient address triggers FILTER smtp:[1.2.3.4]"),
        ("REDIRECT a@b", "a@b", "<r@b.example>: Recipient address triggers REDIRECT a@b"),
        ("BCC a@b", "a@b", "<r@b.example>: Recipient address triggers BCC a@b"),
        ("PREPEND X-A: b c", "X-A: b c", "<r@b.example>: Recipient address triggers PREPEND X-A: b c"),
        ("WARN odd\nthing", "", "odd thing"),
        ("INFO", "", ""),
    ],
)
def test_notes(value: str, argument: str, text: str) -> None:
    found = verdict(value)
    assert found is not None
    assert found.action is Action(value.split(maxsplit=1)[0])
    assert (found.argument, found.text) == (argument, text)


@pytest.mark.parametrize(
    "value", ["", "   ", "FILTER", "FILTER x", "REDIRECT", "REDIRECT nobody", "BCC a b", "PREPEND", "PREPEND x y: z"]
)
def test_bad_operands_are_dunno_with_a_problem(value: str) -> None:
    parsed = parse_action(value)
    assert parsed.problem
    assert verdict(value) is None


def test_statuses_fit_what_is_judged() -> None:
    assert suited_enhanced("5.1.1", SENDER) == "5.1.7"
    assert suited_enhanced("4.1.8", RECIPIENT) == "4.1.2"
    assert suited_enhanced("5.1.99", RECIPIENT) == "5.1.0"
    assert suited_enhanced("4.1.2", CLIENT) == "4.0.0"
    assert suited_enhanced("5.7.1", CLIENT) == "5.7.1"
