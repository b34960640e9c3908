"""Endpoints as they are configured, and connections to them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from peers.ports import free_port

from gateway.model.errors import ConfigError
from gateway.net import endpoint
from gateway.net.endpoint import Dialer, Endpoint, Unreachable

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Both event loops."""
    return asyncio.run if request.param == "asyncio" else uvloop.run


def dialled(run: Run, where: Endpoint) -> Any:
    """The address of whom we got."""
    dialer = Dialer(where)
    try:
        with run(dialer.connect()) as connection:
            assert connection.gettimeout() == 0
            return connection.getpeername()
    finally:
        dialer.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_host(run: Run, host: str) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        assert dialled(run, Endpoint(host, port))[1] == port


def test_a_name_is_resolved_and_its_addresses_tried_in_turn(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    numeric, threads = socket.getaddrinfo, list[str]()

    def resolve(host: str, port: int, **options: Any) -> Any:
        if options["flags"]:
            return numeric(host, port, **options)
        threads.append(threading.current_thread().name)
        dead = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", free_port()))]
        return dead + numeric("127.0.0.1", port, type=socket.SOCK_STREAM)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert dialled(run, Endpoint("map.example", listener.getsockname()[1])) == listener.getsockname()
    assert threads == ["resolve map.example_0"]


def test_an_address_that_swallows_packets_is_not_waited_for_long(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "CONNECT_S", 0.05)
    with socket.socket() as full:  # a backlog of nothing, and filled
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        with pytest.raises(Unreachable, match="Connection timed out"):
            dialled(run, Endpoint("127.0.0.1", full.getsockname()[1]))
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("host", ["no..name", "x" * 300])
def test_a_name_that_is_none(run: Run, host: str) -> None:
    with pytest.raises(Unreachable, match="is no host name"):
        dialled(run, Endpoint(host, 25))


def test_a_name_without_an_address(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Unreachable) as caught:
        dialled(run, Endpoint("map.example", 25))
    assert caught.value.strerror == "Temporary failure in name resolution"


def test_a_closed_port(run: Run) -> None:
    with pytest.raises(Unreachable, match="Connection refused"):
        dialled(run, Endpoint("127.0.0.1", free_port()))


def test_unix_domain_sockets(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pytest.raises(Unreachable, match="No such file or directory"):
        dialled(run, Endpoint(path))
    with pytest.raises(Unreachable, match="too long"):
        dialled(run, Endpoint("x" * 200))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert dialled(run, Endpoint(path)) == path


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("a.example:25", "a.example:25"),
        ("a.example:smtp", "a.example:25"),
        ("127.0.0.1:010001", ""),
        ("127.0.0.1:10001", "127.0.0.1:10001"),
        ("[::1]:25", "[::1]:25"),
        ("::1:25", "[::1]:25"),
        (":25", "localhost:25"),
        ("a.example", ""),
        ("25", ""),
        ("a.example:", ""),
        ("a.example:0", ""),
        ("a.example:65536", ""),
        ("a.example:nosuchservice", ""),
        ("a.example:²", ""),
        ("a.example:-1", ""),
    ],
)
def test_endpoints(text: str, endpoint: str) -> None:
    if endpoint:
        assert str(Endpoint.tcp("table tcp:x", text)) == endpoint
    else:
        with pytest.raises(ConfigError, match="expected host:port"):
            Endpoint.tcp("table tcp:x", text)
