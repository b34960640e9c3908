"""Telling systemd how we are. Source: sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time


def notify(*lines: str) -> None:
    """Send state lines such as ``READY=1`` when systemd asked for them; otherwise, and on failure, do nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(1)
        try:
            sender.sendto("\n".join(lines).encode(), address)
        except OSError:
            pass


def reloading() -> None:
    """Say that a reload begins; :func:`notify` ``READY=1`` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
