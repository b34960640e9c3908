"""What a lookup finds, and the extension that its result is to get, beside Postfix's cleanup(8)."""

from __future__ import annotations

import asyncio
import re
import smtplib
import zlib
from collections.abc import Iterator

import pytest
from peers.key_recorder import KeyRecorder
from peers.lookup_cases import Recorded, Setup, as_options, cases, filled, free_ports, is_there, setups, their_tables
from peers.ports import LOOPBACK
from peers.postfix import PostfixInstance

from gateway.maps.address_class import AddressClasses
from gateway.maps.address_lookup import AddressLookup, Extensions, Forms, propagates_extension
from gateway.maps.table import folded
from gateway.maps.table_list import TableList
from gateway.model.address import Address
from gateway.rfc.rfc5321 import parse_path

pytestmark = pytest.mark.peer("postfix")

BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mx.local.example",
    "mydestination": "local.example",
    "myorigin": "origin.example",
    "mynetworks": "127.0.0.0/8",
    "inet_interfaces": "127.0.0.1",
}
MAPS = {"virtual_alias_maps": "{one} {two}"}
THEIRS = {
    "default_transport": "discard:",
    "local_transport": "discard:",
    "smtpd_reject_unlisted_recipient": "no",
    "virtual_alias_domains": "",
}
TABLES = ("one", "two")
SETUPS = setups(
    (
        {"recipient_delimiter": "+"},
        {"recipient_delimiter": "+-="},
        {"recipient_delimiter": "+", "propagate_unmatched_extensions": "canonical"},
    ),
    density=3,
    has_empty=False,
)
_RESULT = re.compile(r" to=<([^>]*)>, (?:orig_to=<([^>]*)>, )?relay=")


def text_under(setup: Setup, table: str, key: str) -> str | None:
    if "far.example" in key or not is_there(setup, table, key):
        return None
    return f"v{zlib.crc32(folded(key).encode())}@far.example"  # where no table has anything


def answer(name: str, key: str) -> str | None:
    index, _, table = name.partition(".")
    return text_under(SETUPS[int(index)], table, key)


@pytest.fixture(scope="module")
def expanded() -> Iterator[list[dict[str, str]]]:
    """What Postfix makes of the recipients of each setup."""
    ports = free_ports(len(SETUPS))
    with KeyRecorder(answer) as recorder:
        services, files = [], {}
        for setup, port in zip(SETUPS, ports, strict=True):
            spec, named = their_tables(setup, TABLES, recorder)
            files.update(named)
            cleanup = f"cleanup{setup.index}"
            services.append(f"{LOOPBACK}:{port} inet n - n - 1 smtpd -o cleanup_service_name={cleanup}")
            services.append(f"{cleanup} unix n - n - 0 cleanup {as_options(filled(MAPS, spec) | setup.settings)}")
        with PostfixInstance(BASE | THEIRS, services=services, files=files) as postfix:
            yield [delivered(postfix, port, recipients(setup)) for setup, port in zip(SETUPS, ports, strict=True)]


def recipients(setup: Setup) -> list[str]:
    return sorted({case.recipient for case in cases(setup) if case.recipient.isascii()})


def delivered(postfix: PostfixInstance, port: int, recipients: list[str]) -> dict[str, str]:
    seen = len(postfix.log_text())
    with smtplib.SMTP(LOOPBACK, port, timeout=20) as smtp:
        assert smtp.sendmail("", recipients, "Subject: aliases\n\ntext") == {}
    postfix.wait_until_empty()
    results = _RESULT.findall(postfix.log_text()[seen:])
    return {parsed(original or result): parsed(result) for result, original in results}


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_same_result_same_extension(setup: Setup, expanded: list[dict[str, str]]) -> None:
    ours = asyncio.run(aliased(Recorded(setup, BASE | MAPS, TABLES, answer), recipients(setup)))
    assert sum(before != after for before, after in ours.items()) >= 10
    assert ours == expanded[setup.index]


def parsed(address: str) -> str:
    return parse_path(f"<{address}>".encode()).quoted  # Postfix keeps the domain's case


async def aliased(ours: Recorded, recipients: list[str]) -> dict[str, str]:
    """Each recipient, and what becomes of it."""
    classes = AddressClasses(ours.config, ours.tables)
    tables = TableList.of(ours.config, "virtual_alias_maps", ours.tables)
    lookup = AddressLookup(tables, Extensions.of(ours.config), Forms.REWRITING, is_local=classes.has_local_names)
    result = {}
    for recipient in recipients:
        address = parse_path(f"<{recipient}>".encode())
        found = await lookup.find(str(address))
        to = Address.of(found.value) if found else address
        if found and propagates_extension(ours.config, "virtual"):
            to = Address(to.local + found.extension, to.domain)
        result[address.quoted] = to.quoted
    return result
