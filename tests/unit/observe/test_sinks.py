"""Sinks: syslog's datagrams, partial writes, full disks."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.observe.sinks import FileSink, Level, MemorySink, StreamSink, SyslogSink, facility_number


@pytest.fixture
def syslogd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(5)
        yield server


def test_a_syslog_line_carries_its_priority(tmp_path: Path, syslogd: socket.socket) -> None:
    sink = SyslogSink(str(tmp_path / "log"), 2)
    sink.write([sink.head(Level.INFO, "Nov 22 13:08:54 ") + "postfix/smtpd[1]: hi"])
    assert syslogd.recv(4096) == b"<22>Nov 22 13:08:54 postfix/smtpd[1]: hi"
    assert sink.head(Level.FATAL, "").startswith("<18>")
    sink.close()


def test_a_restarted_syslogd_is_found_again(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as first:
        first.bind(path)
        sink = SyslogSink(path, 2)
    sink.write(["kept"])
    assert sink.lost == 0
    Path(path).unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as second:
        second.bind(path)
        second.settimeout(5)
        sink.write(["next"])
        assert [second.recv(100), second.recv(100)] == [b"kept", b"next"]
    sink.close()


def test_a_stuck_syslogd_costs_lines_and_no_time(
    tmp_path: Path, syslogd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.observe.sinks._SYSLOG_BACKLOG_LIMIT", 5)
    sink = SyslogSink(str(tmp_path / "log"), 2)
    sink.write([f"line {n}" for n in range(5000)])
    assert 0 < sink.lost < 5000
    lost = sink.lost
    sink.close()
    assert sink.lost == lost + 5


def test_facilities() -> None:
    assert (facility_number("mail"), facility_number("LOCAL7"), facility_number("post")) == (2, 23, None)


def test_a_full_disk_loses_lines_and_counts_them() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    sink = StreamSink(fd)
    sink.write(["a", "b"])
    assert sink.lost == 2
    os.close(fd)


def test_a_partial_write_is_continued(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "log"))
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    sink.write(["abcdef", "gh"])
    assert (tmp_path / "log").read_text() == "abcdef\ngh\n"
    sink.close()


def test_memory_keeps_its_lines() -> None:
    sink = MemorySink()
    sink.write(["a"])
    sink.close()
    assert (sink.lines, sink.reopen()) == (["a"], "")
