"""Dispatch on the program's name, and what becomes of exceptions."""

import importlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway import cli


@pytest.mark.parametrize(("command", "text"), [("postgate version", "postgate "), ("anything version", "postgate ")])
def test_the_name_chooses_the_face(
    command: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *arguments = command.split()
    monkeypatch.setattr(sys, "argv", [f"/usr/sbin/{name}", *arguments])
    assert cli.main() == 0
    assert capsys.readouterr().out.startswith(text)


def test_every_face_can_be_imported() -> None:
    for name, module in cli.FACES.items():
        assert callable(importlib.import_module(module).main), name


def test_a_face_is_a_subcommand_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "main.cf").write_text(f"queue_directory = {tmp_path}\n")
    assert cli.run("postgate", ["-c", str(tmp_path), "postqueue", "-f"]) == 69
    assert "postqueue: fatal: Cannot flush" in capsys.readouterr().err


def test_a_missing_configuration_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("postqueue", ["-c", str(tmp_path / "none"), "-p"]) == 1
    assert "main.cf: cannot read" in capsys.readouterr().err


def test_a_reader_that_went_away_is_no_traceback() -> None:
    script = (
        "import sys, types; from gateway import cli\n"
        "def main(arguments):\n"
        "    for _ in range(100000): print('x' * 100)\n"
        "    return 0\n"
        "sys.modules['loud'] = types.SimpleNamespace(main=main)\n"
        "cli.FACES['loud'] = 'loud'\n"
        "sys.exit(cli.run('loud', []))"
    )
    process = subprocess.Popen([sys.executable, "-Ic", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(20) == 141


@pytest.mark.parametrize("module", ["postqueue", "sendmail"])
def test_the_tools_that_scripts_call_import_little(module: str) -> None:
    script = (
        f"import sys, gateway.cli.{module}\n"
        "heavy = {'asyncio', 'uvloop', 'rich', 'sqlite3', 'pluggy', 'subprocess', 'email'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-Ic", script], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "[]\n"
    assert time.perf_counter() - start < 5
