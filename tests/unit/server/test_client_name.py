"""Who a client is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from gateway.model.client import Client
from gateway.net.hosts_file import HostsFile
from gateway.net.resolver import Resolver
from gateway.proto.xclient import TEMPUNAVAIL
from gateway.server.client_name import identify, told_client
from gateway.testing import FakeDns

DNS = FakeDns(
    pointers={
        "192.0.2.1": "good.example",
        "192.0.2.2": "forged.example",
        "192.0.2.3": "gone.example",
        "192.0.2.4": "slow.example",
    },
    hosts={"good.example": ["192.0.2.9", "192.0.2.1"], "forged.example": ["198.51.100.1"]},
    failing=["192.0.2.5", "slow.example"],
)


@pytest.mark.parametrize(
    ("address", "name", "reverse", "codes"),
    [
        ("192.0.2.1", "good.example", "good.example", (2, 2)),
        ("192.0.2.2", "unknown", "forged.example", (5, 2)),
        ("192.0.2.3", "unknown", "gone.example", (5, 2)),
        ("192.0.2.4", "unknown", "slow.example", (4, 2)),
        ("192.0.2.5", "unknown", "unknown", (4, 4)),
        ("192.0.2.6", "unknown", "unknown", (5, 5)),
    ],
)
def test_only_a_name_that_leads_back_counts(address: str, name: str, reverse: str, codes: tuple[int, int]) -> None:
    client = asyncio.run(identify(address, "25", cast(Resolver, DNS), HostsFile("/nonexistent")))
    assert (client.name, client.reverse_name, (client.name_code, client.reverse_code)) == (name, reverse, codes)


def test_the_hosts_file_comes_first_and_lookups_can_be_off(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("192.0.2.1 filed.example alias\n")
    hosts = HostsFile(str(tmp_path / "hosts"))
    assert asyncio.run(identify("192.0.2.1", "25", cast(Resolver, DNS), hosts)).name == "filed.example"
    assert asyncio.run(identify("192.0.2.1", "25", None, hosts)).name == "unknown"


OLD = Client("192.0.2.1", "1234", "old.example", "old.example", 2, 2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"PORT": "9"}, Client("192.0.2.1", "9", "old.example", "old.example", 2, 2)),
        ({"NAME": "new.example"}, Client("192.0.2.1", "1234", "new.example", "new.example", 2, 2)),
        ({"NAME": None}, Client("192.0.2.1", "1234", "unknown", "unknown", 5, 5)),
        ({"NAME": TEMPUNAVAIL}, Client("192.0.2.1", "1234", "unknown", "unknown", 4, 4)),
        ({"NAME": None, "REVERSE_NAME": "r.example"}, Client("192.0.2.1", "1234", "unknown", "r.example", 5, 2)),
        ({"ADDR": "::1"}, Client("::1", "1234", "old.example", "old.example", 2, 2)),
        ({"ADDR": None}, Client("unknown", "1234", "old.example", "old.example", 2, 2)),
    ],
)
def test_xclient(given: dict[str, str | None], expected: Client) -> None:
    assert told_client(OLD, given) == expected
