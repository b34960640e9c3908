"""NIS maps that fail under a running gateway: as :mod:`test_failures`, in namespaces of their own (:mod:`peers.ypserv`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from peers.dependent_gateway import DependentGateway, content, expected, moved
from peers.ports import wait_for
from peers.sinks import RecordingSink
from peers.ypserv import PROGRAMS, Ypserv

pytestmark = pytest.mark.peer(*PROGRAMS)

MAP = "mail.aliases"
SPEC = f"nis:{MAP}"


@pytest.fixture(scope="module")
def sink() -> RecordingSink:
    return RecordingSink()


@pytest.fixture(scope="module")
def nis(sink: RecordingSink) -> Iterator[Ypserv]:
    with Ypserv({MAP: content("nis", sink.port)}) as started:
        started.inside(sink.__enter__)
        try:
            yield started
        finally:
            sink.__exit__(None, None, None)


@pytest.fixture(scope="module")
def gateway(nis: Ypserv) -> Iterator[DependentGateway]:
    made = DependentGateway({"nis": SPEC}, {}, is_hurried=True)
    try:
        nis.inside(made.__enter__, 40)
        yield made
    finally:
        made.__exit__(None, None, None)


@pytest.mark.parametrize("is_down", [True, False], ids=["down", "silent"])
def test_nothing_is_taken_or_refused_for_good_while_nis_fails(
    gateway: DependentGateway, nis: Ypserv, sink: RecordingSink, is_down: bool
) -> None:
    seen, delivered = len(gateway.log_text()), len(sink.messages)

    def replies() -> dict[tuple[str, str], str]:
        return nis.inside(lambda: gateway.replies("nis"))

    def logged(text: str) -> bool:
        return text in gateway.log_text()[seen:]

    wait_for(lambda: replies() == expected(fails=False), "the map's answers")
    (nis.stop if is_down else nis.pause)()
    try:
        assert replies() == expected(fails=True)
        nis.inside(lambda: gateway.submit(moved("nis")))
        wait_for(lambda: logged("status=deferred"), "a deferred message")
        assert logged(f"warning: table {SPEC}: ")
    finally:
        (nis.start if is_down else nis.resume)()
    wait_for(lambda: replies() == expected(fails=False), "the map's answers", 30)

    def is_delivered() -> bool:
        gateway.command("postqueue", "-f")  # again: the scheduler's binding is not the worker's
        return len(sink.messages) > delivered

    wait_for(is_delivered, "the message that was deferred", pause_s=0.3)
    wait_for(lambda: logged(f"table {SPEC}: answers again"), "the end of the failure in the log")
    gateway.wait_until_empty()
