"""Where a configuration names tables."""

from __future__ import annotations

import pytest

from gateway.config import Config
from gateway.maps.lint.uses import Lookup, lookup_of, table_uses

TYPES = (
    "cidr",
    "debug",
    "hash",
    "inline",
    "ldap",
    "pipemap",
    "proxy",
    "regexp",
    "static",
    "tcp",
    "texthash",
    "unionmap",
    "unix",
)


def uses(services: str = "", **settings: str) -> list[tuple[str, str, Lookup]]:
    config = Config.from_settings(settings, services)
    return [(use.spec, use.parameter, use.lookup) for use in table_uses(config, TYPES)]


def test_lists_of_tables() -> None:
    assert uses(virtual_alias_maps="hash:a, proxy:ldap:b", transport_maps="texthash:c", alias_maps="hash:d") == [
        ("hash:a", "virtual_alias_maps", Lookup.ADDRESS),
        ("ldap:b", "virtual_alias_maps", Lookup.ADDRESS),
        ("texthash:c", "transport_maps", Lookup.TRANSPORT),
        ("hash:d", "alias_maps", Lookup.ALIAS),
    ]


def test_lists_with_tables_in_them() -> None:
    assert uses(mydestination="$myhostname, !hash:a localhost", mynetworks="[::1]/128 /file cidr:b !/other") == [
        ("hash:a", "mydestination", Lookup.DOMAIN),
        ("/file", "mynetworks", Lookup.OTHER),
        ("cidr:b", "mynetworks", Lookup.OTHER),
        ("/other", "mynetworks", Lookup.OTHER),
    ]


def test_restrictions_say_what_they_ask() -> None:
    found = uses(
        smtpd_recipient_restrictions="check_client_access cidr:a, check_sender_access { hash:b, x=y } check_helo_access"
        " hash:c check_sender_mx_access hash:d check_ccert_access hash:e check_recipient_access hash:f reject"
    )
    assert [(spec, lookup) for spec, _, lookup in found] == [
        ("cidr:a", Lookup.CLIENT),
        ("hash:b", Lookup.ADDRESS_ACCESS),
        ("hash:c", Lookup.HELO),
        ("hash:d", Lookup.CLIENT),
        ("hash:e", Lookup.OTHER),
        ("hash:f", Lookup.ADDRESS_ACCESS),
    ]


def test_sockets_are_no_tables() -> None:
    assert uses(
        smtpd_client_restrictions="check_policy_service unix:private/p, check_policy_service { tcp:x:1, timeout=1 }",
        mynetworks="unix:passwd.byname unix:other",
        relayhost="hash:x",
        content_filter="tcp:y",
        default_transport="static:z",
    ) == [("unix:passwd.byname", "mynetworks", Lookup.OTHER)]


def test_restriction_classes_and_rows_are_looked_through() -> None:
    found = uses(
        "smtp inet n - n - - smtpd\n  -o smtpd_sender_restrictions=$mua -o mua=check_sender_access,hash:$service_name",
        smtpd_restriction_classes="strict",
        strict="check_client_access hash:a",
    )
    assert found == [
        ("hash:a", "strict", Lookup.CLIENT),
        ("hash:smtp", "smtpd_sender_restrictions", Lookup.ADDRESS_ACCESS),
    ]


def test_members_of_tables_made_of_tables() -> None:
    found = uses(
        virtual_alias_maps="pipemap:{hash:a, unionmap:{hash:b, debug:hash:c}}",
        transport_maps="unionmap:{hash:d static:{x y}}",
    )
    assert [(spec, lookup) for spec, _, lookup in found if spec.partition(":")[0] == "hash"] == [
        ("hash:a", Lookup.OTHER),
        ("hash:b", Lookup.OTHER),
        ("hash:c", Lookup.OTHER),
        ("hash:d", Lookup.TRANSPORT),
    ]


def test_types_that_are_missing_here_are_named_too() -> None:
    assert [spec for spec, _, _ in uses(mynetworks="sdbm:/x other:y")] == ["sdbm:/x"]
    assert [spec for spec, _, _ in uses(alias_maps="nis:mail.aliases sdbm:/x")] == ["nis:mail.aliases", "sdbm:/x"]


@pytest.mark.parametrize(
    ("parameter", "lookup"),
    [
        ("proxy_read_maps", None),
        ("address_verify_map", None),
        ("mydomain", None),
        ("header_checks", Lookup.OTHER),
        ("sender_dependent_relayhost_maps", Lookup.SENDER),
        ("recipient_canonical_maps", Lookup.ADDRESS),
        ("relay_domains", Lookup.PARENT_DOMAIN),
        ("virtual_mailbox_domains", Lookup.DOMAIN),
        ("smtpd_sasl_exceptions_networks", Lookup.OTHER),
        ("smtp_reply_filter", Lookup.OTHER),
        ("content_filter", None),
        ("smtpd_authorized_xclient_hosts", Lookup.OTHER),
    ],
)
def test_parameters(parameter: str, lookup: Lookup | None) -> None:
    assert lookup_of(parameter) is lookup
