"""newaliases, and sendmail -bi, which is the same."""

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
    tool.write("a", "root: me\n")
    tool.write("b", "x: y\nbad\n")
    tool.configure(alias_database=f"cdb:{tmp_path}/a, cdb:{tmp_path}/b")
    return tool


@pytest.mark.parametrize("command", [["newaliases"], ["newaliases", "-v"], ["sendmail", "-bi"], ["sendmail", "-I"]])
def test_all_databases_are_built(tool: Tool, command: list[str]) -> None:
    said = tool.run(*command)
    assert said == (0, b"", f"postalias: warning: {tool.directory}/b, line 2: need name:value pair\n")
    assert tool.run("postalias", "-q", "root", "cdb:a").out == b"me\n"
    assert tool.run("postalias", "-q", "x", "cdb:b").out == b"y\n"


def test_there_may_be_none(tool: Tool) -> None:
    tool.configure(alias_database="")
    assert tool.run("newaliases") == (0, b"", "")


@pytest.mark.parametrize(
    ("database", "said"),
    [("cdb:none", "open none: No such file"), ("nis:mail.aliases", "unsupported dictionary type: nis")],
)
def test_what_cannot_be_built(tool: Tool, database: str, said: str) -> None:
    tool.configure(alias_database=database)
    done = tool.run("newaliases")
    assert (done.status, said in done.err) == (1, True)


def test_operands_make_no_sense(tool: Tool) -> None:
    assert tool.run("newaliases", "x").status == 1
