"""The access plugin, loaded as any plugin is; lookup orders and replies are in tests/scenarios/policy."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.hooks.manager import PluginManager
from gateway.maps import Table, Tables
from gateway.maps.guarded import GuardedTable
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.errors import ConfigError, TableError
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions import RestrictionEngine


class NoDns:
    async def mx(self, domain: str) -> list[tuple[int, str]]:
        raise AssertionError

    async def addresses(self, host: str) -> list[str]:
        raise AssertionError


class Remote(Table):
    """A table that waits, and knows only what ``name`` says: ``key=value`` or nothing for "down"."""

    def __init__(self, name: str) -> None:
        super().__init__(f"remote:{name}")
        self.key, _, self.value = name.partition("=")
        self.asked: list[str] = []

    async def find(self, key: str) -> str | None:
        self.asked.append(key)
        await asyncio.sleep(0)
        if self.key == "down":
            raise TableError(self.spec, "connection refused")
        return self.value if key == self.key else None


def judged(restriction: str, **more: str) -> tuple[Verdict | None, Session, Tables]:
    config = Config.from_settings(
        {"compatibility_level": "3.6", "mydestination": "local.example", "local_recipient_maps": ""}
        | {"smtpd_recipient_restrictions": restriction, "recipient_delimiter": "+"}
        | more
    )
    manager = PluginManager(config.words("plugins"))
    tables = Tables(config, {"remote": lambda name, config: Remote(name)})
    engine = RestrictionEngine(config, tables, NoDns(), manager.registered("restrictions"))
    session = Session(Client("203.0.113.9", name="mail.client.example", name_code=2))
    session.helo, session.sender = "h.example", Address("s", "sender.example")
    session.recipient = Address("User+x", "local.example")
    verdict = asyncio.run(engine.at_rcpt(session))
    if verdict is None:
        verdict = asyncio.run(engine.at_end_of_data(session))
    return verdict, session, tables


def test_it_is_loaded_by_default_and_needed() -> None:
    verdict, _, _ = judged("check_recipient_access static:REJECT")
    assert verdict is not None
    with pytest.raises(ConfigError, match=r"not in main\.cf's plugins"):
        judged("check_recipient_access static:REJECT", plugins="")


def test_the_private_reason_names_restriction_table_and_key() -> None:
    verdict, session, _ = judged("check_sender_access inline:{sender.example=REJECT}")
    assert verdict is not None
    assert verdict.reason == "check_sender_access inline:{sender.example=REJECT}: sender.example"
    assert "inline" not in verdict.text
    assert session.ledger[-1].author == "check_sender_access"


def test_tables_that_wait() -> None:
    verdict, _, tables = judged("check_recipient_access remote:user@=REJECT")
    assert verdict is not None
    assert verdict.action is Action.REJECT
    guarded = tables.opened("remote:user@=REJECT")
    assert isinstance(guarded, GuardedTable)
    table = guarded.table
    assert isinstance(table, Remote)
    assert table.asked == [
        "user+x@local.example", "user@local.example", "local.example", "example", "user+x@", "user@",
    ]  # fmt: skip


@pytest.mark.parametrize("check", ["client", "helo", "sender", "recipient"])
def test_a_table_that_is_down_defers_and_tells_only_the_log(check: str) -> None:
    verdict, _, _ = judged(f"check_{check}_access remote:down")
    assert verdict is not None
    assert (verdict.action, verdict.code, verdict.enhanced) == (Action.DEFER, 451, "4.3.5")
    assert verdict.text.endswith("rejected: Server configuration error")
    assert verdict.reason == "table remote:down: connection refused"


def test_bad_entries_are_warned_about() -> None:
    verdict, session, tables = judged("check_recipient_access static:{FILTER nowhere}")
    assert verdict is None
    assert session.actions == []
    assert tables.warnings == [
        'access table static:{FILTER nowhere} entry "user+x@local.example" requires transport:destination'
    ]


def test_prepend_comes_too_late_after_the_content() -> None:
    verdict, session, tables = judged("", smtpd_end_of_data_restrictions="check_client_access static:{PREPEND X-A: b}")
    assert verdict is None
    assert session.actions == []
    assert "too late" in tables.warnings[0]


def test_no_subject_no_lookup() -> None:
    verdict, session, _ = judged("check_recipient_access static:REJECT", smtpd_recipient_restrictions="")
    assert verdict is None
    assert session.ledger == []


def test_a_missing_table_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="No such file"):
        judged("check_recipient_access texthash:/nonexistent/table")
