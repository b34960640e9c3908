"""A few rounds of ``kill -9``; ``kill_rounds.py`` runs two hundred."""

from __future__ import annotations

import pytest
from faults.kill_rounds import FAST_RETRY, KillRounds
from peers.gateway import GatewayInstance
from peers.sinks import CountingSink


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_processes_are_killed() -> None:
    with CountingSink() as sink, GatewayInstance(FAST_RETRY | {"relayhost": f"[127.0.0.1]:{sink.port}"}) as gateway:
        tally = KillRounds(gateway, sink, seed=7, per_round=40).run(8)
    assert tally.lost == set(), tally.text
    assert tally.unexcused == set(), tally.text
    assert len(tally.duplicates) <= tally.in_flight, tally.text
    assert tally.acknowledged > 8, tally.text
    assert len(tally.kills) > 1, tally.text
