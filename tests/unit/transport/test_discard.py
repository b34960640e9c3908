from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.model.delivery import DeliveryRequest, Outcome
from gateway.transport.discard import DiscardTransport


def test_everything_is_sent_nowhere(delivery: Callable[..., DeliveryRequest]) -> None:
    report = asyncio.run(DiscardTransport("discard").deliver(delivery("silently", "a@x.example", "b@x.example")))
    assert [(status.outcome, status.dsn, status.text) for status in report.statuses] == [
        (Outcome.SENT, "2.0.0", "silently")
    ] * 2
    report = asyncio.run(DiscardTransport("discard").deliver(delivery("", "a@x.example")))
    assert report.statuses[0].text == "discard"
