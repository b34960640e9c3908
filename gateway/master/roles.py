"""Which code a worker role runs, as import paths: the master itself never imports a role."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import cast

from gateway.net.worker import WorkerContext

Role = Callable[[WorkerContext], Awaitable[None]]

ROLES = {
    "smtpd": "gateway.server.smtpd_process:run",
    "scheduler": "gateway.master.scheduler_role:run",
    "check": "gateway.master.checking:run",
}

# master.cf commands that listen on inet sockets, and the role that serves them.
LISTENING_COMMANDS = {"smtpd": "smtpd"}


def resolve(role: str, roles: dict[str, str]) -> Role:
    """Import a role.

    Raises:
        LookupError: no such role. ImportError, AttributeError: its code is missing.
    """
    module, _, name = roles[role].partition(":")
    return cast(Role, getattr(importlib.import_module(module), name))
