"""Postgate as others get it: a built wheel, installed into a clean venv that has nothing of the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "contrib" / "plugin-template"
_ENVIRONMENT = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "PATH", "HOME", "LANG"))}


def run(*command: str | Path, cwd: Path, timeout_s: float = 300.0) -> str:
    """Run a command without the test's environment; its output is the error when it fails."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=_ENVIRONMENT, capture_output=True, text=True, timeout=timeout_s,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def install(folder: Path, *sources: Path, extra: tuple[str, ...] = (), python: str = sys.executable) -> Path:
    """Build wheels of ``sources``, make a venv in ``folder``, install; the venv's Python."""
    for source in sources:
        run(sys.executable, "-Im", "pip", "wheel", "-q", "--no-deps", "-w", folder, source, cwd=folder)
    run(python, "-Im", "venv", folder / "venv", cwd=folder)
    inside = folder / "venv" / "bin" / "python"
    run(inside, "-Im", "pip", "install", "-q", *sorted(folder.glob("*.whl")), *extra, cwd=folder)
    return inside


def is_readable_by_all(path: Path) -> bool:
    """Every account can read what is there and below no closed directory."""
    return path.exists() and all(folder.stat().st_mode & 0o005 == 0o005 for folder in path.resolve().parents)


def python_for_all() -> str:
    """A Python 3.11 that an unprivileged account can run, or empty: one below /root is of no use to ``postfix``."""
    for name in (sys.executable, "/usr/bin/python3.11", "/usr/local/bin/python3.11"):
        if is_readable_by_all(Path(name).resolve()):
            return name
    return ""
