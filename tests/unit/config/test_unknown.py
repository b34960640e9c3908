from __future__ import annotations

from gateway.config import Config, read
from gateway.config.unknown import unknown_names


def warnings(services: str = "", **values: str) -> list[str]:
    return Config.from_settings(values, services).warnings


def test_a_misspelt_name_gets_the_nearest_known_one() -> None:
    assert warnings(myhostnam="x") == ["myhostnam: unknown parameter; did you mean myhostname?"]
    assert warnings(zzzz="x") == ["zzzz: unknown parameter"]


def test_the_warning_says_where(tmp_path) -> None:
    (tmp_path / "main.cf").write_text("# c\nsmtpd_tiemout = 3\n")
    config = read(str(tmp_path))
    config.check()
    assert config.warnings == [
        f"{tmp_path}/main.cf, line 2: smtpd_tiemout: unknown parameter; did you mean smtpd_timeout?"
    ]


def test_names_that_something_reads_are_in_order() -> None:
    assert warnings(mydestination="$mine", mine="${other?{$third}}", other="x", third="y") == []
    assert warnings(smtpd_restriction_classes="strict", strict="reject_unauth_destination $more", more="reject") == []
    assert warnings(virtual_maps="static:x") == []
    assert warnings(transport_maps="ldap:tree", tree_server_host="h") == []
    assert warnings("s inet n - n - - smtpd -o smtpd_client_restrictions=$mua_list", mua_list="permit") == []
    assert warnings("relay unix - - n - - smtp", relay_destination_rate_delay="1s") == []


def test_an_unread_name_is_told_before_what_it_mentions() -> None:
    """As in Postfix: when it is gone, ``deeper`` will be told."""
    assert warnings(unread="$deeper", deeper="1") == ["unread: unknown parameter"]
    assert warnings(other_destination_rate_delay="1s")[0].startswith("other_destination_rate_delay: unknown")


def test_a_table_has_its_own_names_only() -> None:
    assert warnings(transport_maps="ldap:tree", tree_server_host="h", tree_x="y") == ["tree_x: unknown parameter"]
    assert warnings(transport_maps="hash:tree", tree_server_host="h")[0].startswith("tree_server_host: unknown")


def test_a_misspelt_override_is_told() -> None:
    assert warnings("smtp inet n - n - - smtpd -o smtpd_tiemout=3") == [
        "master.cf, line 1: smtpd_tiemout: unknown parameter in -o; did you mean smtpd_timeout?"
    ]


def test_nothing_is_unknown_where_all_is_read() -> None:
    config = Config.from_settings({"mydestination": "$mine, proxy:pgsql:db", "mine": "x", "db_hosts": "h"})
    assert list(unknown_names(config)) == []
