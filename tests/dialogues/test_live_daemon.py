"""Every script against the live daemon: real processes, restrictions, plugins and spool behind the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dialogues.runner import SCRIPTS, SETTINGS, Script, listeners, read_script, run_script
from peers.gateway import GatewayInstance
from peers.ports import LOOPBACK, wait_for_banner

_SCRIPTS = [read_script(path) for path in SCRIPTS]


@pytest.fixture(scope="module")
def gateway_ports() -> Iterator[dict[str, int]]:
    """One gateway, with a listener for each script's settings."""
    ports, services = listeners(_SCRIPTS)
    with GatewayInstance(SETTINGS, services=services) as gateway:
        for port in ports.values():
            wait_for_banner(port)
        yield {script.name: ports.get(script.name, gateway.port) for script in _SCRIPTS}
        assert "panic" not in gateway.log_text()


@pytest.mark.parametrize("script", _SCRIPTS, ids=[script.name for script in _SCRIPTS])
def test_gateway(script: Script, gateway_ports: dict[str, int]) -> None:
    """The script's own expectations are the assertions: ``run_script`` raises Failed at the first that is not met."""
    run_script(script, LOOPBACK, gateway_ports[script.name])
