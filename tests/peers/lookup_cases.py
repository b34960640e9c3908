"""Configurations, addresses and tables for comparisons of lookups with Postfix.

What a table has under a key is a function of both names, so that both sides have the same tables, and lookups end at
every possible place.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from peers.key_recorder import KeyRecorder
from peers.ports import free_port

from gateway.config import Config
from gateway.maps import MemoryTable, Table, Tables
from gateway.maps.table import folded

CASES_EACH = 60
LOCALS = (
    "user", "User+Ext", "user+", "u-x+y", "a=b_c", "owner-list", "list-request", "Owner-list+x", "mailer-daemon",
    "PostMaster", "double-bounce", "double-bounce+x", "first.last+a+b", '"a,b+c"', '"a@b"', '"a..b"', '"quo\\"te"',
    '"back\\\\slash+x"', '"dot."', "üser+ß", "+lead", "x+y=z-w", "1.2",
)  # fmt: skip
DOMAINS = (
    "local.example", "LOCAL.Example", "sub.local.example", "relay.example", "a.b.Relay.example", "no.relay.example",
    "valias.example", "a.valias.example", "vmail.example", "origin.example", "[127.0.0.1]", "[192.0.2.9]",
    "far.example", "a-b.c-d.far", "straße.example", "STRASSE.example", "xn--strae-oqa.example", "single",
)  # fmt: skip
CLIENTS = (
    ("192.0.2.1", "Host.sub.client.example"), ("198.51.100.200", "unknown"), ("2001:db8::9", "client.example"),
    ("2001:db8:1:2:3:4:5:6", "unknown"), ("2001:db8::", "a.b"), ("::1", "localhost"),
)  # fmt: skip
HELOS = ("a.B.c", "single", "1.2.3.4", "[192.0.2.1]", "trailing.dot.", "1.2.3.4.example", "2001:db8::1")


@dataclass(frozen=True)
class Setup:
    """One server: a configuration, and tables of one kind.

    Args:
        index: makes the names of its tables its own.
        settings: main.cf.
        density: about one key in so many has something; 0: none.
        is_pattern: the tables are asked for whole keys only.
    """

    index: int
    settings: dict[str, str]
    density: int
    is_pattern: bool

    def name(self, table: str) -> str:
        """The table's name in the recorder."""
        return f"{self.index}.{table}"


def setups(configurations: Iterable[dict[str, str]], density: int, *, has_empty: bool = True) -> list[Setup]:
    """Each configuration with tables of both kinds, with something in them and, if wanted, without."""
    densities = (0, density) if has_empty else (density,)
    kinds = [(each, is_pattern) for each in densities for is_pattern in (False, True)]
    combined = [(settings, kind) for settings in configurations for kind in kinds]
    return [Setup(index, settings, *kind) for index, (settings, kind) in enumerate(combined)]


@dataclass(frozen=True)
class Case:
    """One recipient of one client. Addresses are as on the wire, without brackets."""

    client: tuple[str, str]
    helo: str
    sender: str
    recipient: str


def cases(setup: Setup) -> list[Case]:
    """As many different ones for each setup, the same in each run."""
    chance = random.Random(setup.index)

    def address() -> str:
        local, domain = chance.choice(LOCALS), chance.choice(DOMAINS)
        if local == '"a@b"':  # where a@b@here leads is the resolver's matter, and tested with it
            domain = "relay.example"
        # double-bounce at myorigin is who address probes come from: smtpd(8) takes it without asking.
        return f"user@{domain}" if (local, domain) == ("double-bounce", "origin.example") else f"{local}@{domain}"

    def case() -> Case:
        sender = "" if chance.random() < 0.1 else address()
        return Case(chance.choice(CLIENTS), chance.choice(HELOS), sender, address())

    return [case() for _ in range(CASES_EACH)]


def is_there(setup: Setup, table: str, key: str, rarity: int = 1) -> bool:
    """True when the table has something under the key."""
    density = setup.density * rarity
    return density > 0 and zlib.crc32(f"{density} {table} {folded(key)}".encode()) % density == 0


def filled(settings: dict[str, str], spec: dict[str, str]) -> dict[str, str]:
    """Settings with the names of tables in them."""
    return {name: value.format(**spec) for name, value in settings.items()}


def their_tables(setup: Setup, tables: Iterable[str], recorder: KeyRecorder) -> tuple[dict[str, str], dict[str, str]]:
    """Postfix's names of the tables, and the files that these name."""
    names = {table: setup.name(table) for table in tables}
    if setup.is_pattern:
        return {table: recorder.socketmap(name) for table, name in names.items()}, {}
    spec = {table: f"memcache:{{dir}}/conf/{name}" for table, name in names.items()}
    return spec, {name: recorder.memcache_file(name) for name in names.values()}


def as_options(settings: dict[str, str]) -> str:
    """Settings as options of a master.cf row."""
    return " ".join(f"-o {{ {name} = {value} }}" for name, value in settings.items())


class RecordingTable(MemoryTable):
    """Our counterpart of the recorder."""

    def __init__(self, name: str, recorded: Recorded) -> None:
        super().__init__(f"recording:{name}")
        self.name, self.recorded, self.is_pattern = name, recorded, recorded.setup.is_pattern

    def get(self, key: str) -> str | None:
        """Write the question down and answer it."""
        if not self.is_pattern:
            key = folded(key)
        self.recorded.asked.append((self.name, key))
        return self.recorded.answer(self.name, key)


class Recorded:
    """Our tables for one setup.

    Args:
        setup: its settings are added to.
        settings: main.cf, with ``{table}`` for each table.
        names: of the tables.
        answer: as :class:`peers.key_recorder.KeyRecorder`.

    Attributes:
        config, tables: to make consumers from.
        asked: the questions so far.
    """

    def __init__(
        self,
        setup: Setup,
        settings: dict[str, str],
        names: Iterable[str],
        answer: Callable[[str, str], str | None],
    ) -> None:
        self.setup, self.answer = setup, answer
        self.asked: list[tuple[str, str]] = []
        spec = {table: f"recording:{setup.name(table)}" for table in names}
        self.config = Config.from_settings(filled(settings, spec) | setup.settings)
        self.tables = Tables(self.config, {"recording": self._opened})

    def _opened(self, name: str, _config: Config) -> Table:
        return RecordingTable(name, self)


def free_ports(count: int) -> list[int]:
    """As many different ports."""
    return [free_port() for _ in range(count)]
