"""What is wrong with a restriction list is said at (re)load."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.errors import ConfigError
from gateway.model.restriction import RestrictionContext, RestrictionKind
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.restrictions import RestrictionEngine
from gateway.restrictions.compiler import check_relay_safety
from gateway.restrictions.names import BUILT_IN, NOT_YET, OLD_NAMES, STOPS_STRANGERS
from gateway.restrictions.step import Step
from gateway.testing.fake_dns import FakeDns


class NoDns:
    async def mx(self, domain: str) -> list[tuple[int, str]]:
        raise AssertionError

    async def addresses(self, host: str) -> list[str]:
        raise AssertionError


def engine(registered: dict[str, object] | None = None, **settings: str) -> tuple[RestrictionEngine, Tables]:
    config = Config.from_settings({"compatibility_level": "3.6", "mydestination": "local.example"} | settings)
    tables = Tables(config)
    return RestrictionEngine(config, tables, NoDns(), registered), tables


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("reject_non_fqdn_sendr", "did you mean reject_non_fqdn_sender"),
        ("permit_tls_clientcerts", "permit_tls_clientcerts is not available yet"),
        ("reject_rbl_client x.example", "reject_rbl_client is of the plugin rbl, which is not in main.cf's plugins"),
        ("check_sender_access static:OK", "not in main.cf's plugins"),
        ("sleep", r"sleep needs 1 argument"),
        ("sleep soon", "number of seconds"),
        ("permit_mynetworks, warn_if_reject", "nothing follows warn_if_reject"),
        ("{permit}", "unknown restriction"),
    ],
)
def test_mistakes(words: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        engine(smtpd_sender_restrictions=words)
    assert caught.value.parameter == "smtpd_sender_restrictions"


def test_classes() -> None:
    with pytest.raises(ConfigError, match="a has no definition"):
        engine(smtpd_restriction_classes="a")
    with pytest.raises(ConfigError, match="contain each other: a -> b -> a"):
        engine(smtpd_restriction_classes="a, b", a="b", b="permit_mynetworks, a")
    with pytest.raises(ConfigError, match="unknown restriction"):
        engine(smtpd_restriction_classes="a", a="no_such_thing")


def test_classes_nest_and_are_expanded() -> None:
    made, _ = engine(
        smtpd_restriction_classes="a, b", a="b, reject_unauth_pipelining", b="permit_mynetworks",
        smtpd_helo_restrictions="warn_if_reject a, reject_unauth_pipelining",
    )  # fmt: skip
    steps = made._lists["smtpd_helo_restrictions"]
    assert [(step.name, step.is_warning) for step in steps] == [
        ("permit_mynetworks", True), ("reject_unauth_pipelining", True), ("reject_unauth_pipelining", False),
    ]  # fmt: skip


def test_unreachable_restrictions_are_warned_about() -> None:
    _, tables = engine(smtpd_client_restrictions="permit, reject")
    assert 'smtpd_client_restrictions: "reject" after "permit" is never reached' in tables.warnings


def test_old_names_are_the_new_ones() -> None:
    made, _ = engine(smtpd_client_restrictions="Reject_Unknown_Client")
    assert made._lists["smtpd_client_restrictions"][0].name == "reject_unknown_client_hostname"
    assert set(OLD_NAMES.values()) <= set(BUILT_IN)
    assert not NOT_YET & set(BUILT_IN)


# relay safety


@pytest.mark.parametrize(
    "settings",
    [
        {"smtpd_relay_restrictions": ""},
        {"smtpd_relay_restrictions": "permit_mynetworks"},
        {"smtpd_relay_restrictions": "", "smtpd_recipient_restrictions": "permit, reject"},
        {"smtpd_relay_restrictions": "warn_if_reject reject_unauth_destination"},
        {"smtpd_relay_restrictions": "", "smtpd_recipient_restrictions": "permit_auth_destination"},
        {"smtpd_relay_restrictions": "a", "smtpd_restriction_classes": "a", "a": "warn_if_reject reject"},
        {"compatibility_level": "0"},
    ],
)
def test_nothing_starts_that_would_relay_for_strangers(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="open relay") as caught:
        engine(**settings)
    assert caught.value.parameter == "smtpd_relay_restrictions"


@pytest.mark.parametrize("name", sorted(STOPS_STRANGERS))
def test_what_stops_strangers(name: str) -> None:
    engine(smtpd_relay_restrictions="", smtpd_recipient_restrictions=f"permit_mynetworks, {name}")
    engine(smtpd_relay_restrictions="a", smtpd_restriction_classes="a", a=name)
    check_relay_safety((), (Step(name, lambda session: None),))


# plugins


def test_restrictions_of_plugins() -> None:
    seen: list[RestrictionContext] = []

    def factory(context: RestrictionContext) -> object:
        seen.append(context)
        limit = int(context.arguments[0])

        async def check(session: Session) -> Verdict | None:
            await asyncio.sleep(0)
            return Verdict.reject(f"over {limit}") if session.rcpt_count > limit else None

        return check

    registered = {"reject_many": RestrictionKind(factory, arguments=1)}  # type: ignore[arg-type]
    made, _ = engine(registered, smtpd_recipient_restrictions="reject_many 3, permit_mynetworks")
    assert (seen[0].name, seen[0].parameter, seen[0].arguments) == (
        "reject_many", "smtpd_recipient_restrictions", ("3",),
    )  # fmt: skip
    assert seen[0].text("mydestination") == "local.example"
    assert seen[0].words("mydestination") == ("local.example",)
    session = Session(Client("127.0.0.1"))
    session.sender, session.recipient, session.rcpt_count = Address("a", "b"), Address("c", "local.example"), 4
    verdict = asyncio.run(made.at_rcpt(session))
    assert verdict is not None
    assert (verdict.text, verdict.reason) == ("over 3", "reject_many")


def test_a_bare_factory_will_do() -> None:
    made, _ = engine({"hold_all": lambda context: lambda session: Verdict.hold()}, smtpd_sender_restrictions="hold_all")
    assert made._lists["smtpd_sender_restrictions"][0].deadline_s == 30.0


def test_names_that_are_taken_and_things_that_are_no_factory() -> None:
    with pytest.raises(ConfigError, match="built-in restriction reject"):
        engine({"reject": lambda context: lambda session: None})
    with pytest.raises(ConfigError, match="expected a RestrictionKind"):
        engine({"x": 3})


def test_a_mistake_in_a_factory_gets_its_parameter() -> None:
    def factory(context: RestrictionContext) -> object:
        raise ConfigError("no good")

    with pytest.raises(ConfigError, match="smtpd_sender_restrictions: x: no good"):
        engine({"x": factory}, smtpd_sender_restrictions="x")


def test_tables_of_a_restriction_are_open_before_a_table_names_it() -> None:
    async def never(session: Session) -> Verdict | None:
        raise AssertionError

    def factory(context: RestrictionContext) -> object:
        context.table(context.words("rbl_reply_maps")[0])
        return never

    registered = {"x": RestrictionKind(factory, tables=("rbl_reply_maps",))}  # type: ignore[arg-type]
    _, tables = engine(registered, rbl_reply_maps="inline:{a=b}")
    assert tables.opened("inline:{a=b}") is not None
    _, tables = engine({}, rbl_reply_maps="inline:{a=b}")
    assert tables.opened("inline:{a=b}") is None
    with pytest.raises(ConfigError, match="unknown type"):
        engine(registered, rbl_reply_maps="no-such-type:x")


def test_a_plugin_asks_dns_and_reports_who_fails() -> None:
    def factory(context: RestrictionContext) -> object:
        async def check(session: Session) -> Verdict | None:
            context.report("list", "list: no answer")
            return Verdict.reject(" ".join(await context.lookup("x.example", "NS")))

        return check

    config = Config.from_settings({
        "compatibility_level": "3.6", "mydestination": "local.example", "smtpd_delay_reject": "no",
        "smtpd_client_restrictions": "x, x",
    })  # fmt: skip
    tables = Tables(config)
    dns = FakeDns(name_servers={"x.example": ["a.example", "b.example"]})
    made = RestrictionEngine(config, tables, dns, {"x": factory})
    for _ in range(2):
        verdict = asyncio.run(made.at_connect(Session(Client("192.0.2.1"))))
        assert verdict is not None
        assert verdict.text == "a.example b.example"
    assert tables.warnings == ["list: no answer"]
