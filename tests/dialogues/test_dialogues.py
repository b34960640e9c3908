"""Every script against the session, whole and octet by octet; with root and Postfix, against real Postfix too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dialogues.runner import (
    SCRIPTS,
    SETTINGS,
    Failed,
    Script,
    listeners,
    read_script,
    run_against_session,
    run_script,
)
from peers.ports import LOOPBACK, wait_for_banner
from peers.postfix import PostfixInstance

DIFFERENCES = Path(__file__).parents[2] / "docs" / "postfix-differences.md"
_SCRIPTS = [read_script(path) for path in SCRIPTS]
_IDS = [script.name for script in _SCRIPTS]
every_script = pytest.mark.parametrize("script", _SCRIPTS, ids=_IDS)


@every_script
def test_session(script: Script) -> None:
    wire = run_against_session(script)
    assert wire.session.data_to_send() == b""


# Whether input is early depends on when it comes, so those scripts are not cut.
_TIMELESS = [script for script in _SCRIPTS if not script.name.startswith("pipelining")]


@pytest.mark.parametrize("script", _TIMELESS, ids=[script.name for script in _TIMELESS])
def test_session_in_small_pieces(script: Script) -> None:
    """However the octets are cut, the messages are the same."""
    sizes = (1, 2, 3, 5) if max((len(step.octets) for step in script.steps), default=0) < 10_000 else (1000, 997)
    whole = run_against_session(script).accepted
    for size in sizes:
        assert run_against_session(script, size).accepted == whole


@pytest.fixture(scope="module")
def postfix_ports() -> Iterator[dict[str, int]]:
    """One Postfix, with a port for each script's settings."""
    ports, services = listeners(_SCRIPTS)
    with PostfixInstance(SETTINGS, services=services) as postfix:
        for port in ports.values():
            wait_for_banner(port)
        yield {script.name: ports.get(script.name, postfix.port) for script in _SCRIPTS}


@pytest.mark.peer("postfix")
@every_script
def test_postfix(script: Script, postfix_ports: dict[str, int]) -> None:
    """The same replies as real Postfix, but for the declared differences."""
    port = postfix_ports[script.name]
    run_script(script, LOOPBACK, port, is_postfix=True)
    if script.differs:
        with pytest.raises(Failed):
            run_script(script, LOOPBACK, port, timeout_s=0.5)


def test_differences_are_documented() -> None:
    """docs/postfix-differences.md names each script with a difference, and its reasons."""
    text = DIFFERENCES.read_text("utf-8")
    wanted = {(script.name, reason) for script in _SCRIPTS for _, reason in script.differs}
    listed = {(m[1], m[2]) for m in re.finditer(r"^\| `([a-z0-9-]+)` \| (.*?) \|", text, re.MULTILINE)}
    assert listed == wanted
