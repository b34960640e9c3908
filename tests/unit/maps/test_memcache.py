"""memcache: what is asked and written, what each reply means, when the backup counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.scripted import CLOSE, HANG, Answer, ScriptedServer
from peers.tables import surroundings

from gateway.maps import memcache
from gateway.maps.memcache import MemcacheTable
from gateway.model.errors import ConfigError, TableError

STORED = b"STORED\r\n"


def value(octets: bytes, key: bytes = b"k") -> bytes:
    return b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(octets), octets)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda _: b"END\r\n") as server:
        yield server


class Asker:
    """A table with these parameters, asked on a loop of its own."""

    def __init__(self, server: ScriptedServer, directory: Path, text: str = "max_try = 1\n") -> None:
        self.warnings: list[str] = []
        path = directory / "cache.cf"
        path.write_text(f"memcache = inet:127.0.0.1:{server.port}\n{text}")
        self.table = MemcacheTable(
            "memcache:x", str(path), surroundings({"smtputf8_enable": "yes"}, warnings=self.warnings)
        )

    def find(self, key: str = "k") -> str | None:
        return asyncio.run(self.table.find(key))

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run(self.table.close())


@pytest.mark.parametrize(
    ("text", "key", "sent"),
    [
        ("", "User@A.Example", b"get user@a.example\r\n"),
        ("", "É", b"get \xc3\xa9\r\n"),
        ("", "k" * 250, b"get " + b"k" * 250 + b"\r\n"),
        ("key_format = p:%s:%u:%d:%%\n", "u@d.com", b"get p:u@d.com:u:d.com:%\r\n"),
        ("key_format = p:%2.%1\n", "u@x.d.com", b"get p:d.com\r\n"),
        ("domain = d.com, e.com\n", "u@E.com", b"get u@e.com\r\n"),
    ],
)
def test_keys(text: str, key: str, sent: bytes, server: ScriptedServer, tmp_path: Path) -> None:
    with Asker(server, tmp_path, text) as asker:
        assert asker.find(key) is None
    assert server.requests == [sent]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", ""),
        ("", "a b"),
        ("", "a\r\nflush_all"),
        ("", "a\x01b"),
        ("", "a\0b"),
        ("", "\udcff"),
        ("key_format =\n", "k"),
        ("key_format = a b %s\n", "k"),
        ("key_format = p:%d\n", "u"),
        ("key_format = p:%u\n", "@d.com"),
        ("key_format = p:%3\n", "u@d.com"),
        *[("domain = d.com\n", key) for key in ("u@e.com", "u", "@d.com", "d.com", "u@x.d.com")],
    ],
)
def test_keys_that_are_found_nowhere(text: str, key: str, server: ScriptedServer, tmp_path: Path) -> None:
    """Not even in the backup, as in Postfix."""
    with Asker(server, tmp_path, text + "backup = static:x\n") as asker:
        assert asker.find(key) is None
    assert server.requests == []


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (b"END\r\n", None),
        (value(b"hello"), "hello"),
        (value("a é\r\nb ".encode()), "a é\r\nb "),
        (value(b"END"), "END"),
        (b"VALUE k 77 1 99\r\nx\r\nEND\r\n", "x"),
        (value(b"x" * 10240), "x" * 10240),
    ],
)
def test_values(reply: bytes, found: str | None, server: ScriptedServer, tmp_path: Path) -> None:
    server.answer = lambda _: reply
    with Asker(server, tmp_path) as asker:
        assert asker.find() == found


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        *[
            (line + b"\r\n", f"bad reply: {line.decode()}")
            for line in (
                b"ERROR", b"SERVER_ERROR oops", b"CLIENT_ERROR bad", b"garbage", b"", b"END ", b"VALUE k 0 -1",
                b"VALUE k 0", b"VALUE k x 1", b"STORED", b"VALUE k 0 99999999999",
            )
        ],
        (b"\xff\r\n", "bad reply: "),
        (b"VALUE k 0 3\r\nabcd\r\nEND\r\n", "the value does not end where it should"),
        (b"VALUE k 0 1\r\nx\r\nVALUE k 0 1\r\ny\r\nEND\r\n", "the value does not end where it should"),
        (value(b"x", b"other"), "the server answers about another key"),
        (value(b"x" * 10241), "10241 octets of data (data_size_limit)"),
        (b"VALUE k 0 9999999999\r\n", "9999999999 octets of data (data_size_limit)"),
        (b"E" * 100_000, "a line longer than 1024 octets (line_size_limit)"),
        (value(b""), "empty"),
        (value(b"a\0b"), "NUL"),
        (value(b"caf\xe9"), "not UTF-8"),
    ],
)  # fmt: skip
def test_bad_replies_are_temporary_errors(reply: bytes, cause: str, server: ScriptedServer, tmp_path: Path) -> None:
    server.answer = lambda _: reply
    with Asker(server, tmp_path) as asker, pytest.raises(TableError) as caught:
        asker.find()
    assert str(caught.value).startswith("table memcache:x: ")
    assert cause in str(caught.value)


def test_limits_of_the_file(server: ScriptedServer, tmp_path: Path) -> None:
    with Asker(server, tmp_path, "max_try = 1\ndata_size_limit = 3\nline_size_limit = 11\n") as asker:
        server.answer = lambda _: value(b"abc")
        assert asker.find() == "abc"
        for reply in (value(b"abcd"), b"VALUE k 00 3\r\nabc\r\nEND\r\n", b"VALUE k 00 33"):
            server.answer = lambda _, reply=reply: reply
            with pytest.raises(TableError, match="size_limit"):
                asker.find()


def test_a_failed_command_is_tried_again_after_a_pause(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)

    monkeypatch.setattr(memcache.asyncio, "sleep", sleep)
    with Asker(server, tmp_path, "max_try = 3\nretry_pause = 7\n") as asker:
        replies: Iterator[object] = iter([CLOSE, b"ERROR\r\n", value(b"at last")])
        server.answer = lambda _: next(replies)
        assert asker.find() == "at last"
        assert pauses == [7, 7]
        server.answer = lambda _: b"ERROR\r\n"
        with pytest.raises(TableError, match="bad reply: ERROR"):
            asker.find()
        assert pauses == [7] * 4
        server.stop()
        with pytest.raises(TableError, match="Connection refused"):
            asker.find()
        assert pauses == [7] * 4


@pytest.mark.parametrize("then", [HANG, (b"VALUE k 0 3\r\nab", HANG)])
def test_a_server_that_hangs(then: object, server: ScriptedServer, tmp_path: Path) -> None:
    server.answer = lambda _: then
    began = time.monotonic()
    asker = Asker(server, tmp_path, "max_try = 1\ntimeout = 1\n")
    with asker, pytest.raises(TableError, match=r"no answer within 1s$"):
        asker.find()
    assert time.monotonic() - began < 3


def answers(*replies: object) -> Answer:
    left = iter(replies)
    return lambda _: next(left)


def test_the_backup_is_asked_and_written_back(server: ScriptedServer, tmp_path: Path) -> None:
    text = "backup = inline:{{ key = from backup }}\nkey_format = p:%s\nflags = 7\nttl = 99\n"
    with Asker(server, tmp_path, text) as asker:
        server.answer = answers(b"END\r\n", STORED, b"END\r\n", value(b"from server", b"p:key"))
        assert asker.find("KEY") == "from backup"
        assert asker.find("other") is None
        assert asker.find("KEY") == "from server"
        assert asker.warnings == []
    assert server.requests == [
        b"get p:key\r\n",
        b"set p:key 7 99 11\r\nfrom backup\r\n",
        b"get p:other\r\n",
        b"get p:key\r\n",
    ]


def test_the_backup_counts_when_the_server_fails(server: ScriptedServer, tmp_path: Path) -> None:
    with Asker(server, tmp_path, "backup = inline:{k=v}\nmax_try = 1\n") as asker:
        server.answer = lambda _: b"ERROR\r\n"
        assert asker.find("k") == "v"
        assert asker.find("other") is None
        assert asker.warnings == [
            f"table memcache:x: 127.0.0.1:{server.port}: bad reply: ERROR; going on with the backup"
        ]
        assert server.requests == [b"get k\r\n", b"get other\r\n"]
        server.answer = answers(value(b"x"))
        assert asker.find("k") == "x"
        server.answer = answers(b"END\r\n", b"SERVER_ERROR out of memory\r\n")
        assert asker.find("k") == "v"
        assert len(asker.warnings) == 2
        assert "out of memory" in asker.warnings[1]


def test_a_backup_that_fails_is_a_temporary_error(server: ScriptedServer, tmp_path: Path) -> None:
    with Asker(server, tmp_path, "backup = fail:x\n") as asker:
        with pytest.raises(TableError, match="table fail:x"):
            asker.find()
        server.answer = lambda _: value(b"x")
        assert asker.find() == "x"


def test_what_the_server_cannot_hold_stays_in_the_backup(server: ScriptedServer, tmp_path: Path) -> None:
    long = "k" * 251
    with Asker(server, tmp_path, f"backup = inline:{{ {long}=v k=12345 }}\ndata_size_limit = 4\n") as asker:
        assert asker.find(long) == "v"
        assert server.requests == []
        assert asker.find("k") == "12345"
        assert server.requests == [b"get k\r\n"]
    with Asker(server, tmp_path) as asker:
        assert asker.find(long) is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("memcache = tcp:127.0.0.1:1", "expected inet:host:port or unix:path"),
        ("memcache = unix:", "expected inet:host:port or unix:path"),
        ("memcache = inet:127.0.0.1", "expected host:port"),
        ("key_format = %x", '"%x" is no expansion'),
        ("max_try = 0", "at least 1"),
        ("retry_pause = 0", "at least 1s"),
        ("timeout = x", "not a time"),
        ("flags = x", "not a whole number"),
        ("backup = nosuch:x", "unknown type"),
    ],
)
def test_a_bad_parameter_stops_the_start(line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "cache.cf"
    path.write_text(f"# first\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        MemcacheTable("memcache:x", str(path), surroundings())
    assert (caught.value.file, caught.value.line, caught.value.parameter) == (str(path), 2, line.partition(" ")[0])
    assert words in str(caught.value)


def test_parameters_may_be_in_main_cf(server: ScriptedServer, tmp_path: Path) -> None:
    settings = {
        "mc_memcache": f"unix:{tmp_path.name}",
        "mc_key_format": "p:%s",
        "queue_directory": str(tmp_path.parent),
    }
    table = MemcacheTable("memcache:mc", "mc", surroundings(settings))
    with pytest.raises(TableError, match=f"table memcache:mc: {tmp_path}: "):
        asyncio.run(table.find("k"))
    asyncio.run(table.close())


def test_unknown_parameters_are_warned_about(tmp_path: Path) -> None:
    path, warnings = tmp_path / "cache.cf", list[str]()
    path.write_text("key_fromat = x\n")
    table = MemcacheTable("memcache:x", str(path), surroundings(warnings=warnings))
    assert warnings == [f"{path}, line 1: key_fromat: is not used here"]
    assert not table.is_pattern
    asyncio.run(table.close())
