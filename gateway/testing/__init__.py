"""The test kit for plugin authors, and for our own tests: no root, no network, no fixed ports.

``InProcessGateway`` is a whole smtpd on a loopback port of this process; what it accepts is in ``queued``. ``FakeDns``
answers from a dictionary. The fixture ``postgate`` (a pytest plugin, active once Postgate is installed) starts and
stops it. Everything is imported at first use: pytest loads this package in every run, for projects without mail too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.testing.fake_dns import FakeDns
    from gateway.testing.in_process import InProcessGateway, Queued

__all__ = ["FakeDns", "InProcessGateway", "Queued"]
_HOME = {"FakeDns": "fake_dns", "InProcessGateway": "in_process", "Queued": "in_process"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(name)
    return getattr(import_module(f"gateway.testing.{_HOME[name]}"), name)
