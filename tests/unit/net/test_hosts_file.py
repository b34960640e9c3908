from __future__ import annotations

from pathlib import Path

from gateway.net.hosts_file import HostsFile


def test_first_name_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(
        "127.0.0.1 localhost alias # comment\n\n# 192.0.2.1 commented\nnot-an-address name\n192.0.2.2\n"
        "192.0.2.3 first\n192.0.2.3 second\n192.0.2.4 bad..name\n0:0::1 six\n"
    )
    hosts = HostsFile(str(path))
    assert hosts.name_of("127.0.0.1") == "localhost"
    assert hosts.name_of("192.0.2.3") == "first"
    assert hosts.name_of("::1") == "six"
    assert [hosts.name_of(address) for address in ("192.0.2.1", "192.0.2.2", "192.0.2.4", "")] == [""] * 4


def test_missing_file_is_empty(tmp_path: Path) -> None:
    assert HostsFile(str(tmp_path / "none")).name_of("127.0.0.1") == ""
