"""The resolver against a DNS server with scripted zones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from peers.dns_server import GARBAGE, NXDOMAIN, REFUSED, SERVFAIL, TIMEOUT, DnsServer

from gateway.net import resolver as room
from gateway.net.resolver import DnsError, DnsNotFound, DnsTemporary, NullMx, Resolver


class Settings:
    def __init__(self, address: str) -> None:
        self.address = address

    def words(self, name: str, /) -> tuple[str, ...]:
        assert name == "resolver_nameservers"
        return (self.address,)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(
    zones: Mapping[str, Any],
    *questions: Callable[[Resolver], Awaitable[Any]],
    ttl: int = 300,
    clock: Clock | None = None,
    deadline_s: float = 5.0,
) -> tuple[list[Any], DnsServer]:
    """Answers, or the DnsErrors in their place, one question after the other; and what the server saw."""

    async def run(server: DnsServer) -> list[Any]:
        resolver = Resolver(Settings(server.address), clock=clock or Clock(), deadline_s=deadline_s)
        answers: list[Any] = []
        for question in questions:
            try:
                answers.append(await question(resolver))
            except DnsError as exc:
                answers.append(exc)
        await resolver.close()
        return answers

    with DnsServer(zones, ttl=ttl) as server:
        return asyncio.run(run(server)), server


def test_mx_in_order_of_preference() -> None:
    zones = {"x.example": {"MX": ["20 b.example", "10 a.example.", "10 c.example"]}}
    (answer,), _ = ask(zones, lambda r: r.mx("X.example."))
    assert sorted(answer) == [(10, "a.example"), (10, "c.example"), (20, "b.example")]
    assert [preference for preference, _ in answer] == [10, 10, 20]


def test_null_mx_is_an_error_of_its_own() -> None:
    (error,), _ = ask({"x.example": {"MX": ["0 ."]}}, lambda r: r.mx("x.example"))
    assert isinstance(error, NullMx)
    assert "does not accept mail" in error.reason


def test_root_among_real_exchangers_is_left_out() -> None:
    (answer,), _ = ask({"x.example": {"MX": ["0 .", "10 a.example"]}}, lambda r: r.mx("x.example"))
    assert answer == [(10, "a.example")]


@pytest.mark.parametrize(
    ("zone", "kind", "reason"),
    [
        (NXDOMAIN, DnsNotFound, "Host not found"),
        ({"A": ["1.2.3.4"]}, DnsNotFound, "Host found but no data record of requested type"),
        (SERVFAIL, DnsTemporary, "Host not found, try again"),
        (REFUSED, DnsTemporary, "Host not found, try again"),
        (GARBAGE, DnsTemporary, "Host not found, try again"),
        (TIMEOUT, DnsTemporary, "Host not found, try again"),
        ({"CNAME": ["x.example"]}, DnsTemporary, "Host not found, try again"),
    ],
)
def test_failures(zone: object, kind: type[DnsError], reason: str) -> None:
    (error,), _ = ask({"x.example": zone}, lambda r: r.mx("x.example"), deadline_s=0.3)
    assert type(error) is kind
    assert error.reason == reason
    assert str(error) == f"Name service error for name=x.example type=MX: {reason}"


def test_hostile_exchangers_are_dropped() -> None:
    bad = ["10 a\\.b.example", "10 a\\032b.example", "10 1.2.3.4", "10 a\\000.example", "10 -x.example"]
    zones = {"mixed.example": {"MX": [*bad, "30 ok.example"]}, "bad.example": {"MX": bad}}
    (mixed, error, *shown), _ = ask(
        zones,
        lambda r: r.mx("mixed.example"),
        lambda r: r.mx("bad.example"),
        lambda r: r.lookup("mixed.example", "MX"),
        lambda r: r.lookup("bad.example", "MX"),
    )
    assert mixed == [(30, "ok.example")]
    assert isinstance(error, DnsNotFound)
    assert shown == [("1.2.3.4", "ok.example"), ("1.2.3.4",)], "policy sees the address that stands in for a name"


def test_number_of_records_is_bounded() -> None:
    zones = {"x.example": {"MX": [f"{at} m{at}.example" for at in range(150, 0, -1)]}}
    (answer,), server = ask(zones, lambda r: r.mx("x.example"))
    assert answer[0] == (1, "m1.example")
    assert len(answer) == room.RECORDS_LIMIT
    assert server.tcp_queries == 1, "too much for one datagram"


def test_addresses() -> None:
    zones = {
        "both.example": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
        "v4.example": {"A": ["192.0.2.2"]},
        "alias.example": {"CNAME": ["both.example"]},
        "half.example": {"A": ["192.0.2.3"], "AAAA": SERVFAIL},
        "later.example": {"AAAA": SERVFAIL},
    }
    answers, _ = ask(
        zones,
        lambda r: r.addresses("both.example"),
        lambda r: r.addresses("both.example", ("ipv6", "ipv4")),
        lambda r: r.addresses("both.example", ("ipv6",)),
        lambda r: r.addresses("v4.example"),
        lambda r: r.addresses("alias.example", ("ipv4",)),
        lambda r: r.addresses("half.example"),
        lambda r: r.addresses("later.example"),
        lambda r: r.addresses("gone.example"),
    )
    assert answers[:6] == [
        ["192.0.2.1", "2001:db8::1"],
        ["2001:db8::1", "192.0.2.1"],
        ["2001:db8::1"],
        ["192.0.2.2"],
        ["192.0.2.1"],
        ["192.0.2.3"],
    ]
    assert isinstance(answers[6], DnsTemporary)
    assert isinstance(answers[7], DnsNotFound)


def test_literals_and_impossible_names_are_not_asked_for() -> None:
    answers, server = ask(
        {},
        lambda r: r.addresses("1.2.3.4"),
        lambda r: r.addresses("[1.2.3.4]"),
        lambda r: r.addresses("[IPv6:2001:DB8::1]"),
        lambda r: r.addresses("a b.example"),
        lambda r: r.mx("x" * 64 + ".example"),
        lambda r: r.mx(""),
        lambda r: r.ptr("unknown"),
    )
    assert answers[:3] == [["1.2.3.4"], ["1.2.3.4"], ["2001:db8::1"]]
    assert all(isinstance(answer, DnsNotFound) for answer in answers[3:])
    assert server.queries == []


def test_ptr_and_txt() -> None:
    zones = {
        "1.2.0.192.in-addr.arpa": {"PTR": ["bad\\032name.example", "Host.Example"]},
        "2.2.0.192.in-addr.arpa": {"PTR": ["bad\\032name.example"]},
        "_dmarc.x.example": {"TXT": ['"v=DMARC1;" " p=none"', '"\\255"']},
        "xn--bcher-kva.example": {"TXT": ["hello"]},
    }
    (name, bad, texts, idn), _ = ask(
        zones,
        lambda r: r.ptr("192.0.2.1"),
        lambda r: r.ptr("192.0.2.2"),
        lambda r: r.txt("_dmarc.x.example"),
        lambda r: r.txt("bücher.example"),
    )
    assert name == "host.example"
    assert isinstance(bad, DnsNotFound)
    assert sorted(texts) == ["v=DMARC1; p=none", "\udcff"]
    assert idn == ["hello"]


def test_cache_ends_with_the_ttl(monkeypatch: pytest.MonkeyPatch) -> None:
    # Every question on a new channel: c-ares has a cache of its own, which runs on its own clock.
    monkeypatch.setattr(room, "CHANNEL_QUERIES", 1)
    clock = Clock()
    zones = {"x.example": {"MX": ["10 a.example"]}, "gone.example": NXDOMAIN}

    def after(seconds: float, name: str) -> Callable[[Resolver], Awaitable[Any]]:
        def question(resolver: Resolver) -> Awaitable[Any]:
            clock.now += seconds
            return resolver.mx(name)

        return question

    _, server = ask(zones, after(0, "x.example"), after(59, "x.example"), ttl=60, clock=clock)
    assert server.asked("x.example", "MX") == 1
    _, server = ask(zones, after(0, "x.example"), after(60, "x.example"), ttl=60, clock=clock)
    assert server.asked("x.example", "MX") == 2
    _, server = ask(zones, after(0, "gone.example"), after(4, "gone.example"), after(2, "gone.example"), clock=clock)
    assert server.asked("gone.example", "MX") == 2
    _, server = ask({"x.example": SERVFAIL}, after(0, "x.example"), after(0, "x.example"), clock=clock)
    assert server.asked("x.example", "MX") >= 2, "a temporary failure is nothing to remember"


def test_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CHANNEL_QUERIES", 1)
    monkeypatch.setattr(room, "CACHE_ENTRIES", 2)
    zones = {f"x{at}.example": {"MX": ["10 a.example"]} for at in range(3)}
    names = ["x0.example", "x1.example", "x0.example", "x2.example", "x0.example", "x1.example"]
    _, server = ask(zones, *[lambda r, name=name: r.mx(name) for name in names])  # type: ignore[misc]
    assert [server.asked(f"x{at}.example", "MX") for at in range(3)] == [1, 2, 1], "used least recently goes first"


def test_one_question_whoever_asks() -> None:
    async def many(resolver: Resolver) -> list[Any]:
        asking = [asyncio.ensure_future(resolver.mx("x.example")) for _ in range(50)]
        await asyncio.wait([asking[0]], timeout=0)
        asking[0].cancel()  # the one that started it; the others still get theirs
        return await asyncio.gather(*asking, return_exceptions=True)

    (answers,), server = ask({"x.example": {"MX": ["10 a.example"]}}, many)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [[(10, "a.example")]] * 49
    assert server.queries == [("x.example", "MX")]


def test_answers_are_the_callers_own() -> None:
    async def change(resolver: Resolver) -> list[str]:
        (await resolver.addresses("x.example", ("ipv4",))).clear()
        return await resolver.addresses("x.example", ("ipv4",))

    (answer,), _ = ask({"x.example": {"A": ["192.0.2.1"]}}, change)
    assert answer == ["192.0.2.1"]


def test_channel_is_replaced_while_questions_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CHANNEL_QUERIES", 3)
    zones = {f"x{at}.example": {"MX": [f"10 a{at}.example"]} for at in range(20)}

    async def many(resolver: Resolver) -> list[Any]:
        return await asyncio.gather(*(resolver.mx(f"x{at}.example") for at in range(20)))

    (answers,), _ = ask(zones, many)
    assert answers == [[(10, f"a{at}.example")] for at in range(20)]


def test_native_lookup() -> None:
    (answer, missing), server = ask(
        {},
        lambda r: r.addresses("localhost", ("ipv4",), is_native=True),
        lambda r: r.addresses("no such host", is_native=True),
    )
    assert answer == ["127.0.0.1"]
    assert isinstance(missing, DnsError)
    assert server.queries == []


def test_records_of_a_type_as_text() -> None:
    zones = {
        "x.example": {
            "A": ["192.0.2.1", "192.0.2.2"],
            "AAAA": ["2001:db8::1"],
            "MX": ["20 b.example", "10 A.example"],
            "NS": ["NS1.example", "ns2.example."],
            "TXT": ['"one" "two"'],
        },
        "1.2.0.192.in-addr.arpa": {"PTR": ["X.example"]},
    }
    answers, _ = ask(
        zones,
        lambda r: r.lookup("x.example", "A"),
        lambda r: r.lookup("x.example", "AAAA"),
        lambda r: r.lookup("x.example", "MX"),
        lambda r: r.lookup("x.example", "NS"),
        lambda r: r.lookup("x.example", "TXT"),
        lambda r: r.lookup("1.2.0.192.in-addr.arpa", "PTR"),
    )
    assert answers == [
        ("192.0.2.1", "192.0.2.2"), ("2001:db8::1",), ("a.example", "b.example"), ("ns1.example", "ns2.example"),
        ("onetwo",), ("x.example",),
    ]  # fmt: skip


def test_name_servers_without_a_host_name_are_none() -> None:
    zones = {"x.example": {"NS": ["1.2.3.4", "a\\032b.example"]}, "y.example": {"NS": NXDOMAIN}}
    answers, _ = ask(zones, lambda r: r.lookup("x.example", "NS"), lambda r: r.lookup("y.example", "NS"))
    assert [type(answer) for answer in answers] == [DnsNotFound, DnsNotFound]
    assert "Malformed or unexpected" in answers[0].reason
