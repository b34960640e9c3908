"""Each worker on a processor of its own, where there are enough."""

from __future__ import annotations

import os

import pytest

from gateway.config import Config
from gateway.master.affinity import ANY_CPU, stay_on, worker_cpu


def config(**settings: str) -> Config:
    return Config.from_settings({"compatibility_level": "3.7", **settings})


@pytest.fixture
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 3, 6, 7})


@pytest.mark.usefixtures("four_cpus")
def test_smtpd_workers_come_first_and_the_scheduler_next() -> None:
    settings = config(smtpd_workers="2")
    assert [worker_cpu(settings, "smtpd", index) for index in (0, 1)] == [2, 3]
    assert worker_cpu(settings, "scheduler", 0) == 6
    assert worker_cpu(settings, "check", 0) == ANY_CPU


@pytest.mark.usefixtures("four_cpus")
def test_too_few_processors_or_no_wish() -> None:
    assert worker_cpu(config(smtpd_workers="4"), "smtpd", 0) == ANY_CPU
    assert worker_cpu(config(worker_cpu_affinity="no"), "scheduler", 0) == ANY_CPU


def test_staying(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[int]] = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cpus: asked.append(cpus))
    stay_on(ANY_CPU)
    stay_on(3)
    assert asked == [{3}]

    def forbidden(pid: int, cpus: set[int]) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    stay_on(3)
    assert asked == [{3}]
