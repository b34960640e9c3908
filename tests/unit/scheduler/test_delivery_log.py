from __future__ import annotations

import pytest
from peers.scheduling import message

from gateway.model.address import Address
from gateway.model.delivery import DeliveryReport, Outcome, Status
from gateway.model.envelope import Recipient
from gateway.observe import MailLog
from gateway.scheduler.delivery_log import format_delay, format_delays, log_active, log_report


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0"), (0, "0"), (0.004, "0"), (0.0051, "0.01"), (0.1, "0.1"), (0.126, "0.13"), (0.994, "0.99"), (0.999, "1"),
     (1.04, "1"), (1.25, "1.3"), (9.94, "9.9"), (9.96, "10"), (9.999, "10"), (12.3, "12"), (99.6, "100"),
     (3600.4, "3600")],
)  # fmt: skip
def test_delays_have_two_digits_as_postfix_prints_them(seconds: float, text: str) -> None:
    assert format_delay(seconds) == text


def test_four_delays() -> None:
    assert format_delays(0.05, 0.01, 0.02, 0.0) == "0.05/0.01/0.02/0"


def test_lines_are_those_of_postfix() -> None:
    log = MailLog.memory()
    envelope = message("3Pt2mN2VXxznjll", "who@b.example", sender="", size_bytes=295)
    recipient = Recipient(Address("a b", "b.example"), original="alias@here.example")
    status = Status(Outcome.SENT, "2.0.0", "250 2.0.0 Ok", "b.example[192.0.2.1]:25")
    log_active(log.logger("qmgr"), envelope)
    report = DeliveryReport([status, status], connect_seconds=0.02, transfer_seconds=0.02)
    now = envelope.arrival
    log_report(log.logger("smtp"), envelope, [recipient, envelope.recipients[0]], report,
               since=now + 0.05, started=now + 0.06, now=now + 0.1)  # fmt: skip
    texts = [line.partition("]: ")[2] for line in log.lines]
    tail = "relay=b.example[192.0.2.1]:25, delay=0.1, delays=0.05/0.01/0.02/0.02, dsn=2.0.0, status=sent (250 2.0.0 Ok)"
    assert texts == [
        "3Pt2mN2VXxznjll: from=<>, size=295, nrcpt=1 (queue active)",
        f'3Pt2mN2VXxznjll: to=<"a b"@b.example>, orig_to=<alias@here.example>, {tail}',
        f"3Pt2mN2VXxznjll: to=<who@b.example>, {tail}",
    ]
