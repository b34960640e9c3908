"""Listening sockets: which addresses a row means, sharing them over reloads, refusing what is taken."""

import socket

import pytest

from gateway.config import Config
from gateway.master.listening import Listening, endpoints
from gateway.model.errors import ConfigError


def config(services: str, **settings: str) -> Config:
    return Config.from_settings({"inet_protocols": "ipv4", **settings}, services=services)


def addresses(services: str, **settings: str) -> list[str]:
    return [endpoint.label for endpoint in endpoints(config(services, **settings))]


@pytest.mark.parametrize(
    ("row", "settings", "expected"),
    [
        ("smtp inet n - n - - smtpd\n", {}, ["0.0.0.0:25"]),
        ("2525 inet n - n - - smtpd\n", {"inet_interfaces": "loopback-only"}, ["127.0.0.1:2525"]),
        (
            "2525 inet n - n - - smtpd\n",
            {"inet_interfaces": "loopback-only", "inet_protocols": "all"},
            ["127.0.0.1:2525", "[::1]:2525"],
        ),
        (
            "2525 inet n - n - - smtpd\n",
            {"inet_interfaces": "127.0.0.2, 127.0.0.3"},
            ["127.0.0.2:2525", "127.0.0.3:2525"],
        ),
        ("127.0.0.1:10025 inet n - n - - smtpd\n", {}, ["127.0.0.1:10025"]),
        ("[::1]:25 inet n - n - - smtpd\n", {"inet_protocols": "ipv6"}, ["[::1]:25"]),
        ("25 inet n - n - - smtpd\n", {"inet_protocols": "ipv6"}, ["[::]:25"]),
        ("25 inet n - n - - qmqpd\n26 unix n - n - - smtpd\n", {}, []),
    ],
)
def test_rows_name_addresses(row: str, settings: dict[str, str], expected: list[str]) -> None:
    assert addresses(row, **settings) == expected


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("nosuchport inet n - n - - smtpd\n", "unknown port"),
        ("70000 inet n - n - - smtpd\n", "unknown port"),
        ("a:b:c inet n - n - - smtpd\n", "bad service name"),
        ("[::1]:25 inet n - n - - smtpd\n", "no address that inet_protocols allows"),
        ("127.0.0.1:25 inet n - n - - smtpd\n127.0.0.1:smtp inet n - n - - smtpd\n", "taken by line 1"),
    ],
)
def test_bad_rows_are_named_with_their_line(row: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        addresses(row)
    assert caught.value.line == row.count("\n")
    assert caught.value.file.endswith("master.cf")


def test_each_worker_has_its_own_socket_on_one_port() -> None:
    listening = Listening(endpoints(config("127.0.0.1:0 inet n - n - - smtpd\n")), 3)
    try:
        sockets = [listening.for_worker(index)[0][0] for index in range(3)]
        assert len({sock.getsockname() for sock in sockets}) == 1
        assert len({sock.fileno() for sock in sockets}) == 3
        (name, address), *rest = listening.addresses
        assert (name, rest) == ("127.0.0.1:0", [])
        assert address == f"127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        listening.close_except(None)


def test_a_reload_shares_what_stays_and_closes_what_goes() -> None:
    both = "127.0.0.1:0 inet n - n - - smtpd\n127.0.0.2:0 inet n - n - - smtpd\n"
    old = Listening(endpoints(config(both)), 2)
    new = Listening(endpoints(config("127.0.0.1:0 inet n - n - - smtpd\n")), 3, old)
    try:
        kept, gone = old.for_worker(0)[0][0], old.for_worker(0)[1][0]
        assert new.for_worker(0)[0][0] is kept
        assert new.addresses[0] == old.addresses[0]
        old.close_except(new)
        assert gone.fileno() == -1
        assert kept.fileno() != -1
        assert new.workers == 3
    finally:
        new.close_except(None)


def test_a_port_that_somebody_has_is_an_error_and_leaves_nothing_open() -> None:
    with socket.socket() as other:
        # Even somebody who would share: two gateways on one port would each get half of the mail.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        rows = f"127.0.0.1:0 inet n - n - - smtpd\n127.0.0.1:{port} inet n - n - - smtpd\n"
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use") as caught:
            Listening(endpoints(config(rows)), 2)
        assert caught.value.line == 2


def test_no_rows_no_workers() -> None:
    assert Listening(endpoints(config("")), 4).workers == 0
    assert Listening.nothing().addresses == []
