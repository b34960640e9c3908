"""Shared by every test: the ``peer(name)`` marker.

A test that needs a real peer says so with ``@pytest.mark.peer("postfix")``; several names may be given. Where the peer
is missing the test is skipped with the peer's name in the reason; where the environment says ``CI=true`` it fails
instead, so that a continuous run can never pass by skipping.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from glob import glob

import pytest

_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin", "/sbin", "/bin"))
_PATH += "".join(f"{os.pathsep}{directory}" for directory in glob("/usr/lib/postgresql/*/bin"))  # Debian's place
# Peers that are no program of the same name.
_NEEDS_ROOT = frozenset({"postfix", "root"})
_MODULES = {"dkimpy": "dkim", "aiosmtpd": "aiosmtpd", "python-ldap": "ldap", "berkeleydb": "berkeleydb", "lmdb": "lmdb"}


def missing(name: str) -> str:
    """Why the peer cannot be used here; empty when it can."""
    if name in _NEEDS_ROOT and os.geteuid() != 0:
        return f"{name} needs root"
    if name == "root":
        return ""
    if name in _MODULES:
        return "" if importlib.util.find_spec(_MODULES[name]) else f"Python package {name} is not installed"
    return "" if shutil.which(name, path=_PATH) else f"{name} is not installed"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        for name in mark.args:
            if reason := missing(name):
                if os.environ.get("CI") == "true":
                    pytest.fail(f"peer {name!r} is needed in CI: {reason}", pytrace=False)
                pytest.skip(f"peer {name!r}: {reason}")
