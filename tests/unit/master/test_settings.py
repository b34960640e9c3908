"""The snapshot of a configuration."""

from pathlib import Path

import pytest

from gateway.config import Config, read
from gateway.master.settings import admit_plugins, load, restore, snapshot
from gateway.model.errors import ConfigError


def test_a_snapshot_is_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_bytes(b"mail_name = M\xfcller\nmyhostname = a.example\nplugins =\n")
    (tmp_path / "master.cf").write_text("smtp inet n - n - - smtpd -o mail_name=x\n")
    before = read(str(tmp_path))
    after = restore(snapshot(before))
    admit_plugins(after)
    assert after.text("mail_name") == "M\udcfcller"
    assert after.directory == str(tmp_path)
    assert after.services == before.services
    assert after.settings == before.settings


def test_a_wrong_value_is_found_by_both_readers(tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text("smtpd_workers = many\n")
    with pytest.raises(ConfigError, match="smtpd_workers"):
        load(str(tmp_path))
    with pytest.raises(ConfigError, match="line 1"):
        admit_plugins(restore(snapshot(read(str(tmp_path)))))


def test_a_plugin_may_add_parameters(tmp_path: Path) -> None:
    plugin = tmp_path / "extra.py"
    plugin.write_text(
        "from gateway.config import Parameter\n"
        "from gateway.hooks import hookimpl\n"
        "@hookimpl\n"
        "def parameters(registry):\n"
        "    registry.add(Parameter('extra_name', default='E', origin='extra'))\n"
    )
    plugin.chmod(0o600)
    config = Config.from_settings({"plugins": str(plugin)})
    again = restore(snapshot(config))
    assert admit_plugins(again).names == ("extra",)
    assert again.text("extra_name") == "E"
