"""Refusal of a recipient by a policy server, a new connection for each attempt: what asking costs, beside ``reject``.

The server does nothing but answer, in a process of its own; ``python -m bench.policy PORT`` is it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SESSIONS = 20


class Answering(asyncio.Protocol):
    """``REJECT``, whatever is asked."""

    def connection_made(self, transport: Any) -> None:
        self._transport, self._left = transport, b""

    def data_received(self, data: bytes) -> None:
        *whole, self._left = (self._left + data).split(b"\n\n")
        self._transport.write(b"action=REJECT\n\n" * len(whole))


def serve(port: int) -> None:
    """Answer until the process is ended."""
    import uvloop

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    uvloop.run(forever())


if __name__ == "__main__":
    serve(int(sys.argv[1]))
    sys.exit()

from peers.load import smtp_source  # noqa: E402 (the server needs no peers)
from peers.ports import free_port, wait_for  # noqa: E402

from bench.rig import Figure, Rig, cpu_seconds  # noqa: E402


@contextmanager
def answering() -> Iterator[int]:
    """The port of a running server."""
    import socket

    port = free_port()

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    process = subprocess.Popen([sys.executable, "-m", "bench.policy", str(port)])
    try:
        wait_for(is_up, "the policy server")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def ask(rig: Rig, mta: str, attempts: int) -> tuple[float, float]:
    """One run; returns refusals a second and CPU microseconds each, the policy server's not counted."""
    with answering() as port:
        settings = {
            "smtpd_recipient_restrictions": f"check_policy_service inet:127.0.0.1:{port}, permit_mynetworks, reject"
        }
        with rig.running(mta, settings) as instance:
            smtp_source(instance.port, messages=200, sessions=SESSIONS, arguments=("-A",))
            cpu, start = cpu_seconds(instance), time.perf_counter()
            smtp_source(instance.port, messages=attempts, sessions=SESSIONS, arguments=("-A",), timeout_s=120)
            seconds = time.perf_counter() - start
            cpu = cpu_seconds(instance) - cpu
            log = instance.wait_for_log("Access denied")
            assert "problem talking" not in log
            assert instance.queue_size() == 0, "a refused message was queued"
    return attempts / seconds, cpu / attempts * 1e6


def run(rig: Rig) -> Iterator[Figure]:
    """Refusals a second and CPU each."""
    rate = Figure("policy", "refused", "conn/s", note="connections refused at RCPT by a policy server")
    cpu = Figure("policy", "CPU a refusal", "µs", is_cost=True)
    for mta in rig.rounds():
        attempts = rig.count(20000, least=500)
        result = ask(rig, mta, attempts)
        rig.say(f"policy   {mta:8}: {result[0]:.0f}/s, {result[1]:.0f} µs CPU each")
        rate.add(mta, result[0])
        cpu.add(mta, result[1])
    yield from (rate, cpu)
