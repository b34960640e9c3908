"""A stranger's plugin: the template is built, installed beside a built wheel of Postgate into a clean venv, and run."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.wheels import ROOT, TEMPLATE, install, run


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a clean venv with both wheels, and nothing of this source tree."""
    folder = tmp_path_factory.mktemp("wheels")
    python = install(folder, ROOT, TEMPLATE, extra=("pytest",))
    names = sorted(wheel.name.split("-")[0] for wheel in folder.glob("*.whl"))
    assert names == ["postgate", "postgate_plugin_template"]
    return python


def test_its_own_tests_pass_against_the_installed_gateway(python: Path, tmp_path: Path) -> None:
    (tmp_path / "test_plugin.py").write_text((TEMPLATE / "tests" / "test_plugin.py").read_text())
    output = run(python, "-Im", "pytest", "-q", "-p", "no:cacheprovider", tmp_path, cwd=tmp_path)
    assert "4 passed" in output


def test_the_tools_show_it(python: Path, tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text("compatibility_level = 3.7\nplugins = access, template\ntemplate_stamp = seen\n")
    (tmp_path / "master.cf").write_text("smtp inet n - n - - smtpd\n")
    postgate, postconf = python.parent / "postgate", python.parent / "postconf"
    listing = run(postgate, "-c", tmp_path, "plugins", cwd=tmp_path)
    assert "postgate_plugin_template:TemplatePlugin" in listing
    assert [line for line in listing.splitlines() if line.split()[:1] == ["data"] and "template" in line]
    assert run(postconf, "-c", tmp_path, "template_stamp", cwd=tmp_path) == "template_stamp = seen\n"
    assert "template_blocked_domains =" in run(postconf, "-c", tmp_path, "-d", cwd=tmp_path)
    assert run(postgate, "-c", tmp_path, "template-blocked", cwd=tmp_path) == ""
