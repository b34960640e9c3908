"""Database files between Postfix's tools and ours: each reads and changes what the other wrote, whole at every moment."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peers.postmap import Postmap, our_answers, source

from gateway import cli
from gateway.config import Config
from gateway.maps import MemoryTable, Tables
from gateway.maps.database.table import DatabaseTable
from gateway.model.errors import TableError

pytestmark = pytest.mark.peer("postmap", "berkeleydb", "lmdb")

KINDS = pytest.mark.parametrize("kind", ["hash", "btree", "lmdb", "cdb"])
SUFFIX = {"hash": "db", "btree": "db", "lmdb": "lmdb", "cdb": "cdb"}
COUNT = 3000
NOBODY = 65534


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def postmap(tmp_path: Path) -> Postmap:
    return Postmap(tmp_path)


def ours(postmap: Postmap, *arguments: str, stdin: bytes = b"", tool: str = "postmap") -> None:
    """Our tool, as a program."""
    command = f"import sys; from gateway import cli; sys.exit(cli.run({tool!r}, sys.argv[1:]))"
    subprocess.run(
        [sys.executable, "-Ic", command, *arguments],
        input=stdin, cwd=postmap.directory, env=os.environ | {"MAIL_CONFIG": str(postmap.directory)},
        check=True, timeout=30,
    )  # fmt: skip


def generation(number: int) -> bytes:
    """A source file in which every value names the same generation."""
    return b"".join(b"key%d generation%d\n" % (at, number) for at in range(COUNT))


def opened(postmap: Postmap, spec: str, clock: Callable[[], float]) -> DatabaseTable:
    table = Tables(Config.from_settings(postmap.settings, directory=str(postmap.directory)), clock=clock).open(spec)
    assert isinstance(table, DatabaseTable)
    return table


# -- the same records, whoever wrote them ------------------------------------------------------------------------------


@KINDS
def test_what_we_write_is_what_postfix_writes(postmap: Postmap, kind: str) -> None:
    text, keys = source(random.Random(kind), "words", 300)
    text = b"\n".join(line for line in text.split(b"\n") if len(line) < 400)  # longer keys do not fit into lmdb
    for name in ("theirs", "ours"):
        postmap.write(name, text)
    postmap.build(f"{kind}:theirs")
    ours(postmap, f"{kind}:ours")
    keys = [key for key in keys if key]
    expected = postmap.answers(f"{kind}:theirs", keys)
    assert len(expected) > 200
    assert postmap.answers(f"{kind}:ours", keys) == expected
    assert our_answers(postmap.table(f"{kind}:theirs"), keys) == expected
    assert our_answers(postmap.table(f"{kind}:ours"), keys) == expected
    if kind == "cdb":  # Postfix cannot list it; it is the same file, octet by octet
        written = [(postmap.directory / f"{name}.cdb").read_bytes() for name in ("theirs", "ours")]
        assert written[0] == written[1]
    else:
        listing = postmap.run("-s", f"{kind}:theirs").stdout
        assert postmap.run("-s", f"{kind}:ours").stdout == listing
        table = postmap.table(f"{kind}:ours")
        assert isinstance(table, DatabaseTable)
        lines = [f"{key}\t{value}" for key, value in table.items()]
        assert "\n".join(lines).encode("utf-8", "surrogateescape") + b"\n" == listing


ALIASES = rb"""# what local(8) knows
postmaster: root
Root: me, "joe user" , "|/usr/bin/filter -x \"a b\""
"Joe User": joe@example.com (the one and only)
list: :include:/etc/list,
  /var/mail/list
