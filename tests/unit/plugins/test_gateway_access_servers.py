"""Access checks by the servers of a name, where no DNS server has a say: order, doubt, bounds. Replies are compared
with Postfix's in tests/scenarios/access.
"""

from __future__ import annotations

import asyncio

import pytest
from gateway_access import servers

from gateway.config import Config
from gateway.hooks.manager import PluginManager
from gateway.maps import Table, Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.errors import ConfigError, TableError
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.net.resolver import Kind
from gateway.restrictions import RestrictionEngine
from gateway.testing.fake_dns import FakeDns

SETTINGS = {
    "compatibility_level": "3.6",
    "mydestination": "local.example",
    "local_recipient_maps": "",
    "inet_protocols": "all",
}


class Asked(Table):
    """Keeps what it was asked, and knows one key."""

    keys: list[str] = []  # noqa: RUF012 — of the whole test

    def __init__(self, name: str) -> None:
        super().__init__(f"asked:{name}")
        self.key, _, self.value = name.partition("=")

    async def find(self, key: str) -> str | None:
        self.keys.append(key)
        if self.key == "down":
            raise TableError(self.spec, "connection refused")
        return self.value if key == self.key else None


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    Asked.keys.clear()


def judged(restriction: str, dns: FakeDns, *, sender: str = "s@a.example", **more: str) -> Verdict | None:
    config = Config.from_settings(SETTINGS | {"smtpd_recipient_restrictions": restriction} | more)
    manager = PluginManager(config.words("plugins"))
    tables = Tables(config, {"asked": lambda name, config: Asked(name)})
    engine = RestrictionEngine(config, tables, dns, manager.registered("restrictions"))
    session = Session(Client("203.0.113.9", name="c.example", reverse_name="r.example", name_code=2))
    session.helo, session.sender = "h.example", Address.of(sender)
    session.recipient = Address("r", "local.example")
    return asyncio.run(engine.at_rcpt(session))


def test_hosts_in_order_each_by_name_and_address() -> None:
    dns = FakeDns(
        mail_exchangers={"a.example": [(20, "two.example"), (10, "m.one.example")]},
        hosts={"m.one.example": ["192.0.2.1", "2001:db8::1"], "two.example": ["192.0.2.2"]},
    )
    assert judged("check_sender_mx_access asked:two.example=DUNNO", dns) is None
    assert Asked.keys == [
        "m.one.example", "one.example", "example", "192.0.2.1", "192.0.2", "192.0", "192",
        "2001:db8::1", "2001:db8:", "2001:db8", "2001", "two.example",
    ]  # fmt: skip


def test_inet_protocols_says_which_addresses_count() -> None:
    dns = FakeDns(hosts={"a.example": ["192.0.2.1", "2001:db8::1"]})
    assert judged("check_sender_a_access asked:x", dns, inet_protocols="ipv6") is None
    assert [key for key in Asked.keys if key.count(".") > 2 or key.count(":") > 2] == ["2001:db8::1"]


@pytest.mark.parametrize("party", ["client", "reverse_client_hostname", "helo", "sender", "recipient"])
@pytest.mark.parametrize("kind", ["a", "mx", "ns"])
def test_every_check_names_whom_it_judges(party: str, kind: str) -> None:
    names = ["c.example", "r.example", "h.example", "a.example", "local.example"]
    dns = FakeDns(hosts={name: ["192.0.2.1"] for name in names}, name_servers={name: [name] for name in names})
    verdict = judged(f"check_{party}_{kind}_access inline:{{192.0.2=REJECT}}", dns)
    shown = {
        "client": "<c.example[203.0.113.9]>: Client host",
        "reverse_client_hostname": "<r.example>: Unverified Client host",
        "helo": "<h.example>: Helo command",
        "sender": "<s@a.example>: Sender address",
        "recipient": "<r@local.example>: Recipient address",
    }
    assert verdict is not None
    assert verdict.text == f"{shown[party]} rejected: Access denied"
    assert verdict.reason == f"check_{party}_{kind}_access inline:{{192.0.2=REJECT}}: 192.0.2"


def test_name_servers_of_the_nearest_parent_that_has_some() -> None:
    dns = FakeDns(name_servers={"b.example": ["ns.b.example"], "example": ["ns.example"]})
    assert judged("check_sender_ns_access asked:x", dns, sender="s@deep.er.b.example") is None
    assert Asked.keys == ["ns.b.example", "b.example", "example"]


def test_a_null_sender_has_no_servers() -> None:
    assert judged("check_sender_mx_access static:REJECT", FakeDns(), sender="") is None


