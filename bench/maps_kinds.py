"""The table types that the part ``maps`` measures, and why some have fewer sizes than others."""

from __future__ import annotations

from dataclasses import dataclass

from peers.table_servers import SERVED
from peers.ypserv import PROGRAMS as NIS_PROGRAMS

SIZES = (1, 10_000, 1_000_000)
LOOKUPS = 1_000_000
_ASKED_LOOKUPS = 5_000
_ONE_ONLY = "has no entries: there is no such table of 10,000 or 1,000,000"


@dataclass(frozen=True)
class Kind:
    """One table type.

    Args:
        name: type.
        sizes: entries; none for a type that has nothing to measure.
        lookups: in a full run.
        line_budget: lines that Postfix may be made to compare in a full run, where it goes through all of them; else 0.
        shares_budget: the gateway goes through all of them too.
        is_remote: a server answers; measured also with several lookups at once.
        is_built: Debian's postmap makes a file of the source.
        needs: programs, as the ``peer`` marker names them.
        largest_gb: memory that the largest size takes on the side that takes more, where that is a matter.
        note: why sizes are missing, or what else a reader must know.
    """

    name: str
    sizes: tuple[int, ...] = SIZES
    lookups: int = LOOKUPS
    line_budget: int = 0
    shares_budget: bool = False
    is_remote: bool = False
    is_built: bool = False
    needs: tuple[str, ...] = ()
    largest_gb: int = 0
    note: str = ""


def _served(name: str, note: str = "") -> Kind:
    program = SERVED[name].program
    return Kind(name, lookups=_ASKED_LOOKUPS, is_remote=True, needs=(program,) if program else (), note=note)


_SMALL_SERVER = "what limits both sides is the server, a small one in Python"

KINDS = (
    Kind("static", (1,), note=_ONE_ONLY),
    Kind("inline", (1,), note="its entries stand in a line of main.cf: nobody writes 10,000 of them there"),
    Kind("randmap", (1,), note="three values, for any key: there is no such table of 10,000 or 1,000,000"),
    Kind(
        "environ", (1, 10_000), line_budget=100_000_000,
        note="stops at 10,000 entries: a new process gets at most 6 MB of environment; memory is without it",
    ),
    Kind(
        "unix", lookups=20_000, line_budget=20_000_000, shares_budget=True, needs=("root", "unshare", "mount"),
        note="the machine's own accounts, then that many more; the C library reads the file from its start for each",
    ),
    Kind("texthash"),
    Kind("hash", is_built=True),
    Kind("btree", is_built=True),
    Kind("lmdb", is_built=True),
    Kind("cdb", is_built=True),
    Kind("sqlite", lookups=20_000),
    Kind("cidr", line_budget=200_000_000),
    Kind(
        "regexp", (1, 10_000), lookups=200_000, line_budget=3_000_000,
        note="stops at 10,000 entries: 1,000,000 compiled expressions take 100 times the memory of 10,000, tens of GB",
    ),
    Kind("pcre", lookups=100_000, line_budget=50_000_000, largest_gb=8),
    Kind("unionmap"),
    Kind("pipemap"),
    _served("tcp", _SMALL_SERVER),
    _served("socketmap", _SMALL_SERVER),
    Kind("nis", lookups=_ASKED_LOOKUPS, is_remote=True, needs=NIS_PROGRAMS),
    _served("memcache"),
    _served("pgsql"),
    _served("mysql"),
    _served("ldap"),
    Kind("fail", (), note="not measured: it never has an answer"),
    Kind("debug", (), note="not measured: it logs each lookup of another table, and that is what it costs"),
)  # fmt: skip
