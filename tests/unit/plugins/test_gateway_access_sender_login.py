"""Who may use which sender address, and check_sasl_access. Replies are compared with Postfix's in tests/scenarios/access."""

from __future__ import annotations

import asyncio

import pytest
from gateway_access.sender_login import owns

from gateway.config import Config
from gateway.hooks.manager import PluginManager
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.errors import ConfigError
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.restrictions import RestrictionEngine
from gateway.testing.fake_dns import FakeDns

LOGINS = "inline:{ {a@own.example = joe, anna}, {@dom.example = joe}, {local = joe} }"
ANY, LOGGED_IN, STRANGERS, KNOWN = (
    f"reject_{whose}sender_login_mismatch" for whose in ("", "authenticated_", "unauthenticated_", "known_")
)


def judged(restriction: str, sender: str, login: str = "", **more: str) -> tuple[Verdict | None, Tables]:
    settings = {
        "compatibility_level": "3.6",
        "myorigin": "local.example",
        "mydestination": "local.example",
        "local_recipient_maps": "",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sender_login_maps": LOGINS,
        "smtpd_recipient_restrictions": restriction,
    }
    config = Config.from_settings(settings | more)
    tables = Tables(config)
    engine = RestrictionEngine(
        config, tables, FakeDns(), PluginManager(config.words("plugins")).registered("restrictions")
    )
    session = Session(Client("203.0.113.9"))
    session.sender, session.recipient = Address.of(sender), Address("r", "local.example")
    session.sasl_username = login
    return asyncio.run(engine.at_rcpt(session)), tables


@pytest.mark.parametrize(
    ("restriction", "sender", "login", "text"),
    [
        (ANY, "a@own.example", "joe", ""),
        (ANY, "a@own.example", "ANNA", ""),
        (ANY, "a@own.example", "zoe", "not owned by user zoe"),
        (ANY, "a@own.example", "", "not logged in"),
        (ANY, "b@own.example", "joe", "not owned by user joe"),
        (ANY, "b@own.example", "", ""),
        (ANY, "x@dom.example", "joe", ""),
        (ANY, "local@local.example", "joe", ""),
        (ANY, "local", "", "not logged in"),
        (ANY, "", "joe", ""),
        (LOGGED_IN, "a@own.example", "", ""),
        (LOGGED_IN, "b@own.example", "joe", "not owned by user joe"),
        (STRANGERS, "a@own.example", "zoe", ""),
        (STRANGERS, "a@own.example", "", "not logged in"),
        (KNOWN, "b@own.example", "joe", ""),
        (KNOWN, "a@own.example", "zoe", "not owned by user zoe"),
        (KNOWN, "a@own.example", "", "not logged in"),
    ],
)
def test_mismatches(restriction: str, sender: str, login: str, text: str) -> None:
    verdict, tables = judged(restriction, sender, login)
    refused = f"<{sender}>: Sender address rejected: {text}" if text else ""
    assert (verdict.text if verdict else "") == refused
    assert verdict is None or (verdict.code, verdict.enhanced) == (553, "5.7.1")
    assert tables.warnings == []


def test_without_logins_it_is_ignored_and_said_so() -> None:
    verdict, tables = judged(ANY, "a@own.example", "zoe", smtpd_sasl_auth_enable="no")
    assert verdict is None
    assert tables.warnings == [f"smtpd_recipient_restrictions: {ANY} is ignored: smtpd_sasl_auth_enable = no"]


def test_without_tables_nobody_owns_anything() -> None:
    assert judged(ANY, "a@own.example", smtpd_sender_login_maps="")[0] is None
    assert judged(KNOWN, "a@own.example", "joe", smtpd_sender_login_maps="")[0] is None
    verdict, _ = judged(ANY, "a@own.example", "joe", smtpd_sender_login_maps="")
    assert verdict is not None
    assert verdict.code == 553


def test_a_table_that_fails_defers_and_names_the_sender() -> None:
    verdict, _ = judged(ANY, "a@own.example", smtpd_sender_login_maps="fail:x")
    assert verdict is not None
    assert (verdict.code, verdict.enhanced) == (451, "4.3.0")
    assert verdict.text == "<a@own.example>: Temporary lookup failure"


def test_a_missing_table_stops_the_start_whoever_names_the_restriction() -> None:
    with pytest.raises(ConfigError, match="No such file"):
        judged("permit", "a@own.example", smtpd_sender_login_maps="texthash:/nonexistent")


def test_the_result_of_a_table_may_name_it() -> None:
    verdict, _ = judged(f"check_recipient_access static:{ANY}", "a@own.example")
    assert verdict is not None
    assert verdict.text.endswith("not logged in")


@pytest.mark.parametrize(
    ("login", "owners", "expected"),
    [
        ("joe", "joe", True),
        ("Joe", "anna, jOE", True),
        ("joe", ",, \tjoe ,", True),
        ("joe", "joel", False),
        ("joe", "", False),
        ("", "a,,b", False),
    ],
)
def test_owners(login: str, owners: str, *, expected: bool) -> None:
    assert owns(login, owners) is expected


@pytest.mark.parametrize(
    ("login", "enabled", "code"),
    [("joe", "yes", 554), ("JOE", "yes", 554), ("zoe", "yes", 0), ("", "yes", 0), ("joe", "no", 0)],
)
def test_check_sasl_access(login: str, enabled: str, code: int) -> None:
    verdict, _ = judged("check_sasl_access inline:{joe=REJECT}", "s@a.example", login, smtpd_sasl_auth_enable=enabled)
    assert (verdict.code if verdict else 0) == code
    assert verdict is None or verdict.text == f"<{login}>: SASL login name rejected: Access denied"


def test_check_sasl_access_defers_while_its_table_fails() -> None:
    verdict, _ = judged("check_sasl_access fail:x", "s@a.example", "joe")
    assert verdict is not None
    assert (verdict.code, verdict.text) == (451, "<joe>: SASL login name rejected: Server configuration error")


@pytest.mark.parametrize(("enabled", "code"), [("yes", 0), ("no", 554)])
def test_permit_sasl_authenticated_needs_logins(enabled: str, code: int) -> None:
    verdict, _ = judged("permit_sasl_authenticated, reject", "s@a.example", "joe", smtpd_sasl_auth_enable=enabled)
    assert (verdict.code if verdict else 0) == code
