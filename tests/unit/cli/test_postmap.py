"""postmap: building, changing, asking. What it says is compared with Postfix's in tests/scenarios/tables."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from peers.table_tool import Tool

from gateway.cli.table_build import Progress
from gateway.maps import Table
from gateway.master import settings


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Tool:
    def read() -> tuple[bytes, bytes]:
        sys.stdout.flush()
        sys.stderr.flush()
        return capfdbinary.readouterr()

    return Tool(tmp_path, monkeypatch, read)


KINDS = pytest.mark.parametrize("kind", ["hash", "btree", "lmdb", "cdb"])
NEEDS_DRIVERS = pytest.mark.peer("berkeleydb", "lmdb")
CHANGING = pytest.mark.parametrize("kind", ["hash", "btree", "lmdb"])


@NEEDS_DRIVERS
@KINDS
def test_build_ask_list(tool: Tool, kind: str) -> None:
    tool.write("t", "A one\nb two  words\n# c\nA again\nbad\n")
    said = tool.run("postmap", f"{kind}:t")
    label = {"lmdb": "lmdb:t", "cdb": "t"}.get(kind, "t.db")
    assert said.status == 0
    assert sorted(said.err.splitlines()) == sorted(
        [
            "postmap: warning: t, line 5: expected format: key whitespace value -- ignoring this line",
            f'postmap: warning: {label}: duplicate entry: "a"',
        ]
    )
    assert tool.run("postmap", "-q", "a", f"{kind}:t") == (0, b"one\n", "")
    assert tool.run("postmap", "-q", "x", f"{kind}:t") == (1, b"", "")
    assert tool.run("postmap", "-q", "-", f"{kind}:t", stdin=b"A\nx\nb") == (0, b"A\tone\nb\ttwo  words\n", "")
    assert sorted(tool.run("postmap", "-s", f"{kind}:t").out.splitlines()) == [b"a\tone", b"b\ttwo  words"]
    assert "duplicate entry" in (tool.directory / "log").read_text()


@NEEDS_DRIVERS
@CHANGING
def test_duplicates_replace_or_are_ignored(tool: Tool, kind: str) -> None:
    tool.write("t", "a 1\na 2\n")
    assert tool.run("postmap", "-r", f"{kind}:t").err == ""
    assert tool.run("postmap", "-q", "a", f"{kind}:t").out == b"2\n"
    assert tool.run("postmap", "-w", f"{kind}:t").err == ""
    assert tool.run("postmap", "-q", "a", f"{kind}:t").out == b"1\n"
    assert tool.run("postmap", "-wr", f"{kind}:t").err == ""
    assert tool.run("postmap", "-q", "a", f"{kind}:t").out == b"2\n"


@NEEDS_DRIVERS
@CHANGING
def test_records_are_added_and_removed(tool: Tool, kind: str) -> None:
    assert tool.run("postmap", "-i", f"{kind}:t", stdin=b"a 1\nb 2\nc 3\n").status == 0
    said = tool.run("postmap", "-i", f"{kind}:t", stdin=b"a 9\nd 4\nx\n")
    assert "duplicate entry" in said.err
    assert "stdin, line 3: expected format" in said.err
    assert tool.run("postmap", "-ir", f"{kind}:t", stdin=b"b 8\n") == (0, b"", "")
    assert sorted(tool.run("postmap", "-s", f"{kind}:t").out.splitlines()) == [b"a\t1", b"b\t8", b"c\t3", b"d\t4"]
    assert tool.run("postmap", "-d", "A", f"{kind}:t").status == 0
    assert tool.run("postmap", "-d", "A", f"{kind}:t").status == 1
    assert tool.run("postmap", "-d", "-", f"{kind}:t", stdin=b"x\nb\nc").status == 0
    assert tool.run("postmap", "-s", f"{kind}:t").out == b"d\t4\n"
    assert sorted(path.name for path in tool.directory.glob("t*")) == [f"t.{'lmdb' if kind == 'lmdb' else 'db'}"]


def test_a_constant_database_does_not_change(tool: Tool) -> None:
    tool.write("t", "a 1\n")
    assert tool.run("postmap", "cdb:t").status == 0
    for arguments in (["-i", "cdb:t"], ["-d", "a", "cdb:t"]):
        said = tool.run("postmap", *arguments, stdin=b"b 2\n")
        assert (said.status, said.out) == (1, b"")
        assert "postmap: fatal: error updating cdb:t: a cdb file cannot be changed, only made anew" in said.err
    assert tool.run("postmap", "-s", "cdb:t").out == b"a\t1\n"


def test_several_tables(tool: Tool) -> None:
    tool.configure(default_database_type="cdb")
    tool.write("t", "a 1\n")
    tool.write("u", "a 2\nb 3\n")
    assert tool.run("postmap", "t", "cdb:u").status == 0
    assert tool.run("postmap", "-q", "a", "t", "u").out == b"1\n"
    assert tool.run("postmap", "-q", "b", "t", "u").out == b"3\n"
    assert tool.run("postmap", "-q", "-", "u", "static:z", stdin=b"a\nb\nc\n").out == b"a\t2\nb\t3\nc\tz\n"
    assert tool.run("postmap", "-s", "t", "texthash:u").out == b"a\t1\na\t2\nb\t3\n"
    # The second table is opened when it is needed.
    assert tool.run("postmap", "-q", "a", "t", "cdb:none").out == b"1\n"
    said = tool.run("postmap", "-q", "x", "t", "cdb:none")
    assert (said.status, said.err.count("run postmap cdb:none")) == (1, 1)


def test_json(tool: Tool) -> None:
    tool.write("t", 'a "x y"\nb 2\n')
    said = tool.run("postmap", "--json", "-s", "texthash:t")
    assert [json.loads(line) for line in said.out.splitlines()] == [
        {"key": "a", "value": '"x y"'},
        {"key": "b", "value": "2"},
    ]
    assert json.loads(tool.run("postmap", "--json", "-q", "b", "texthash:t").out) == {"key": "b", "value": "2"}
    assert tool.run("postmap", "--json", "-q", "-", "static:x", stdin=b"k\n").out == b'{"key":"k","value":"x"}\n'


@pytest.mark.parametrize("kind", ["texthash", "cdb"])
def test_case_is_kept_when_asked(tool: Tool, kind: str) -> None:
    tool.write("t", "A 1\n")
    if kind == "cdb":
        tool.run("postmap", "-f", "cdb:t")
    assert tool.run("postmap", "-f", "-q", "A", f"{kind}:t").out == b"1\n"
    assert tool.run("postmap", "-f", "-q", "a", f"{kind}:t").status == 1
    assert tool.run("postmap", "-fq", "A", "inline:{A=b}").out == b"b\n"


@pytest.mark.parametrize(
    ("built", "asked", "found"), [("-n", "-n", True), ("-N", "-N", True), ("-n", "-N", False), ("-N", "-n", False)]
)
def test_null_octets(tool: Tool, built: str, asked: str, found: bool) -> None:
    tool.write("t", "a 1\n")
    tool.run("postmap", built, "cdb:t")
    assert ((tool.directory / "t.cdb").read_bytes().count(b"a\0001\0") == 1) is (built == "-N")
    assert tool.run("postmap", asked, "-q", "a", "cdb:t").status == (0 if found else 1)
    assert tool.run("postmap", "-nN", "-q", "a", "cdb:t").status == 0


def test_octets_that_are_no_utf8(tool: Tool) -> None:
    (tool.directory / "t").write_bytes(b"a\xff 1\nb \xff\n")
    assert tool.run("postmap", "-u", "cdb:t") == (0, b"", "")
    said = tool.run("postmap", "-q", "-", "cdb:t", stdin=b"a\xff\n")
    assert said == (1, b"", 'postmap: warning: cdb:t: non-UTF-8 key "a?": malformed UTF-8\n')
    assert tool.run("postmap", "-uq", "-", "cdb:t", stdin=b"a\xff\nb\n").out == b"a\xff\t1\nb\t\xff\n"
    said = tool.run("postmap", "-q", "b", "cdb:t")
    assert said == (1, b"", "postmap: fatal: table cdb:t: query error: the value is not UTF-8\n")


def test_values_that_are_files(tool: Tool) -> None:
    (tool.directory / "f").write_bytes(b"one\n")
    (tool.directory / "g").write_bytes(b"\0two")
    tool.write("t", "a f, g\nb f none\n")
    said = tool.run("postmap", "-F", "cdb:t")
    assert said.err == "postmap: warning: t, line 2: open none: No such file or directory: skipping this entry\n"
    assert tool.run("postmap", "-q", "a", "cdb:t").out == b"b25lCgoAdHdv\n"
    assert tool.run("postmap", "-Fq", "a", "cdb:t").out == b"one\n\n\0two\n"
    assert tool.run("postmap", "-Fq", "a", "texthash:t").out == b"one\n\n\0two\n"
    said = tool.run("postmap", "-Fq", "b", "texthash:t")
    assert (said.status, "open none: No such file" in said.err) == (1, True)
    tool.run("postmap", "cdb:t")
    said = tool.run("postmap", "-Fs", "cdb:t")
    assert (said.out, said.err.count("malformed base64 value")) == (b"", 2)


MESSAGE = b"Subject: x\n y\nContent-Type: message/rfc822\n\nFrom: a\n\nbody\n"


@pytest.mark.parametrize(
    ("option", "keys"),
    [
        ("-h", [b"Subject: x\n y", b"Content-Type: message/rfc822"]),
        ("-b", [b"", b"From: a", b"", b"body"]),
        ("-hm", [b"Subject: x\n y", b"Content-Type: message/rfc822", b"From: a"]),
        ("-bm", [b"", b"", b"body"]),
    ],
)
def test_parts_of_a_message(tool: Tool, option: str, keys: list[bytes]) -> None:
    said = tool.run("postmap", option, "-q", "-", "static:!", stdin=MESSAGE)
    assert said == (0, b"".join(key + b"\t!\n" for key in keys), "")


def test_parts_of_a_message_may_be_any_octets(tool: Tool) -> None:
    (tool.directory / "t").write_bytes(b"x\xff 1\n")
    assert tool.run("postmap", "-bq", "-", "texthash:t", stdin=b"\nx\xff\n").out == b"x\xff\t1\n"
    assert tool.run("postmap", "-bUq", "-", "texthash:t", stdin=b"\nx\xff\n").out == b""
    said = tool.run("postmap", "-mq", "-", "static:x", stdin=b"a\n")
    assert said == (0, b"a\tx\n", "postmap: warning: ignoring -m option without -b or -h\n")


def test_asynchronous_tables_are_asked_too(tool: Tool) -> None:
    assert tool.run("postmap", "-q", "root", "unix:passwd.byname").out.startswith(b"root:")
    assert tool.run("postmap", "-q", "-", "unionmap:{static:a,static:b}", stdin=b"k\n").out == b"k\ta,b\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "usage: postmap "),
        (["-q", "x"], "usage: postmap "),
        (["-Z", "cdb:t"], "option -Z not recognized; usage: postmap "),
        (["-s", "-q", "x", "cdb:t"], "specify only one of -s -q or -d"),
        (["-q", "x", "-q", "y", "cdb:t"], "specify only one of -s -q or -d"),
        (["-h", "cdb:t"], 'specify -b -h or -m only with "-q -"'),
        (["-b", "-q", "x", "cdb:t"], 'specify -b -h or -m only with "-q -"'),
        (["cdb:none"], "open none: No such file or directory"),
        (["pcre:t"], "unsupported dictionary type: pcre does not support bulk-mode creation."),
        (["-d", "a", "cdb:none"], "open database none.cdb: No such file or directory"),
        (["-s", "static:x"], "table static:x: sequence operation is not supported"),
        (["-q", "a", "fail:x"], "table fail:x: query error: "),
        (["-q", "a", "foo:x"], 'table foo:x: unknown type "foo"'),
        (["-q", "a", "static:"], 'table "static:": expected type:name'),
    ],
)
def test_what_cannot_be(tool: Tool, arguments: list[str], said: str) -> None:
    done = tool.run("postmap", *arguments)
    assert done.status == 1
    assert done.out == b""
    assert f"postmap: fatal: {said}" in done.err


def test_the_permissions_of_a_new_table(tool: Tool) -> None:
    tool.write("t", "a 1\n")
    (tool.directory / "t").chmod(0o640)
    built = tool.directory / "t.cdb"
    for options, mode in (([], 0o640), (["-p"], 0o640), (["-o"], 0o640)):
        tool.run("postmap", *options, "cdb:t")
        assert stat.S_IMODE(built.stat().st_mode) == mode
    built.unlink()
    tool.run("postmap", "-p", "cdb:t")
    assert stat.S_IMODE(built.stat().st_mode) == 0o644


@pytest.mark.peer("lmdb")
def test_what_cannot_be_stored_leaves_the_old_table(tool: Tool) -> None:
    tool.write("t", "a 1\n")
    tool.run("postmap", "lmdb:t")
    tool.write("t", "b 1\n" + "k" * 600 + " 2\n")
    said = tool.run("postmap", "lmdb:t")
    assert said.status == 1
    assert "fatal: error updating lmdb:t: MDB_BAD_VALSIZE" in said.err
    assert tool.run("postmap", "-s", "lmdb:t").out == b"a\t1\n"


def test_without_berkeley_db_the_source_is_looked_at(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "berkeleydb", None)
    monkeypatch.setitem(sys.modules, "berkeleydb.db", None)
    tool.write("t", "a 1\nbad\n")
    said = tool.run("postmap", "hash:t")
    assert said.status == 0
    assert "t, line 2: expected format" in said.err
    assert "t.db is not built, because berkeleydb is missing; t is read instead" in said.err
    assert tool.run("postmap", "-q", "a", "hash:t").out == b"1\n"
    said = tool.run("postmap", "-i", "hash:t", stdin=b"b 2\n")
    assert (said.status, "needs berkeleydb" in said.err) == (1, True)


def test_verbose(tool: Tool) -> None:
    assert tool.run("postmap", "-v", "-q", "a", "static:x").err == "postmap: query: static:x\n"


def test_answers_come_while_keys_come(tool: Tool) -> None:
    """A script may ask one key after the other."""
    command = "import sys; from gateway import cli; sys.exit(cli.run('postmap', ['-q', '-', 'static:x']))"
    with subprocess.Popen(
        [sys.executable, "-Ic", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tool.directory
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for key in (b"a", b"b"):
            process.stdin.write(key + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == key + b"\tx\n"
        process.stdin.close()
        assert process.wait(10) == 0


def test_progress_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    Progress("postmap", "t.db").end()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = Progress("postmap", "t.db")
    progress.add(5000)
    assert capsys.readouterr().err == ""
    now += 1.5
    progress.add(5000)
    progress.add(5000)
    progress.end()
    assert capsys.readouterr().err == "\rpostmap: t.db: 10,000 entries\rpostmap: t.db: 15,000 entries\n"


class Doubled(Table):
    """A plugin's table, which waits."""

    async def find(self, key: str) -> str | None:
        await asyncio.sleep(0)
        return key * 2


def test_tables_of_plugins_are_asked_too(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = types.SimpleNamespace(registered=lambda hook: {"twice": lambda name, config: Doubled(f"twice:{name}")})
    monkeypatch.setattr(settings, "admit_plugins", lambda config: plugins)
    assert tool.run("postmap", "-q", "ab", "twice:x").out == b"abab\n"
    assert tool.run("postmap", "-q", "-", "proxy:twice:x", stdin=b"a\nb\n").out == b"a\taa\nb\tbb\n"
