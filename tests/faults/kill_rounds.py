"""Rounds of ``kill -9`` under load: nothing that got 250 is lost, and only what was in flight comes twice.

    python tests/faults/kill_rounds.py --rounds 200

Each round waits until some more messages are acknowledged, picks a process at random (the master, the scheduler, or an
smtpd worker), kills it, and waits until the gateway serves again; the load never stops. At the end everything
acknowledged must be at the next hop. A duplicate is excused when its first copy arrived at most ``WINDOW_S`` before the
scheduler died, with it or without its master: it was delivered, and the record of that was not yet durable; or just
after, when its octets were already on the wire. ``test_kill.py`` runs a few rounds in the suite.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil
from peers.gateway import GatewayInstance
from peers.load import Load, LoadReport
from peers.ports import NotReady, banner, wait_for
from peers.sinks import CountingSink

WINDOW_S = 0.25
ON_WIRE_S = 0.25
_RECOVERY_S = 40.0

# Restarts must not wait for Postfix's production back-offs.
FAST_RETRY = {
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "2s",
    "queue_run_delay": "1s",
    "service_throttle_time": "1s",
}


@dataclass(slots=True)
class Tally:
    """What the rounds showed.

    Args:
        kills: process role to how often it was killed.
        lost: acknowledged and never delivered: must be empty.
        duplicates: identifier to seconds between its first copy and the kill that explains it; negative: after it.
        unexcused: duplicates that no kill explains: must be empty.
        in_flight: at the moments the scheduler died, deliveries of the last ``WINDOW_S`` and open sessions, summed.
    """

    rounds: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    in_doubt: int = 0
    in_doubt_delivered: int = 0
    delivered: int = 0
    lost: set[str] = field(default_factory=set)
    duplicates: dict[str, float] = field(default_factory=dict)
    unexcused: set[str] = field(default_factory=set)
    in_flight: int = 0
    slowest_recovery_s: float = 0.0

    @property
    def text(self) -> str:
        """One line for a report."""
        kills = ", ".join(f"{role} {count}" for role, count in sorted(self.kills.items()))
        oldest = max(self.duplicates.values(), default=0.0)
        return (
            f"{self.rounds} rounds ({kills}): {self.acknowledged} acknowledged, {len(self.lost)} lost, "
            f"{len(self.duplicates)} delivered twice ({len(self.unexcused)} unexcused, first copy at most "
            f"{oldest * 1000:.0f} ms before a kill; {self.in_flight} were in flight), {self.in_doubt} in doubt "
            f"({self.in_doubt_delivered} of them delivered), slowest recovery {self.slowest_recovery_s:.1f} s"
        )


class KillRounds:
    """Runs the rounds against a started gateway and sink.

    Args:
        seed: for the choice of victims and moments.
        per_round: messages acknowledged between kills, at most.
    """

    def __init__(
        self, gateway: GatewayInstance, sink: CountingSink, *, seed: int = 1, per_round: int = 60, sessions: int = 6
    ) -> None:
        self.gateway, self.sink, self.per_round = gateway, sink, per_round
        self.tally = Tally()
        self._random = random.Random(seed)
        # Large bodies go through files of their own: another path through the spool.
        self._load = Load(gateway.port, sessions=sessions, large_every=25)
        self._kill_times: list[float] = []

    def run(self, rounds: int) -> Tally:
        """Kill ``rounds`` times, then let everything arrive, and count."""
        thread = threading.Thread(target=lambda: asyncio.run(self._load.run()), name="load")
        thread.start()
        try:
            for number in range(1, rounds + 1):
                self._round()
                self.tally.rounds = number
                if number % 20 == 0:
                    print(f"round {number}: {len(self._load.report.acknowledged)} acknowledged", flush=True)
        finally:
            self._load.stop()
            thread.join(60)
        self._settle(self._load.report)
        return self.tally

    def _round(self) -> None:
        report = self._load.report
        wanted = len(report.acknowledged) + self._random.randint(1, self.per_round)
        wait_for(lambda: len(report.acknowledged) >= wanted, "progress of the load", _RECOVERY_S, pause_s=0.001)
        processes = self.gateway.processes()
        victim = self._random.choice(processes)
        role = "master" if victim == processes[0] else role_of(victim)
        self.tally.kills[role] = self.tally.kills.get(role, 0) + 1
        start = time.monotonic()
        if role != "smtpd":
            recent = sum(at > start - WINDOW_S for at in list(self.sink.first_at.values()))
            self.tally.in_flight += len(self.sink.sessions) + recent
            self._kill_times.append(start)
        if victim == processes[0]:
            self.gateway.kill_master()
            self.gateway.start(_RECOVERY_S)
        else:
            victim.kill()
            wait_for(lambda: self._is_whole(len(processes), victim), f"a new {role}", _RECOVERY_S)
        self.tally.slowest_recovery_s = max(self.tally.slowest_recovery_s, time.monotonic() - start)

    def _is_whole(self, count: int, victim: psutil.Process) -> bool:
        """As many processes as before, without the victim, and the port answers."""
        now = self.gateway.processes()
        return victim not in now and len(now) >= count and bool(banner(self.gateway.port))

    def _settle(self, report: LoadReport) -> None:
        tally, sink = self.tally, self.sink
        try:
            sink.wait_for(set(report.acknowledged), 60)
            self.gateway.wait_until_empty(60)
        except NotReady:
            pass  # counted below
        tally.acknowledged, tally.in_doubt = len(report.acknowledged), len(report.in_doubt)
        tally.delivered = sink.total
        tally.lost = report.acknowledged - sink.received.keys()
        tally.in_doubt_delivered = len(report.in_doubt & sink.received.keys())
        for identifier, copies in sink.received.items():
            if copies > 1:
                first = sink.first_at[identifier]
                ages = [killed - first for killed in self._kill_times if killed - first > -ON_WIRE_S]
                tally.duplicates[identifier] = min(ages, key=abs, default=float("inf"))
        tally.unexcused = {name for name, age in tally.duplicates.items() if age > WINDOW_S}


def role_of(process: psutil.Process) -> str:
    """What a worker process does, from its command line."""
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return "worker"
    return next((role for role in ("smtpd", "scheduler", "delivery", "resource_tracker") if role in line), "worker")


def main() -> int:
    """Command line: run, print, and say by the exit status whether anything was lost or came twice without excuse."""
    parser = argparse.ArgumentParser(description="kill -9 of random processes under load")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    with CountingSink() as sink, GatewayInstance(FAST_RETRY | {"relayhost": f"[127.0.0.1]:{sink.port}"}) as gateway:
        tally = KillRounds(gateway, sink, seed=arguments.seed).run(arguments.rounds)
    print(tally.text)
    return int(bool(tally.lost or tally.unexcused))


if __name__ == "__main__":
    sys.exit(main())