owner-list: root
a@b: c
root: again
x|y: |command  with arguments
esc: a\,b, \c
"""


@KINDS
def test_alias_tables_are_the_same(postmap: Postmap, kind: str) -> None:
    for name in ("theirs", "ours"):
        postmap.write(name, ALIASES)
    postmap.build(f"{kind}:theirs", tool="postalias")
    ours(postmap, f"{kind}:ours", tool="postalias")
    found = []
    for name in ("theirs", "ours"):
        table = postmap.table(f"{kind}:{name}")
        assert isinstance(table, DatabaseTable)
        found.append({key: re.sub(r"\d{10}", "time", value) for key, value in table.items()})
    assert found[0] == found[1]
    assert found[1]["joe user"] == "joe@example.com (the one and only)"
    assert len(found[1]) == 10


@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb"])
def test_each_changes_what_the_other_wrote(postmap: Postmap, kind: str) -> None:
    postmap.write("t", b"a 1\nb 2\nc 3\n")
    spec = f"{kind}:t"
    postmap.build(spec)
    ours(postmap, "-i", spec, stdin=b"d 4\n")
    ours(postmap, "-d", "a", spec)
    assert postmap.run("-q", "-", spec, stdin=b"a\nb\nd\n").stdout == b"b\t2\nd\t4\n"
    assert postmap.run("-i", spec, stdin=b"e 5\n").returncode == 0
    assert postmap.run("-d", "b", spec).returncode == 0
    table = postmap.table(spec)
    assert [table.get(key) for key in "abcde"] == [None, None, "3", "4", "5"]


# -- while somebody reads ----------------------------------------------------------------------------------------------


@KINDS
def test_a_table_rebuilt_by_postfix_is_seen(postmap: Postmap, kind: str) -> None:
    spec, clock = f"{kind}:t", Clock()
    postmap.write("t", generation(1))
    postmap.build(spec)
    table = opened(postmap, spec, clock)
    assert table.get("key7") == "generation1"
    postmap.write("t", generation(2)[: COUNT * 10])
    postmap.build(spec)
    if kind in ("hash", "btree"):  # overwritten in place, which is noticed at once
        assert table.get("key7") == "generation2"
    clock.now += 2
    assert table.get("key7") == "generation2"
    assert table.get(f"key{COUNT - 1}") is None


class Reader:
    """Asks all the time, and counts what it hears."""

    def __init__(self, table: MemoryTable) -> None:
        self.values: dict[str | None, int] = {}
        self.errors: list[str] = []
        self._table, self._ends = table, False
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends = True
        self._thread.join()

    def _ask(self) -> None:
        chance = random.Random(1)
        while not self._ends:
            try:
                value = self._table.get(f"KEY{chance.randrange(COUNT)}")
            except TableError as error:
                self.errors.append(str(error))
            else:
                self.values[value] = self.values.get(value, 0) + 1


def fast() -> Callable[[], float]:
    """A clock by which files may be looked at every millisecond."""
    return lambda: time.monotonic() * 1000


@KINDS
def test_no_lookup_fails_while_we_rebuild(postmap: Postmap, kind: str) -> None:
    spec = f"{kind}:t"
    postmap.write("t", generation(0))
    ours(postmap, spec)
    with Reader(opened(postmap, spec, fast())) as reader:
        for number in (1, 2):
            postmap.write("t", generation(number))
            ours(postmap, spec)
        deadline = time.monotonic() + 10
        while "generation2" not in reader.values and time.monotonic() < deadline:
            os.sched_yield()
    assert reader.errors == []
    assert set(reader.values) == {"generation0", "generation1", "generation2"}


@KINDS
def test_nothing_is_lost_while_postfix_rebuilds(postmap: Postmap, kind: str) -> None:
    """It overwrites hash and btree in place: a lookup meanwhile fails for a time, but never says "not found"."""
    spec = f"{kind}:t"
    postmap.write("t", generation(0))
    postmap.build(spec)
    with Reader(opened(postmap, spec, fast())) as reader:
        for number in range(1, 8):
            postmap.write("t", generation(number))
            postmap.build(spec)
        deadline = time.monotonic() + 10
        while "generation7" not in reader.values and time.monotonic() < deadline:
            os.sched_yield()
    assert None not in reader.values
    assert {"generation0", "generation7"} <= set(reader.values)
    if kind in ("lmdb", "cdb"):
        assert reader.errors == []


# -- killed ------------------------------------------------------------------------------------------------------------

BUILDER = """
import itertools, os, sys
from gateway import cli
for number in itertools.count(1):
    with open("next", "wb") as file:
        file.write(b"".join(b"key%d generation%d\\n" % (at, number) for at in range(3000)))
    os.replace("next", "t")
    assert cli.run("postmap", [sys.argv[1]]) == 0
    print(number, flush=True)
"""


@pytest.fixture
def builder(postmap: Postmap) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(spec: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-Ic", BUILDER, spec],
            stdout=subprocess.PIPE, cwd=postmap.directory, env=os.environ | {"MAIL_CONFIG": str(postmap.directory)},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@KINDS
def test_a_killed_tool_leaves_a_whole_table(
    postmap: Postmap, kind: str, builder: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    spec = f"{kind}:t"
    chance = random.Random(kind)
    for _ in range(3):
        process = builder(spec)
        assert process.stdout is not None
        for _ in range(chance.randint(1, 3)):
            process.stdout.readline()
        # At any moment of the next one: it takes some 20 ms.
        until = time.monotonic() + chance.random() * 0.03
        while time.monotonic() < until:
            os.sched_yield()
        process.send_signal(signal.SIGKILL)
        process.wait()
        table = postmap.table(spec)
        assert isinstance(table, DatabaseTable)
        records = dict(table.items())
        assert len(records) == COUNT
        assert len(set(records.values())) == 1
    ours(postmap, spec)
    assert not list(postmap.directory.glob("*.new"))


# -- whose it is -------------------------------------------------------------------------------------------------------


@pytest.mark.peer("root")
@pytest.mark.parametrize("options", [[], ["-p"], ["-o"], ["-o", "-p"]])
@pytest.mark.parametrize("access", [(NOBODY, 8, 0o640), (0, 8, 0o600), (0, 0, 0o666), (NOBODY, 0, 0o604)])
def test_owner_and_permissions_are_as_postfix_makes_them(
    postmap: Postmap, options: list[str], access: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    user, group, mode = access
    for parent in (postmap.directory, *postmap.directory.parents[:-2]):
        parent.chmod(parent.stat().st_mode | 0o711)
    postmap.directory.chmod(0o777)
    monkeypatch.chdir(postmap.directory)
    monkeypatch.setenv("MAIL_CONFIG", str(postmap.directory))
    found = []
    for name in ("theirs", "ours"):
        postmap.write(name, b"a 1\n")
        (postmap.directory / name).chmod(mode)
        os.chown(postmap.directory / name, user, group)
    for kind in ("hash", "cdb", "lmdb"):
        postmap.build(f"{kind}:theirs", *options)
        assert cli.run("postmap", [*options, f"{kind}:ours"]) == 0
        status = [(postmap.directory / f"{name}.{SUFFIX[kind]}").stat() for name in ("theirs", "ours")]
        found.append([(one.st_uid, one.st_gid, oct(one.st_mode)) for one in status])
    assert [theirs for theirs, _ in found] == [mine for _, mine in found]
