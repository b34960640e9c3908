"""unix: accounts and groups as getpwnam_r(3) tells them, and what it says when it could not look."""

from __future__ import annotations

import asyncio
import errno
import grp
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from peers.tables import surroundings

from gateway.maps.unix import UnixTable
from gateway.model.errors import ConfigError, TableError


def opened(name: str) -> UnixTable:
    return UnixTable(f"unix:{name}", name, surroundings())


def find(name: str, key: str) -> str | None:
    async def run() -> str | None:
        table = opened(name)
        try:
            return await table.find(key)
        finally:
            await table.close()

    return asyncio.run(run())


def test_every_account_and_group_is_found_as_its_line() -> None:
    accounts, groups = opened("passwd.byname"), opened("group.byname")
    for user in pwd.getpwall():
        entry = f"{user.pw_name}:{user.pw_passwd}:{user.pw_uid}:{user.pw_gid}:{user.pw_gecos}:{user.pw_dir}"
        assert accounts.ask(user.pw_name) == f"{entry}:{user.pw_shell}"
    for group in grp.getgrall():
        assert groups.ask(group.gr_name) == f"{group.gr_name}:{group.gr_passwd}:{group.gr_gid}:{','.join(group.gr_mem)}"


@pytest.mark.parametrize("view", ["passwd.byname", "group.byname"])
@pytest.mark.parametrize(
    "key",
    ["", "no-such-name", "root\0x", "\0", "root:x", "root\n", "a/b", "../root", "+", "0", "\udcff", "é", "x" * 100_000],
)
def test_what_is_no_account(view: str, key: str) -> None:
    assert find(view, key) is None


def test_keys_fold_to_lower_case() -> None:
    assert find("passwd.byname", "ROOT") == find("passwd.byname", "root")
    assert str(find("passwd.byname", "Root")).startswith("root:x:0:0:")


def test_another_name_stops_the_start() -> None:
    with pytest.raises(ConfigError, match=r"table unix:shadow\.byname: expected unix:passwd\.byname or"):
        opened("shadow.byname")


@pytest.mark.parametrize("status", [errno.EIO, errno.ENOENT, errno.EMFILE, errno.EAGAIN])
def test_a_name_service_that_fails_is_a_temporary_error(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = opened("passwd.byname")
    monkeypatch.setattr(table, "_call", lambda *_: status)
    with pytest.raises(TableError, match=r"table unix:passwd\.byname: name service: "):
        table.ask("root")


def test_entries_larger_than_the_first_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    table, sizes = opened("group.byname"), []
    really: Callable[..., Any] = table._call

    def call(name: bytes, record: Any, buffer: Any, size: int, found: Any) -> Any:
        sizes.append(size)
        return really(name, record, buffer, size, found) if size > 100_000 else errno.ERANGE

    monkeypatch.setattr(table, "_call", call)
    assert str(table.ask("root")).startswith("root:x:0:")
    assert sizes == [4096, 16384, 65536, 262144]
    monkeypatch.setattr(table, "_call", lambda *_: errno.ERANGE)
    with pytest.raises(TableError, match="larger than 4194304 octets"):
        table.ask("root")


@pytest.mark.peer("root")
def test_a_chroot_without_a_password_file_rejects_nobody(tmp_path: os.PathLike[str]) -> None:
    """Python's own pwd says KeyError there, for every account of the machine."""
    code = (
        "import ctypes, os\n"
        "from peers.tables import surroundings\n"
        "from gateway.maps.unix import UnixTable\n"
        "from gateway.model.errors import TableError\n"
        "table = UnixTable('unix:passwd.byname', 'passwd.byname', surroundings())\n"
        f"os.chroot({os.fspath(tmp_path)!r})\n"
        "try: print(table.ask('root'))\n"
        "except TableError as error: print('temporary:', error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.fspath(os.path.join(os.path.dirname(__file__), "..", ".."))},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert run.stdout == "temporary: table unix:passwd.byname: name service: No such file or directory\n"
