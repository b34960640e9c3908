"""Counters."""

from gateway.observe import Counters


def test_counts_add_up_and_snapshots_stand_still() -> None:
    counters = Counters()
    counters.add("smtpd.connect")
    before = counters.snapshot()
    counters.add("smtpd.connect", 2)
    assert before == {"smtpd.connect": 1}
    assert counters.snapshot() == {"smtpd.connect": 3}
