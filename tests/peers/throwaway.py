"""A mail system that ends at once: nothing in its queue is worth the seconds that a polite end of Postfix takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psutil
from peers.instance import MailInstance
from peers.ports import wait_for
from peers.postfix import PostfixInstance


@contextlib.contextmanager
def throwaway(system: MailInstance) -> Iterator[MailInstance]:
    """Start a system, and end it afterwards, a Postfix by killing it; its directory goes too."""
    try:
        yield system.start()
    finally:
        if isinstance(system, PostfixInstance):
            _kill(system.processes())
        else:
            system.stop()
        system.remove()


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    # Those whose parent is the first process of all may wait long to be buried: dead is enough.
    wait_for(lambda: all(map(_is_dead, processes)), "the end of killed processes")


def _is_dead(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
