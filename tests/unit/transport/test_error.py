from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.model.delivery import DeliveryRequest, Outcome
from gateway.transport.error import ErrorTransport


@pytest.mark.parametrize(
    ("name", "nexthop", "outcome", "dsn", "text"),
    [
        ("error", "5.1.1 mailbox unavailable", Outcome.BOUNCED, "5.1.1", "mailbox unavailable"),
        ("error", "4.3.2 not now", Outcome.DEFERRED, "4.3.2", "not now"),
        ("error", "user unknown", Outcome.BOUNCED, "5.0.0", "user unknown"),
        ("error", "5.1.10", Outcome.BOUNCED, "5.1.10", "mail for this destination is not deliverable"),
        ("error", "5.1.1234 odd", Outcome.BOUNCED, "5.0.0", "5.1.1234 odd"),
        ("retry", "later", Outcome.DEFERRED, "4.0.0", "later"),
        ("retry", "4.7.0 throttled", Outcome.DEFERRED, "4.7.0", "throttled"),
    ],
)
def test_next_hop_says_why(
    *, name: str, nexthop: str, outcome: Outcome, dsn: str, text: str, delivery: Callable[..., DeliveryRequest]
) -> None:
    report = asyncio.run(ErrorTransport(name).deliver(delivery(nexthop, "a@x.example", "b@x.example")))
    assert [(status.outcome, status.dsn, status.text) for status in report.statuses] == [(outcome, dsn, text)] * 2
    assert report.site_failure == ""
