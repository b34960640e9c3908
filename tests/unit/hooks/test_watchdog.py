from __future__ import annotations

from time import perf_counter

import pytest

from gateway.hooks.watchdog import PluginHung, Watchdog


def spin(seconds: float) -> None:
    """What a plugin that does not come back does, with an end for the test."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass


@pytest.mark.parametrize("hanging", [0, 1])
def test_a_call_of_either_configuration_is_ended_after_a_reload(hanging: int) -> None:
    watchdogs = [Watchdog(), Watchdog()]
    for watchdog in watchdogs:
        watchdog.start()
    try:
        watchdogs[hanging].deadline = perf_counter() + 0.01
        with pytest.raises(PluginHung):
            spin(3.0)
    finally:
        for watchdog in watchdogs:
            watchdog.stop()
