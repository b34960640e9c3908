"""Tables that list valid addresses; the replies are in tests/scenarios/policy."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.address_class import AddressClasses
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.errors import ConfigError, TableError
from gateway.model.restriction import RECIPIENT, SENDER, Subject
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.restrictions.unlisted import AddressTables


def check(address: str, subject: Subject = RECIPIENT, **settings: str) -> Verdict | None:
    config = Config.from_settings(
        {"compatibility_level": "3.6", "mydestination": "local.example", "relay_domains": "relay.example"} | settings
    )
    tables = Tables(config)
    session = Session(Client("192.0.2.1"))
    session.recipient = session.sender = Address.of(address)
    addresses = AddressTables(config, tables, AddressClasses(config, tables))
    return asyncio.run(addresses.check(session, Address.of(address), subject))


def test_a_default_that_names_what_is_not_there_has_no_answer() -> None:
    missing = {"alias_maps": "texthash:/nonexistent/aliases"}
    with pytest.raises(TableError, match="/nonexistent/aliases"):
        check("nobody@local.example", **missing)
    assert check("postmaster@local.example", **missing) is None


def test_a_setting_that_names_what_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match="unknown type"):
        check("nobody@local.example", local_recipient_maps="nosuch:/etc/aliases")
    with pytest.raises(ConfigError, match="/nonexistent"):
        check("nobody@local.example", local_recipient_maps="texthash:/nonexistent/users")


def test_rewriting_tables_count() -> None:
    listed = {"relay_recipient_maps": "inline:{a@relay.example=x}"}
    assert check("a@relay.example", **listed) is None
    assert check("b@relay.example", **listed) is not None
    assert check("b@relay.example", virtual_alias_maps="inline:{b@relay.example=c@d}", **listed) is None
    sender_only = {"sender_canonical_maps": "inline:{b@relay.example=c@d}"} | listed
    assert check("b@relay.example", **sender_only) is not None
    assert check("b@relay.example", SENDER, **sender_only) is None


def test_strangers_are_not_looked_for() -> None:
    assert check("a@b.example", relay_recipient_maps="fail:x") is None
    with pytest.raises(TableError):
        check("a@relay.example", relay_recipient_maps="fail:x")
