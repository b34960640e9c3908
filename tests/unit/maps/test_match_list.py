"""Domain and network lists: subdomains, negation, files, tables, order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.maps import Tables, match_list
from gateway.maps.match_list import DomainList, NetworkList, Subdomains, parent_keys, subdomain_style
from gateway.model.errors import ConfigError, TableError

CONFIG = Config.from_settings({})


def has(words: str, name: str, style: Subdomains = Subdomains.DOT) -> bool:
    return asyncio.run(DomainList(words, Tables(CONFIG), subdomains=style).matches(name))


def has_client(words: str, address: str, name: str = "unknown") -> bool:
    return asyncio.run(NetworkList(words, Tables(CONFIG)).matches(name, address))


def test_parent_keys() -> None:
    assert list(parent_keys("a.b.c", Subdomains.PARENT)) == ["b.c", "c"]
    assert list(parent_keys("a.b.c", Subdomains.DOT)) == [".b.c", ".c"]
    assert list(parent_keys("a.b.c", Subdomains.NONE)) == []


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (Subdomains.NONE, [True, False, False, False]),
        (Subdomains.DOT, [True, False, True, False]),
        (Subdomains.PARENT, [True, True, False, False]),
    ],
)
def test_subdomains(style: Subdomains, expected: list[bool]) -> None:
    words = "example.com, .dotted.com"
    names = ["Example.COM", "mail.example.com", "mail.dotted.com", "xexample.com"]
    assert [has(words, name, style) for name in names] == expected


def test_the_first_match_decides() -> None:
    words = "!bad.example.com, example.com, !example.org, mail.example.org"
    style = Subdomains.PARENT
    assert [has(words, name, style) for name in ("bad.example.com", "x.bad.example.com", "ok.example.com")] == [
        False, False, True,
    ]  # fmt: skip
    assert not has(words, "mail.example.org", style)


def test_styles_come_from_the_configuration() -> None:
    assert subdomain_style(CONFIG, "relay_domains") is Subdomains.PARENT
    assert subdomain_style(CONFIG, "mydestination") is Subdomains.DOT


def test_files_and_their_negation(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("# comment\na.example b.example,\n")
    outer.write_text(f"c.example\n{inner}\n")
    assert [has(str(outer), name) for name in ("a.example", "b.example", "c.example", "d.example")] == [
        True, True, True, False,
    ]  # fmt: skip
    assert not has(f"!{inner} static:all", "a.example")
    assert has(f"!{inner} static:all", "z.example")


def test_files_without_end_or_missing(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.write_text(f"{loop}\n")
    with pytest.raises(ConfigError, match="nested too deeply"):
        has(str(loop), "x")
    with pytest.raises(ConfigError, match="cannot read"):
        has(str(tmp_path / "none"), "x")
    with pytest.raises(ConfigError, match="nothing follows"):
        has("!", "x")


def test_tables_are_asked_for_parents_and_patterns_for_the_whole() -> None:
    assert has("inline:{.example.com=x}", "mail.example.com")
    assert has("inline:{example.com=x}", "a.b.example.com", Subdomains.PARENT)
    assert not has("inline:{example.com=x}", "a.b.example.com", Subdomains.NONE)
    assert not has("regexp:{ {/^.example.com/ x} }", "mail.example.com")
    assert not has("!inline:{a.b=x}, a.b", "a.b")
    with pytest.raises(TableError):
        has("a.b, fail:x", "c.d")
    assert has("a.b, fail:x", "a.b")


def test_static_lists_know_that_they_are() -> None:
    assert DomainList("a, b", Tables(CONFIG)).is_static
    assert not DomainList("a, static:b", Tables(CONFIG)).is_static


def test_networks() -> None:
    words = "!192.0.2.13, 192.0.2.0/24 [2001:db8::]/32, 127.0.0.1, [::1]"
    addresses = ("192.0.2.13", "192.0.2.14", "2001:db8::9", "127.0.0.1", "127.0.0.2", "::1", "unknown", "")
    assert [has_client(words, address) for address in addresses] == [
        False, True, True, True, False, True, False, False,
    ]  # fmt: skip


def test_clients_by_name_and_table() -> None:
    words = ".example.com, !inline:{10.0.0.9=x}, cidr:{ {10.0.0.0/8 OK} }, static:y"
    assert has_client(words, "1.2.3.4", "mail.example.com")
    assert not has_client(words, "10.0.0.9")
    assert has_client(words, "10.0.0.8")
    assert has_client(words, "203.0.113.1")
    assert not has_client("192.0.2.0/24", "203.0.113.1", "192.0.2.0/24")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("127.0.0.1/8", 'perhaps "127.0.0.0/8" is meant'),
        ("::1/128", r'written in brackets: "\[::1\]/128"'),
        ("example.com/24", "neither a network nor a file"),
        ("[::1", "bad address pattern"),
        ("nosuch:table", "unknown type"),
    ],
)
def test_bad_networks(words: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NetworkList(words, Tables(CONFIG), parameter="mynetworks")


def test_lists_of_the_configuration() -> None:
    config = Config.from_settings({"mynetworks": "10.0.0.0/8", "relay_domains": "example.com"})
    assert asyncio.run(NetworkList.of(config, "mynetworks", Tables(config)).matches("unknown", "10.1.1.1"))
    relay = DomainList.of(config, "relay_domains", Tables(config))
    assert asyncio.run(relay.matches("mail.example.com"))


def test_answers_are_remembered_up_to_a_bound_and_never_those_of_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_list, "KNOWN_LIMIT", 2)
    fixed = NetworkList("192.0.2.0/24", Tables(Config({})))
    for _ in range(2):
        for number in range(5):
            assert asyncio.run(fixed.matches("unknown", f"192.0.2.{number}"))
            assert not asyncio.run(fixed.matches("unknown", f"198.51.100.{number}"))
    assert 0 < len(fixed._known) <= 2
    asked = NetworkList("inline:{192.0.2.1=x}", Tables(Config({})))
    assert asyncio.run(asked.matches("unknown", "192.0.2.1"))
    assert asked._known == {}
