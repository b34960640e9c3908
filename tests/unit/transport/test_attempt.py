from __future__ import annotations

from collections.abc import Callable

from gateway.model.delivery import DeliveryRequest, Outcome, Status
from gateway.transport.attempt import Attempt

SENT = Status(Outcome.SENT, "2.0.0", "ok")
LATER = Status(Outcome.DEFERRED, "4.0.0", "later")
GONE = Status(Outcome.BOUNCED, "5.4.4", "gone")


def test_deferred_stays_pending_unless_final(delivery: Callable[..., DeliveryRequest]) -> None:
    attempt = Attempt(delivery("x", "a@x.example", "b@x.example", "c@x.example"))
    attempt.settle(0, SENT)
    attempt.settle(1, LATER)
    attempt.settle(2, LATER, is_final=True)
    assert attempt.pending == [1]
    attempt.settle(1, SENT)
    assert attempt.report(1.0, 2.0).statuses == [SENT, SENT, LATER]


def test_no_route_is_the_result_only_of_those_without_another(delivery: Callable[..., DeliveryRequest]) -> None:
    attempt = Attempt(delivery("x", "a@x.example", "b@x.example"))
    attempt.settle(0, LATER)
    attempt.settle_rest(GONE, is_last=False)
    assert attempt.pending == [0, 1]
    attempt.settle_rest(GONE, is_last=True)
    assert attempt.report(0, 0).statuses == [LATER, GONE]
    assert attempt.site_failure == ""


def test_a_temporary_error_outweighs_a_missing_name(delivery: Callable[..., DeliveryRequest]) -> None:
    attempt = Attempt(delivery("x"))
    attempt.settle_rest(LATER, is_last=False)
    attempt.settle_rest(GONE, is_last=True)
    assert attempt.report(0, 0).statuses == [LATER]
    assert attempt.site_failure == "later"


def test_sender(delivery: Callable[..., DeliveryRequest]) -> None:
    request = delivery("x")
    assert Attempt(request).sender is request.envelope.sender
    request.sender = "Other@Example.ORG"
    assert str(Attempt(request).sender) == "Other@example.org"
    request.sender = ""
    assert not Attempt(request).sender
