"""Keys and tables made up by chance: each table type in a file says what Postfix's postmap says.

Left out, because Postfix does what cannot be wanted: NUL in keys and sources (it cuts the line there), the empty key in
lmdb (its postmap ends with MDB_BAD_VALSIZE). docs/postfix-differences.md names both.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from peers.postmap import DIALECTS, Postmap, our_answers, source, word

from gateway import cli
from gateway.cli.message_keys import Limits, message_keys
from gateway.model.errors import ConfigError

pytestmark = pytest.mark.peer("postmap", "berkeleydb", "lmdb")

TABLES, LINES, PAIRS = 12, 80, 2000


@pytest.mark.parametrize("smtputf8", ["yes", "no"])
@pytest.mark.parametrize("kind", ["texthash", "hash", "btree", "lmdb", "cdb"])
def test_tables_in_files(tmp_path: Path, kind: str, smtputf8: str) -> None:
    postmap = Postmap(tmp_path, {"smtputf8_enable": smtputf8})
    pairs = found = 0
    for number in range(TABLES):
        chance = random.Random(f"{kind}{number}")
        text, keys = source(chance, DIALECTS[number % len(DIALECTS)], LINES)
        if kind == "lmdb":
            keys = [key for key in keys if key]
            text = b"\n".join(line for line in text.split(b"\n") if len(line) < 400)  # longer keys end the building
        spec = f"{kind}:t{number}"
        postmap.write(f"t{number}", text)
        if kind != "texthash":
            postmap.build(spec)
        theirs = postmap.answers(spec, keys)
        assert our_answers(postmap.table(spec), keys) == theirs, f"table {number}"
        pairs += len(keys)
        found += len(theirs)
    assert pairs >= PAIRS
    assert found > 500


def inline(chance: random.Random, dialect: str, count: int) -> tuple[str, list[bytes]]:
    """A table in braces that Postfix takes, and keys to ask for."""
    entries, keys = [], [b"", b" ", b"absent", b"\xff"]
    while len(entries) < count:
        key, value = word(chance, dialect, 3), word(chance, dialect, 5)
        if any(odd in key + value for odd in (b'"', b"\\", b"{", b"}", b"=", b",")) or not (key + value).split():
            continue
        try:
            texts = key.decode().strip(), value.decode().strip()
        except UnicodeDecodeError:
            continue
        form = chance.choice(["{ %s = %s }", "{%s=%s}", "{%s =%s}", "%s=%s"])
        is_open = "{" not in form
        if len(texts[0].split()) != 1 or (is_open and len(texts[1].split()) > 1):
            continue
        entries.append(form % texts)
        keys += [key, key.upper(), key.lower(), value]
    return "{ " + chance.choice([", ", " ", ","]).join(entries) + " }", [key for key in keys if b"\n" not in key]


def test_inline(tmp_path: Path) -> None:
    postmap = Postmap(tmp_path)
    pairs = found = 0
    for number in range(20):
        chance = random.Random(number)
        name, keys = inline(chance, ("words", "letters")[number % 2], 30)
        theirs = postmap.answers(f"inline:{name}", keys)
        assert our_answers(postmap.table(f"inline:{name}"), keys) == theirs, name
        pairs += len(keys)
        found += len(theirs)
    assert pairs >= PAIRS
    assert found > 500


# Each one that Postfix refuses takes a second: it sleeps before it ends.
@pytest.mark.parametrize(
    "name", ["{a=}", "{a=b}}", '{ "x y" = z }', '{ {"x y" = z} }', "{ a=b,,c=d }", "{a==}", "{ = b}"]
)
def test_inline_tables_at_the_edge(tmp_path: Path, name: str) -> None:
    postmap = Postmap(tmp_path)
    done = postmap.run("-q", "a", f"inline:{name}")
    try:
        value = postmap.table(f"inline:{name}").get("a")
    except ConfigError as error:
        assert b"fatal" in done.stderr, error
    else:
        assert b"fatal" not in done.stderr
        assert done.stdout == (b"" if value is None else value.encode() + b"\n")


# -- what is said of a source file -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hash", "lmdb", "cdb"])
def test_warnings_and_records_are_the_same(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAIL_CONFIG", os.fspath(tmp_path))
    postmap = Postmap(tmp_path)
    count = 0
    for number in range(8):
        text, _ = source(random.Random(f"{kind}{number}"), ("words", "spaces")[number % 2], 60)
        text = text.replace(b"\xff", b"").replace(b"\xc3", b"").replace(b"\xed\xa0\x80", b"").replace(b"\xc0\xaf", b"")
        text = b"\n".join(line for line in text.split(b"\n") if len(line) < 400).replace(b"\xf5\x80\x80\x80", b"")
        postmap.write("t", text)
        for path in tmp_path.glob("t.*"):
            path.unlink()
        done = postmap.run(f"{kind}:t")
        said = done.stderr.decode().replace("key whitespace value\n", "key whitespace value -- ignoring this line\n")
        capfd.readouterr()
        assert cli.run("postmap", [f"{kind}:t"]) == done.returncode
        assert sorted(capfd.readouterr().err.splitlines()) == sorted(said.splitlines())
        count += said.count("\n")
    assert count > 40


_ALIAS_PIECES = [
    "root", "a", "b c", '"', '"q q"', '"x\\"y"', "(", ")", "(c)", "@", "%", "!", ":", ":", ",", ", ", " ", "\t", "<", ">",
    "[", "]", "[1.2]", "\\", "\\ ", ".", "|", "|cmd", '"|cmd a"', "/file", ":include:/x", "é", "ÉÀ", "#", ";", "\v",
    "owner-", "A", "-", "'", "=",
]  # fmt: skip


def alias_source(chance: random.Random, lines: int) -> bytes:
    made = []
    for number in range(lines):
        tail = "".join(chance.choice(_ALIAS_PIECES) for _ in range(chance.randint(1, 7)))
        if chance.random() < 0.7:
            name = chance.choice(("n", '"n ', "N(c)", "")) + str(number) + chance.choice(("", '"'))
            made.append(name + chance.choice((":", ": ", " : ")) + tail)
        else:
            made.append(tail)
    return "\n".join(made).encode() + b"\n"


def test_alias_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAIL_CONFIG", os.fspath(tmp_path))
    postmap = Postmap(tmp_path)
    records = 0
    for number in range(25):
        text = alias_source(random.Random(number), 60)
        for name in ("theirs", "ours"):
            postmap.write(name, text)
        done = postmap.run("btree:theirs", tool="postalias")
        capfd.readouterr()
        assert cli.run("postalias", ["btree:ours"]) == done.returncode == 0
        said = [
            line for line in done.stderr.decode().replace("theirs", "ours").splitlines() if "must not start" not in line
        ]
        assert [line for line in capfd.readouterr().err.splitlines() if "must not start" not in line] == said
        listings = [postmap.run("-s", f"btree:{name}").stdout.split(b"\n") for name in ("theirs", "ours")]
        kept = [[line for line in lines if not line.startswith(b"YP_LAST_MODIFIED")] for lines in listings]
        assert kept[0] == kept[1], f"file {number}"
        records += len(kept[0])
    assert records > 600


# -- messages ----------------------------------------------------------------------------------------------------------

_MESSAGE_LINES = [
    b"Subject: x", b" folded", b"\tfold", b"", b"--B", b"--B--", b"--C", b"--C--", b"--Bx", b"text", b"X :y", b": q",
    b"Content-Type: multipart/mixed; boundary=B", b"Content-Type: multipart/digest; boundary=C", b"A: b\r", b"\r", b"--",
    b"Content-Type: message/rfc822", b"Content-Type: text/plain; boundary=B", b"Content-Type: message/partial",
    b'content-type: Multipart/Alternative; x="a;b"; (c;) Boundary="C"', b"Content-Type:message/delivery-status",
    b"Content-Type: multipart/mixed;", b" boundary=D", b"--D", b"\xff: y", b"Content-Type: message / global (c)",
    b'Content-Type: multipart/mixed; boundary="B C"', b"--B C", b'Content-Type: "multipart"/mixed; boundary=B;',
    b"Content-Type: multipart/mixed; boundary=[q]", b"--[q]", b'Content-Type: multipart/mixed; boundary="',
]  # fmt: skip


def made_up_message(chance: random.Random) -> bytes:
    lines = [chance.choice(_MESSAGE_LINES) for _ in range(chance.randint(1, 40))]
    if chance.random() < 0.7:
        lines = [b"Subject: q", _MESSAGE_LINES[12], b"", b"--B", *lines]
    return b"\n".join(lines) + b"\n"


def our_keys(message: bytes, options: str) -> Iterable[bytes]:
    lines = message.removesuffix(b"\n").split(b"\n")
    for kind, key in message_keys(lines, Limits(), follows_mime="m" in options):
        if kind[0] in options:
            yield key + b"\tX\n"


@pytest.mark.parametrize("options", ["-h", "-b", "-hm", "-bm", "-hbm"])
def test_parts_of_messages(tmp_path: Path, options: str) -> None:
    postmap = Postmap(tmp_path)
    for number in range(60):
        message = made_up_message(random.Random(number))
        theirs = postmap.run(options, "-q", "-", "static:X", stdin=message).stdout
        assert b"".join(our_keys(message, options)) == theirs, message
