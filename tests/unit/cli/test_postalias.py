"""postalias: alias tables, with what Sendmail and NIS look for in them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from peers.table_tool import Tool


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Tool:
    def read() -> tuple[bytes, bytes]:
        sys.stderr.flush()
        return capfdbinary.readouterr()

    tool = Tool(tmp_path, monkeypatch, read)
    tool.configure(myhostname="mx.example")
    return tool


def test_build_ask_list(tool: Tool) -> None:
    tool.write("t", 'Root: me,"you too"\nbad\nROOT: again\n')
    said = tool.run("postalias", "cdb:t")
    assert said.status == 0
    assert sorted(said.err.splitlines()) == [
        "postalias: warning: t, line 2: need name:value pair",
        'postalias: warning: t: duplicate entry: "root"',
    ]
    assert tool.run("postalias", "-q", "root", "cdb:t").out == b'me, "you too"\n'
    assert tool.run("postalias", "-q", "-", "cdb:t", stdin=b"x\nroot\n").out == b'root:\tme, "you too"\n'
    lines = tool.run("postalias", "-s", "cdb:t").out.splitlines()
    assert lines[0] == b'root:\tme, "you too"'
    assert lines[1] == b"@:\t@"
    assert lines[2].startswith(b"YP_LAST_MODIFIED:\t")
    assert lines[3] == b"YP_MASTER_NAME:\tmx.example"


@pytest.mark.peer("berkeleydb")
def test_null_octets_are_for_mail_not_for_nis(tool: Tool) -> None:
    tool.write("t", "root: me\n")
    tool.run("postalias", "hash:t")
    content = (tool.directory / "t.db").read_bytes()
    assert b"root\0" in content
    assert b"@\0" in content
    assert b"YP_MASTER_NAME\0" not in content
    assert b"mx.example\0" not in content
    assert tool.run("postalias", "-i", "hash:t", stdin=b"b: c\n") == (0, b"", "")
    assert tool.run("postmap", "-q", "b", "hash:t").out == b"c\n"


@pytest.mark.parametrize("option", ["-h", "-b", "-m", "-F", "-U"])
def test_options_of_postmap_alone(tool: Tool, option: str) -> None:
    said = tool.run("postalias", option, "cdb:t")
    assert said.status == 1
    assert f"postalias: fatal: option {option} not recognized; usage: postalias [-finNoprsuvw]" in said.err
