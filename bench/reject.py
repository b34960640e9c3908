"""Refusal of a recipient by an access table, a new connection for each attempt.

The work of a gateway under attack: connect, HELO, MAIL, RCPT, 554, RSET, QUIT. The table has a thousand entries;
Postfix reads it as ``hash:`` and as ``texthash:`` (the better one counts), Postgate as ``texthash:``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from peers.instance import MailInstance
from peers.load import smtp_source
from peers.postfix import PostfixInstance

from bench.rig import GATEWAY, POSTFIX, Figure, Rig, cpu_seconds

SESSIONS = 20
_TABLE = "".join(f"user{n}@b.example REJECT\n" for n in range(1000)) + "recipient@b.example REJECT\n"


def reject_once(rig: Rig, mta: str, kind: str, attempts: int) -> tuple[float, float]:
    """One run; returns refusals a second and CPU microseconds each."""

    def prepare(instance: MailInstance) -> None:
        if kind == "hash":
            assert isinstance(instance, PostfixInstance)
            instance.postmap("hash:access")

    settings = {
        "smtpd_recipient_restrictions": f"check_recipient_access {kind}:{{dir}}/conf/access, permit_mynetworks, reject"
    }
    with rig.running(mta, settings, files={"access": _TABLE}, prepare=prepare) as instance:
        smtp_source(instance.port, messages=200, sessions=SESSIONS, arguments=("-A",))
        cpu, start = cpu_seconds(instance), time.perf_counter()
        smtp_source(instance.port, messages=attempts, sessions=SESSIONS, arguments=("-A",), timeout_s=120)
        seconds = time.perf_counter() - start
        cpu = cpu_seconds(instance) - cpu
        log = instance.wait_for_log("Access denied")
        assert log.count("<recipient@b.example>: Recipient address rejected") > 0
        assert instance.queue_size() == 0, "a refused message was queued"
    return attempts / seconds, cpu / attempts * 1e6


def run(rig: Rig) -> Iterator[Figure]:
    """Refusals a second and CPU each; Postfix with the better of two table types."""
    rate = Figure("reject", "refused", "conn/s", ratio_target=1.5)
    cpu = Figure("reject", "CPU a refusal", "µs", is_cost=True)
    best: dict[str, tuple[float, float]] = {}
    for mta in rig.rounds():
        attempts = rig.count(20000, least=500)
        for kind in ("hash", "texthash") if mta == POSTFIX else ("texthash",):
            result = reject_once(rig, mta, kind, attempts)
            rig.say(f"reject   {mta:8} {kind}: {result[0]:.0f}/s, {result[1]:.0f} µs CPU each")
            best[mta] = max(best.get(mta, (0.0, 0.0)), result)
        rate.add(mta, best[mta][0])
        cpu.add(mta, best.pop(mta)[1])
    rate.note = f"connections refused at RCPT; {GATEWAY} with texthash"
    yield from (rate, cpu)
