"""Which keys the router asks tables for, and its lists of domains, beside Postfix's trivial-rewrite(8)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from peers.key_recorder import KeyRecorder
from peers.lookup_cases import Recorded, Setup, as_options, cases, filled, is_there, setups, their_tables
from peers.postfix import PostfixInstance
from peers.trivial_rewrite import TrivialRewrite

from gateway.rfc.rfc5321 import parse_path
from gateway.scheduler.router import Router

pytestmark = pytest.mark.peer("postfix")

BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mx.local.example",
    "myorigin": "origin.example",
    "inet_interfaces": "127.0.0.1",
}
LISTS = {
    "mydestination": "local.example {mydest}",
    "virtual_alias_domains": "valias.example {vadomain}",
    "virtual_mailbox_domains": "{vmdomain} vmail.example",
    "relay_domains": "!no.relay.example relay.example {rdomain} origin.example",
    "transport_maps": "{transport} {transport2}",
    "sender_dependent_default_transport_maps": "{sdtransport}",
    "sender_dependent_relayhost_maps": "{sdrelay}",
}
LIST_TABLES = ("mydest", "vadomain", "vmdomain", "rdomain")
TEXTS = {"transport": "slow:", "transport2": "slow:[two.example]", "sdtransport": "slow:", "sdrelay": "[relay.example]"}
TABLES = (*LIST_TABLES, *TEXTS)
SETUPS = setups(
    (
        {},
        {"recipient_delimiter": "+-", "parent_domain_matches_subdomains": "transport_maps"},
        {"recipient_delimiter": "=", "empty_address_relayhost_maps_lookup_key": "null@local.example"},
    ),
    density=9,
)


def answer(name: str, key: str) -> str | None:
    index, _, table = name.partition(".")
    # Lists have less in them, or every domain would be in one.
    if key == "*" or not is_there(SETUPS[int(index)], table, key, 4 if table in LIST_TABLES else 1):
        return None
    return TEXTS.get(table, "x")


@pytest.fixture(scope="module")
def recorder() -> Iterator[KeyRecorder]:
    with KeyRecorder(answer) as made:
        yield made


@pytest.fixture(scope="module")
def postfix(recorder: KeyRecorder) -> Iterator[PostfixInstance]:
    services, files = [], {}
    for setup in SETUPS:
        spec, named = their_tables(setup, TABLES, recorder)
        files.update(named)
        options = as_options(filled(LISTS, spec) | setup.settings)
        services.append(f"resolve{setup.index} unix - - n - 1 trivial-rewrite {options}")
    with PostfixInstance(BASE, services=services, files=files) as running:
        yield running


def by_table(asked: list[tuple[str, str]]) -> dict[str, list[str]]:
    """The keys of each table. The wild card is apart: Postfix asks for it once, and again when it is old."""
    found: dict[str, list[str]] = {name: [] for name in TABLES}
    for table, key in asked:
        if key != "*":
            found[table.partition(".")[2]].append(key)
    return found


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_same_keys_same_route(setup: Setup, postfix: PostfixInstance, recorder: KeyRecorder) -> None:
    ours = Recorded(setup, BASE | LISTS, TABLES, answer)
    with TrivialRewrite(postfix, f"resolve{setup.index}") as theirs:
        for case in cases(setup):
            sender, recipient = (parse_path(f"<{path}>".encode()) for path in (case.sender, case.recipient))
            recorder.take()
            ours.asked.clear()
            resolution = theirs.resolve(str(recipient), str(sender))
            route = asyncio.run(Router(ours.config, ours.tables).resolve(recipient, sender))
            assert (route.transport, route.nexthop) == (resolution.transport, resolution.nexthop), (setup, case)
            expected, found = by_table(recorder.take()), by_table(ours.asked)
            for table in TEXTS:
                assert found[table] == expected[table], (setup, case)
            for table in LIST_TABLES:
                # Postfix goes on asking the lists behind the one that decides, to warn of domains in two of them.
                assert set(found[table]) <= set(expected[table]), (setup, case)
