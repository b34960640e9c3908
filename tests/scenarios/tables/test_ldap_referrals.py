"""ldap: referrals to another slapd: followed or not, dead ends, circles, strangers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.ldap_tables import KEY, VALUE, Nonsense, error_of, table
from peers.ports import LOOPBACK, free_port
from peers.slapd import SUFFIX, Slapd
from peers.slapd_tree import LOGIN_DN, LOGIN_PASSWORD, PEOPLE, entry, tree, unit

from gateway.model.errors import TableError

pytestmark = pytest.mark.peer("slapd", "python-ldap")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with Slapd(tmp_path_factory.mktemp("ldap") / "slapd", tree()) as slapd:
        yield slapd


@pytest.fixture(scope="module")
def referring(tmp_path_factory: pytest.TempPathFactory, shared: Slapd) -> Iterator[Slapd]:
    def referral(name: str, *urls: str) -> str:
        return unit(f"{name} parent") + entry(
            f"ou={name},ou={name} parent,{SUFFIX}", "referral extensibleObject", *(("ref", url) for url in urls)
        )

    dead = f"ldap://{LOOPBACK}:{free_port()}/{PEOPLE}"
    away = f"{shared.uri}/{PEOPLE}"
    more = [referral("away", away), referral("dead", dead), referral("dead or away", dead, away)]
    directory = tmp_path_factory.mktemp("referring") / "slapd"
    with Slapd(directory, tree(*more)) as slapd:
        yield slapd


@pytest.mark.parametrize(
    ("base", "chases", "expected"),
    [
        ("ou=away,ou=away parent", "yes", VALUE),
        ("ou=away parent", "yes", VALUE),
        ("ou=dead or away parent", "yes", VALUE),
        ("ou=dead parent", "yes", TableError),
        ("ou=dead,ou=dead parent", "yes", TableError),
        ("ou=away,ou=away parent", "no", TableError),
        ("ou=away parent", "no", None),
        ("ou=dead parent", "no", None),
    ],
)
def test_referrals(base: str, chases: str, expected: object, referring: Slapd, tmp_path: Path) -> None:
    async def ask() -> str | None:
        asked = table(tmp_path, referring.uri, search_base=f"{base},{SUFFIX}", chase_referrals=chases)
        try:
            return await asked.find(KEY)
        finally:
            await asked.close()

    if expected is TableError:
        with pytest.raises(TableError):
            asyncio.run(ask())
    else:
        assert asyncio.run(ask()) == expected


def test_a_stranger_is_not_told_the_password(tmp_path: Path) -> None:
    with Nonsense(b"") as stranger:
        more = entry(f"ou=trap,{SUFFIX}", "referral extensibleObject", ("ref", f"{stranger.uri}/{PEOPLE}"))
        with Slapd(tmp_path / "slapd", tree(more)) as slapd:

            async def ask() -> str:
                login = {"bind_dn": LOGIN_DN, "bind_pw": LOGIN_PASSWORD, "chase_referrals": "yes"}
                asked = table(tmp_path, slapd.uri, search_base=f"ou=trap,{SUFFIX}", **login)
                text = await error_of(asked)
                await asked.close()
                return text

            assert "no answer in time" in asyncio.run(ask())
    assert stranger.heard
    assert LOGIN_PASSWORD.encode() not in stranger.heard
    assert LOGIN_DN.encode() not in stranger.heard


def test_referrals_in_a_circle_end(tmp_path: Path) -> None:
    port, circle = free_port(), f"ou=circle,{SUFFIX}"
    more = entry(circle, "referral extensibleObject", ("ref", f"ldap://{LOOPBACK}:{port}/{circle}"))

    async def ask(server: str) -> str:
        asked = table(tmp_path, server, search_base=circle, chase_referrals="yes")
        text = await error_of(asked)
        await asked.close()
        return text

    with Slapd(tmp_path / "slapd", tree(more), port=port) as slapd:
        assert "referrals in a row" in asyncio.run(ask(slapd.uri))
