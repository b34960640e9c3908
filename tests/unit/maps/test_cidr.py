"""cidr: the first network that matches, however many there are; Postfix's postmap agrees."""

from __future__ import annotations

import ipaddress
import random
import subprocess
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.config import Config
from gateway.maps import MemoryTable, Tables
from gateway.maps.cidr import CidrTable
from gateway.model.errors import ConfigError

AROUND = surroundings()


def table(*rules: str) -> MemoryTable:
    inside = ", ".join("{" + rule + "}" for rule in rules)
    return CidrTable("cidr:x", "{" + inside + "}", AROUND)


def test_the_first_match_wins_not_the_longest() -> None:
    found = table("10.0.0.0/8 wide", "10.1.0.0/16 never", "10.2.0.1 never", "192.0.2.1 host", "0.0.0.0/0 rest")
    assert [found.get(key) for key in ("10.1.2.3", "10.2.0.1", "192.0.2.1", "8.8.8.8", "::1", "name", "")] == [
        "wide", "wide", "host", "rest", None, None, None,
    ]  # fmt: skip


def test_ipv6() -> None:
    found = table("[2001:db8::]/32 a", "[2001:db8:1::1] never", "::1/128 b", "[::/0] rest")
    assert [found.get(key) for key in ("2001:DB8:1:0::1", "::1", "fe80::1", "1.2.3.4")] == ["a", "b", "rest", None]


def test_negation_and_blocks() -> None:
    found = table(
        "if 10.0.0.0/8", "if !10.1.0.0/16", "10.0.0.0/8 outer", "endif", "10.1.0.0/24 inner", "endif",
        "!192.0.0.0/8 not192", "192.0.0.0/8 is192",
    )  # fmt: skip
    assert [found.get(key) for key in ("10.2.0.1", "10.1.0.1", "10.1.1.1", "192.0.2.1", "::1")] == [
        "outer", "inner", "not192", "is192", None,
    ]  # fmt: skip


def test_the_same_network_under_different_conditions() -> None:
    found = table("if 10.1.0.0/16", "10.0.0.0/8 a", "endif", "10.0.0.0/8 b", "10.0.0.0/8 never")
    assert [found.get("10.1.1.1"), found.get("10.2.1.1")] == ["a", "b"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("10.0.0.1/8 x", 'perhaps "10.0.0.0/8" is meant'),
        ("10.0.0.0/33 x", "bad prefix length"),
        ("10.0.0.0/x x", "bad prefix length"),
        ("010.0.0.1 x", "bad address pattern"),
        ("foo x", "bad address pattern"),
        ("10.0.0.1", "no result"),
        ("endif", "endif without if"),
        ("if 10.0.0.0/8", "if without endif"),
        ("if 10.0.0.0/8 x", "text behind"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, rule: str, message: str) -> None:
    path = tmp_path / "nets"
    path.write_text(f"# first\n{rule}\n")
    with pytest.raises(ConfigError, match=message) as caught:
        Tables(Config.from_settings({})).open(f"cidr:{path}")
    assert (caught.value.file, caught.value.line) == (str(path), 2)


def random_network(chance: random.Random) -> str:
    prefix = chance.choice([8, 12, 16, 24, 30, 32])
    return str(ipaddress.ip_network((chance.randrange(10 << 24, 12 << 24), prefix), strict=False))


def random_rules(chance: random.Random, depth: int = 0) -> list[str]:
    rules: list[str] = []
    for _ in range(12):
        sign = "!" if chance.random() < 0.1 else ""
        if depth < 3 and chance.random() < 0.2:
            rules += [f"if {sign}{random_network(chance)}", *random_rules(chance, depth + 1), "endif"]
        else:
            rules.append(f"{sign}{random_network(chance)} r{chance.randrange(10**6)}")
    return rules


@pytest.mark.peer("postfix")
def test_postmap_agrees(tmp_path: Path) -> None:
    chance = random.Random(7)
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    for number in range(3):
        path = tmp_path / f"nets{number}"
        path.write_text("\n".join(random_rules(chance)) + "\n")
        keys = [str(ipaddress.ip_address(chance.randrange(10 << 24, 12 << 24))) for _ in range(300)]
        done = subprocess.run(
            ["/usr/sbin/postmap", "-c", str(tmp_path), "-q", "-", f"cidr:{path}"],
            input="\n".join(keys), capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        expected = dict(line.split("\t") for line in done.stdout.splitlines())
        ours = Tables(Config.from_settings({})).open(f"cidr:{path}")
        assert isinstance(ours, MemoryTable)
        assert {key: value for key in keys if (value := ours.get(key)) is not None} == expected
        assert expected
