"""nis: what yp_match is asked, and what its answers mean; with a library that answers as the test says."""

from __future__ import annotations

import asyncio
import ctypes
from functools import partial
from typing import Any

import pytest
from peers.tables import surroundings

from gateway.maps import MemoryTable, nis
from gateway.maps.nis import NisTable, open_nis
from gateway.model.errors import ConfigError, TableError


class Library:
    """A libnsl with one map; keys are octets as they were stored."""

    def __init__(self, records: dict[bytes, bytes], *, status: int = 0) -> None:
        self.records, self.status = records, status
        self.asked: list[bytes] = []
        self._malloc = ctypes.CDLL(None).malloc
        self._malloc.restype = ctypes.c_void_p
        # These take attributes, as the functions of ctypes do.
        self.yp_match = partial(self._match)
        self.yp_bind = partial(self._bind)
        self.bound: list[int] = []
        self.yperr_string = lambda status: b"cause %d" % status

    def _bind(self, domain: bytes) -> int:
        assert domain == b"a.domain"
        self.bound.append(self.status)
        return self.status

    def _match(self, *arguments: Any) -> int:
        domain, name, key, size, value, length = arguments
        assert (domain, name) == (b"a.domain", b"a.map")
        self.asked.append(key[:size])
        if self.status:
            return self.status
        if key not in self.records:
            return 5
        found = self.records[key]
        pointer = self._malloc(len(found) + 1)
        ctypes.memmove(pointer, found, len(found))
        value._obj.value, length._obj.value = pointer, len(found)
        return 0


def opened(monkeypatch: pytest.MonkeyPatch, library: Library, now: list[float] | None = None) -> NisTable:
    monkeypatch.setattr(nis, "_library", lambda _: library)
    clock = (now or [1.0]).__getitem__
    around = surroundings({"smtputf8_enable": "yes"}, clock=lambda: clock(0))
    return NisTable("nis:a.map", "a.map", "a.domain", around)


def test_keys_fold_and_values_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    table = opened(monkeypatch, Library({b"postmaster": b"root, x", "é".encode(): b"\xc3\xa9"}))
    assert table.ask("PostMaster") == "root, x"
    assert table.ask("É") == "é"
    assert table.ask("nobody") is None


@pytest.mark.parametrize("key", ["", "a\0b", "\udcff", "x" * 1024, "é" * 512])
def test_what_is_in_no_map_is_not_asked_for(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library({}, status=6)
    assert opened(monkeypatch, library).ask(key) is None
    assert library.asked == []


def test_maps_with_a_nul_at_the_end_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library({b"a\0": b"1\0", b"b\0": b"\0"})
    table = opened(monkeypatch, library)
    assert table.ask("x") is None
    assert table.ask("a") == "1"
    assert table.ask("y") is None
    assert table.ask("b") == ""
    assert library.asked == [b"x", b"x\0", b"a", b"a\0", b"y\0", b"b\0"]


@pytest.mark.parametrize("status", [1, 2, 3, 4, 6, 8, 10, 12, 13, 16, 99])
def test_all_but_the_missing_key_is_a_temporary_error(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = opened(monkeypatch, Library({}, status=status))
    with pytest.raises(TableError, match=rf"^table nis:a\.map: NIS domain a\.domain: cause {status}$"):
        table.ask("a")


def test_a_binding_is_kept_until_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library({b"a": b"1"})
    now = [1.0]
    table = opened(monkeypatch, library, now)
    assert [table.ask(key) for key in ("a", "b", "a")] == ["1", None, "1"]
    assert library.bound == [0]
    library.status, now[0] = 2, 5.0  # the server went
    for _ in range(5):
        with pytest.raises(TableError, match="cause 2"):
            table.ask("a")
    assert library.bound == [0, 2]
    library.status = 0
    with pytest.raises(TableError, match="cause 2"):
        table.ask("a")
    now[0] = 6.0
    assert table.ask("a") == "1"
    assert library.bound == [0, 2, 0]


def test_values_that_are_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TableError, match="not UTF-8"):
        opened(monkeypatch, Library({b"a": b"\xff"})).ask("a")


def test_without_a_domain_the_table_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nis, "nis_domain", lambda: "")
    warnings: list[str] = []
    table = open_nis("nis:a.map", "a.map", surroundings(warnings=warnings))
    assert isinstance(table, MemoryTable)
    assert warnings == []
    assert asyncio.run(table.find("a")) is None
    assert asyncio.run(table.find("b")) is None
    assert warnings == ["table nis:a.map: NIS domain name not set - NIS lookups disabled"]


def test_a_missing_library_stops_the_start_where_there_is_a_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nis, "nis_domain", lambda: "a.domain")
    monkeypatch.setattr(nis, "_LIBRARIES", ("libnosuch.so.9", "libnosuch.so.8"))
    with pytest.raises(
        ConfigError, match=r"^table nis:a\.map: needs libnosuch\.so\.9 or .*install the package libnsl2"
    ):
        open_nis("nis:a.map", "a.map", surroundings())


def test_the_domain_is_the_kernels() -> None:
    with open("/proc/sys/kernel/domainname", encoding="utf-8") as file:
        name = file.read().strip()
    assert nis.nis_domain() == ("" if name == "(none)" else name)
