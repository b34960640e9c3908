from __future__ import annotations

import asyncio

import pytest

from gateway.net.resolver import DnsNotFound, DnsTemporary
from gateway.testing.fake_dns import FakeDns

DNS = FakeDns(
    hosts={"x.example": ["192.0.2.1", "2001:db8::1"]},
    mail_exchangers={"x.example": [(20, "b.example"), (10, "a.example")]},
    pointers={"192.0.2.1": "x.example"},
    texts={"x.example": ["one", "two"]},
    name_servers={"x.example": ["ns.example"]},
    failing=["down.example"],
)


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("A", "x.example", ("192.0.2.1",)),
        ("AAAA", "x.example", ("2001:db8::1",)),
        ("MX", "x.example", ("a.example", "b.example")),
        ("NS", "x.example", ("ns.example",)),
        ("TXT", "x.example", ("one", "two")),
        ("PTR", "1.2.0.192.in-addr.arpa", ("x.example",)),
    ],
)
def test_records_of_a_type_as_text(kind: str, name: str, found: tuple[str, ...]) -> None:
    assert asyncio.run(DNS.lookup(name, kind)) == found  # type: ignore[arg-type]
    with pytest.raises(DnsNotFound):
        asyncio.run(DNS.lookup("none.example", kind))  # type: ignore[arg-type]
    with pytest.raises(DnsTemporary):
        asyncio.run(DNS.lookup("down.example", kind))  # type: ignore[arg-type]
