"""Which user-defined names a configuration uses."""

from __future__ import annotations

import pytest

from gateway.config import Config
from gateway.config.usage import client_tables, unused_overrides, unused_settings, usage
from gateway.model.errors import ConfigError


def configured(services: str = "", **settings: str) -> Config:
    return Config.from_settings(settings, services)


def used(services: str = "", **settings: str) -> set[str]:
    return usage(configured(services, **settings)).used


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("ldap:a", [("ldap", "a")]),
        ("x,proxy:pgsql:b hash:c", [("pgsql", "b")]),
        ("pipemap:{mysql:a, { sqlite:b }}, {memcache:c}", [("mysql", "a"), ("sqlite", "b"), ("memcache", "c")]),
        ("!ldap:a x:ldap:b ldap: static:ldap:c", []),
    ],
)
def test_tables_of_a_value(text: str, tables: list[tuple[str, str]]) -> None:
    assert list(client_tables(text)) == tables


def test_what_any_value_mentions_is_used() -> None:
    assert used(relayhost="$a", a="${b?$c}", b="1", c="2", d="$e", e="3", f="4") == {"a", "b", "c", "e"}


def test_text_that_is_expanded_later_mentions_nothing() -> None:
    assert used(default_rbl_reply="$a", a="1") == set()


def test_classes_and_older_names_are_used() -> None:
    assert used(smtpd_restriction_classes="a, b", a="permit", virtual_maps="static:x") == {"a", "virtual_maps"}


def test_a_prefix_uses_the_names_of_its_type() -> None:
    settings = {"transport_maps": "$mine", "mine": "proxy:mysql:db", "db_hosts": "h", "db_server_host": "i"}
    assert used(**settings) == {"mine", "db_hosts"}


def test_rows_see_their_own_names_first() -> None:
    config = configured(
        "smtp inet n - n - - smtpd -o relayhost=$a -o a=1 -o c=2 -o d=3\nrelay unix - - n - - smtp -o smtp_helo_name=$b",
        a="x",
        b="y",
        mydestination="$c",
        e="z",
    )
    found = usage(config)
    assert found.used == {"b"}
    assert found.used_in_rows == [{"a", "c"}, set()]
    assert [(row.line, name, value) for row, name, value in unused_overrides(config, found)] == [(1, "d", "3")]
    assert [setting.name for setting in unused_settings(config, found)] == ["a", "e"]


def test_mentions_that_lead_nowhere() -> None:
    config = configured(
        "smtp inet n - n - - smtpd -o relayhost=$mine,$service_name,$nowhere",
        mydestination="${gone?x} $mydomain $virtual_maps $relay_destination_rate_delay",
        smtpd_restriction_classes="strict",
    )
    assert set(usage(config).undefined) == {
        ("main.cf", "gone"),
        ("main.cf", "relay_destination_rate_delay"),
        ("main.cf", "strict"),
        ("master.cf", "mine"),
        ("master.cf", "nowhere"),
    }


def test_tables_with_files_of_their_own() -> None:
    found = usage(configured(alias_maps="ldap:/a.cf, ldap:b, pgsql:./c.cf"))
    assert list(found.clients) == [("ldap", "/a.cf"), ("pgsql", "./c.cf")]


def test_a_value_that_cannot_be_expanded_is_an_error() -> None:
    with pytest.raises(ConfigError, match="refers to itself"):
        usage(Config({}).scoped({"relayhost": "$relayhost"}))