@pytest.mark.parametrize(
    ("check", "dns", "what"),
    [
        ("mx", FakeDns(failing=["a.example"]), "mail exchangers"),
        ("ns", FakeDns(failing=["a.example"]), "name servers"),
        ("a", FakeDns(failing=["a.example"]), "addresses"),
        ("mx", FakeDns(mail_exchangers={"a.example": [(1, "m.example")]}, failing=["m.example"]), "mail exchangers"),
        ("ns", FakeDns(failing=["example"]), "name servers"),
    ],
)
def test_what_cannot_be_looked_up_now_is_not_let_through(check: str, dns: FakeDns, what: str) -> None:
    verdict = judged(f"check_sender_{check}_access inline:{{192.0.2=REJECT}}", dns)
    assert verdict is not None
    assert (verdict.action, verdict.code, verdict.enhanced) == (Action.DEFER, 450, "4.4.3")
    assert verdict.text == f"<s@a.example>: Sender address rejected: Unable to look up {what} of a.example"
    assert "Name service error for name=" in verdict.reason


def test_a_temporary_error_does_not_hide_a_host_that_is_found() -> None:
    dns = FakeDns(
        mail_exchangers={"a.example": [(1, "down.example"), (2, "bad.example")]},
        hosts={"bad.example": ["192.0.2.1"]},
        failing=["down.example"],
    )
    verdict = judged("check_sender_mx_access inline:{192.0.2=REJECT}", dns)
    assert verdict is not None
    assert verdict.code == 554


def test_reject_tempfail_action_decides_what_doubt_does() -> None:
    dns, check = FakeDns(failing=["a.example"]), "check_sender_mx_access asked:x, reject"
    later = judged(check, dns)
    at_once = judged(check, dns, reject_tempfail_action="defer")
    assert later is not None
    assert at_once is not None
    assert (later.code, at_once.code) == (554, 450)
    with pytest.raises(ConfigError, match="expected defer_if_permit or defer"):
        judged(check, dns, reject_tempfail_action="reject")


def test_one_family_of_addresses_is_enough() -> None:
    class OnlyFour(FakeDns):
        async def lookup(self, name: str, kind: Kind) -> tuple[str, ...]:
            self._check(f"{name}/{kind}", kind)
            return await super().lookup(name, kind)

    dns = OnlyFour(hosts={"a.example": ["198.51.100.1"]}, failing=["a.example/AAAA"])
    assert judged("check_sender_a_access asked:x", dns) is None
    assert "198.51.100.1" in Asked.keys


@pytest.mark.parametrize("kind", ["mx", "ns"])
def test_a_walk_that_takes_too_long_ends_in_doubt(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "WALK_LIMIT_S", -1.0)
    dns = FakeDns(mail_exchangers={"a.example": [(at, f"m{at}.example") for at in range(60)]})
    verdict = judged(f"check_sender_{kind}_access asked:x", dns)
    assert verdict is not None
    assert (verdict.code, verdict.reason.endswith("too slow")) == (450, True)
    assert Asked.keys == []


@pytest.mark.parametrize("check", ["check_sender_a_access", "check_reverse_client_hostname_access"])
def test_a_table_may_not_permit(check: str) -> None:
    dns = FakeDns(hosts={"a.example": ["203.0.113.9"]})
    verdict = judged(f"{check} inline:{{203.0.113.9=OK}}", dns)
    assert verdict is not None
    assert (verdict.code, verdict.enhanced, verdict.text) == (451, "4.3.5", "Server configuration error")
    assert verdict.reason.endswith("203.0.113.9: OK is not allowed here")


@pytest.mark.parametrize("check", ["check_sender_mx_access", "check_reverse_client_hostname_access"])
def test_a_table_that_is_down_defers(check: str) -> None:
    verdict = judged(f"{check} asked:down", FakeDns())
    assert verdict is not None
    assert (verdict.action, verdict.code) == (Action.DEFER, 451)
    assert verdict.text.endswith("rejected: Server configuration error")


def test_localhost_is_known_without_dns() -> None:
    dns = FakeDns(mail_exchangers={"a.example": [(1, "localhost")]}, failing=["localhost"])
    verdict = judged("check_sender_mx_access inline:{127=REJECT}", dns)
    assert verdict is not None
    assert verdict.code == 554


def test_what_looks_like_a_literal_and_is_none_has_no_servers() -> None:
    assert judged("check_sender_mx_access static:REJECT", FakeDns(), sender="s@[nonsense]") is None
