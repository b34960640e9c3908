"""Privileges: accounts, and what a worker may do after it gave them up."""

import os
import pwd
import subprocess
import sys

import pytest

from gateway.config import Config
from gateway.master.privileges import drop, owner, raise_file_limit, setgid_group
from gateway.model.errors import ConfigError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")


def config(**settings: str) -> Config:
    return Config.from_settings(settings)


@pytest.mark.skipif(os.geteuid() == 0, reason="for ordinary users")
def test_an_ordinary_user_is_its_own_owner() -> None:
    assert owner(config(mail_owner="no-such-user")).pw_uid == os.geteuid()
    assert setgid_group(config()) is None


@needs_root
def test_a_missing_account_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"useradd --system.* no-such-user") as caught:
        owner(config(mail_owner="no-such-user"))
    assert caught.value.parameter == "mail_owner"


@needs_root
def test_groups_are_looked_up() -> None:
    assert setgid_group(config(setgid_group="no-such-group")) is None
    assert setgid_group(config(setgid_group="root")) == 0


def test_root_as_owner_changes_nothing() -> None:
    before = os.getresuid()
    drop(config(mail_owner="root"))
    assert os.getresuid() == before


@needs_root
def test_dropping_is_for_good() -> None:
    script = """
import os
from gateway.config import Config
from gateway.master.privileges import drop
from gateway.model.errors import ConfigError
try:
    drop(Config.from_settings({"mail_owner": "nobody"}))
except ConfigError as exc:
    assert "cannot read" in str(exc), exc
ids = os.getresuid(), os.getgroups()
try:
    os.setuid(0)
except PermissionError:
    print(ids)
"""
    done = subprocess.run([sys.executable, "-Ic", script], capture_output=True, text=True, check=True, timeout=30)
    nobody = pwd.getpwnam("nobody")
    assert done.stdout.strip() == str(((nobody.pw_uid,) * 3, [nobody.pw_gid]))


def test_the_file_limit_only_grows() -> None:
    script = """
import resource
from gateway.master.privileges import raise_file_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
print(raise_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64)
"""
    done = subprocess.run([sys.executable, "-Ic", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "True\n"
    assert raise_file_limit() > 0
