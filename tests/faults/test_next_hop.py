"""A next hop that is down, slow, silent, talks garbage or hangs up: its mail waits, all other mail flows.

After the next hop has healed, everything that waited arrives. One gateway serves all cases: a next hop's bad day must
leave nothing behind.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from faults.kill_rounds import FAST_RETRY
from peers.gateway import GatewayInstance
from peers.load import generate
from peers.sinks import Behaviour, CountingSink

_MESSAGES = 6
_PREFIXES = (f"case{n}-" for n in itertools.count())

# Short, so that a silent next hop is found out within a test; Postfix's defaults are minutes.
_TIMEOUTS = {
    "smtp_connect_timeout": "2s",
    "smtp_helo_timeout": "2s",
    "smtp_mail_timeout": "2s",
    "smtp_rcpt_timeout": "2s",
    "smtp_data_init_timeout": "2s",
    "smtp_data_xfer_timeout": "3s",
    "smtp_data_done_timeout": "4s",
    "smtp_quit_timeout": "1s",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway between clients and two next hops; ``returned`` has what the good one got."""

    gateway: GatewayInstance
    bad: CountingSink
    good: CountingSink
    returned: list[bytes]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    returned: list[bytes] = []
    with CountingSink() as bad, CountingSink(on_message=returned.append) as good:
        routes = "".join(
            f"{domain} smtp:[127.0.0.1]:{hop.port}\n"
            for domain, hop in (("bad.example", bad), ("good.example", good), ("a.example", good))
        )
        settings = FAST_RETRY | _TIMEOUTS | {"transport_maps": "texthash:{dir}/conf/transport"}
        with GatewayInstance(settings, files={"transport": routes}) as gateway:
            yield Place(gateway, bad, good, returned)


def _send(place: Place, domain: str) -> set[str]:
    report = generate(place.gateway.port, messages=_MESSAGES, sessions=2, domains=(domain,), prefix=next(_PREFIXES))
    assert not report.refused
    assert not report.in_doubt
    return report.acknowledged


def _heals(place: Place, waiting: set[str], timeout_s: float = 25.0) -> None:
    place.bad.behave(Behaviour.GOOD)
    place.bad.wait_for(waiting, timeout_s)
    place.gateway.wait_until_empty(20)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour.REFUSE_CONNECTIONS,
        Behaviour.GREET_421,
        Behaviour.CLOSE_IN_DATA,
        Behaviour.CLOSE_AT_END_OF_DATA,
        Behaviour.GARBAGE,
        Behaviour.SILENT,
        Behaviour.TEMPFAIL,
    ],
    ids=lambda behaviour: behaviour.name.lower(),
)
def test_mail_waits_for_a_bad_next_hop_and_arrives_when_it_heals(place: Place, behaviour: Behaviour) -> None:
    place.bad.behave(behaviour)
    before = len(place.gateway.log_text())
    waiting, flowing = _send(place, "bad.example"), _send(place, "good.example")
    place.good.wait_for(flowing, 8)
    place.gateway.wait_for_log("status=deferred")
    log = place.gateway.log_text()[before:]
    assert "status=bounced" not in log
    assert not waiting & place.bad.received.keys()
    _heals(place, waiting)
    assert all(place.bad.received[identifier] == 1 for identifier in waiting)


def test_mail_waits_while_the_next_hop_is_down(place: Place) -> None:
    place.bad.close()
    waiting, flowing = _send(place, "bad.example"), _send(place, "good.example")
    place.good.wait_for(flowing, 8)
    log = place.gateway.wait_for_log("Connection refused")
    assert "status=bounced" not in log
    place.bad.listen()
    _heals(place, waiting)
    assert all(place.bad.received[identifier] == 1 for identifier in waiting)


def test_a_slow_next_hop_slows_nobody_else(place: Place) -> None:
    place.bad.delay_s = 1.5
    place.bad.behave(Behaviour.SLOW)
    slow = _send(place, "bad.example")
    start = time.monotonic()
    flowing = _send(place, "good.example")
    place.good.wait_for(flowing, 8)
    took = time.monotonic() - start
    assert not slow <= place.bad.received.keys(), "the slow hop was not slow"
    assert took < 1.5
    place.bad.wait_for(slow, 25)
    _heals(place, slow)


def test_a_refused_message_comes_back_to_its_sender(place: Place) -> None:
    place.bad.behave(Behaviour.REJECT_MESSAGE)
    refused = _send(place, "bad.example")
    place.good.wait_for(refused, 15)  # the reports quote the headers, identifiers included
    place.bad.behave(Behaviour.GOOD)
    log = place.gateway.log_text()
    reports = [message for message in place.returned if b"multipart/report" in message]
    assert len(reports) == len(refused)
    assert all(b"Status: 5.7.1" in report and b"554 5.7.1 Not this one" in report for report in reports)
    assert "status=bounced" in log
    assert not refused & place.bad.received.keys()
