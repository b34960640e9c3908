"""Connections and rates of clients."""

from __future__ import annotations

from typing import Any

from gateway.config import Config
from gateway.server import limits
from gateway.server.limits import ClientLimits


def make(workers: int = 1, now: Any = lambda: 0.0, **settings: str) -> ClientLimits:
    names = {"compatibility_level": "3.7", **{f"smtpd_client_{key}": value for key, value in settings.items()}}
    return ClientLimits(Config.from_settings(names), workers=workers, now=now)


def test_concurrent_connections() -> None:
    counts = make(connection_count_limit="2")
    assert [counts.connected("a"), counts.connected("a")] == ["", ""]
    assert counts.connected("a") == "Connection concurrency limit exceeded: 3"
    assert counts.connected("b") == ""
    for _ in range(3):
        counts.disconnected("a")
    assert counts.connected("a") == ""
    counts.disconnected("unknown")


def test_each_worker_has_its_share_rounded_up() -> None:
    counts = make(workers=3, connection_count_limit="4")
    assert [counts.connected("a") == "" for _ in range(3)] == [True, True, False]


def test_rates_start_anew_in_the_next_window() -> None:
    now = 0.0
    counts = make(now=lambda: now, connection_rate_limit="2", message_rate_limit="1", recipient_rate_limit="1")
    assert [counts.connected("a") == "" for _ in range(3)] == [True, True, False]
    assert [counts.message("a"), counts.message("a")] == [True, False]
    assert [counts.recipient("a"), counts.recipient("a")] == [True, False]
    now = 60.0
    assert counts.connected("a") == "" and counts.message("a") and counts.recipient("a")


def test_no_limit_counts_nothing() -> None:
    counts = make(connection_count_limit="0")
    assert all(counts.connected("a") == "" for _ in range(1000))
    assert counts.message("a") and counts.recipient("a")


def test_memory_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "_TRACKED_CLIENTS", 10)
    counts = make(connection_rate_limit="5")
    for n in range(100):
        counts.connected(f"c{n}")
        counts.disconnected(f"c{n}")
    assert len(counts._seen) <= 10
