"""The pages of a database file without SQLite: the file as it is, and over it what the write-ahead log has.

Used when SQLite refuses a file or its log. Reads everything that can be read and judges nothing that the checksums of
records will judge anyway. Source: https://www.sqlite.org/fileformat2.html (file, freelist, log format).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MAGIC = b"SQLite format 3\0"
_WAL_HEADER = struct.Struct(">IIIIIIII")  # magic, version, page size, checkpoint, salt 1, salt 2, checksum 1, 2
_FRAME = struct.Struct(">IIIIII")  # page number, pages after commit or 0, salt 1, salt 2, checksum 1, 2
_WAL_MAGIC = 0x377F0682  # the lowest bit says that checksums read big-endian words


class Frame(NamedTuple):
    """The header of a log frame."""

    number: int
    page: int
    commit_pages: int
    salts: tuple[int, int]
    checksum: tuple[int, int]

    @property
    def is_commit(self) -> bool:
        """The last frame of a transaction."""
        return self.commit_pages != 0


class LogFile:
    """A write-ahead log, frame by frame.

    Args:
        path: of the log.
        page_bytes: the database's page size.
    """

    def __init__(self, path: str, page_bytes: int) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
        self._stride = _FRAME.size + page_bytes
        self._page_bytes = page_bytes
        size = os.fstat(self._file.fileno()).st_size
        self.frame_count = max(0, (size - _WAL_HEADER.size) // self._stride)
        header = self._file.read(_WAL_HEADER.size).ljust(_WAL_HEADER.size, b"\0")
        magic, _, size_field, _, salt1, salt2, sum1, sum2 = _WAL_HEADER.unpack(header)
        self._words = ">" if magic & 1 else "<"
        self.is_header_sound = (
            magic & ~1 == _WAL_MAGIC
            and size_field == page_bytes
            and self._checksum(header[:24], (0, 0)) == (sum1, sum2)
        )
        if not self.is_header_sound:
            self._words = "<"  # what this machine's SQLite writes, as far as there is such a machine
        self._header = Frame(-1, 0, 0, (salt1, salt2), (sum1, sum2))

    def close(self) -> None:
        """Let go."""
        self._file.close()

    def _checksum(self, data: bytes, seed: tuple[int, int]) -> tuple[int, int]:
        """The log's checksum over an even number of 32-bit words."""
        one, two = seed
        words = struct.unpack(f"{self._words}{len(data) // 4}I", data)
        for index in range(0, len(words), 2):
            one = (one + words[index] + two) & 0xFFFFFFFF
            two = (two + words[index + 1] + one) & 0xFFFFFFFF
        return one, two

    def frame(self, index: int) -> Frame:
        """One frame's header."""
        self._file.seek(_WAL_HEADER.size + index * self._stride)
        page, commit_pages, salt1, salt2, sum1, sum2 = _FRAME.unpack(self._file.read(_FRAME.size))
        return Frame(index, page, commit_pages, (salt1, salt2), (sum1, sum2))

    def image(self, index: int) -> bytes:
        """One frame's page."""
        self._file.seek(_WAL_HEADER.size + index * self._stride + _FRAME.size)
        return self._file.read(self._page_bytes)

    def is_sound(self, frame: Frame, before: Frame | None) -> bool:
        """The frame's checksum continues that of the frame before it."""
        seed = (before or self._header).checksum
        self._file.seek(_WAL_HEADER.size + frame.number * self._stride)
        head = self._file.read(8)
        return self._checksum(self.image(frame.number), self._checksum(head, seed)) == frame.checksum

    def frames(self) -> list[Frame]:
        """The frames of the log's present generation, up to its last commit, damaged ones included.

        The log is written again from its start with new salts, so older frames follow the present ones.
        """
        frames = [self.frame(index) for index in range(self.frame_count)]
        if not frames:
            return []
        salts = self._header.salts if self.is_header_sound else frames[0].salts
        commits = [frame.number for frame in frames if frame.salts == salts and frame.is_commit]
        return frames[: commits[-1] + 1] if commits else []

    def commits_after(self, valid_frames: int) -> int:
        """Transactions of the present generation beyond what SQLite found valid."""
        return sum(frame.is_commit for frame in self.frames() if frame.number >= valid_frames)


class PageFile:
    """All pages of a database, its log applied.

    Args:
        path: of the database file; the log is beside it. Either may be missing.
        page_bytes: the page size, known from the program: the header may be damaged.

    Attributes:
        extras: older or doubtful images of pages that a damaged log frame replaced; worth a look for lost records.
    """

    def __init__(self, path: str, page_bytes: int) -> None:
        self.page_bytes = page_bytes
        self._file: BinaryIO | None = open(path, "rb") if os.path.exists(path) else None  # noqa: SIM115
        size = os.fstat(self._file.fileno()).st_size if self._file else 0
        self._file_pages = size // page_bytes
        self.count = self._file_pages
        self._log = LogFile(path + "-wal", page_bytes) if os.path.exists(path + "-wal") else None
        self._in_log: dict[int, int] = {}
        self.extras: list[bytes] = []
        if self._log is not None:
            self._apply_log(self._log)

    def _apply_log(self, log: LogFile) -> None:
        before = None
        frames = log.frames()
        limit = self._file_pages + len(frames) + 1  # a page number beyond this cannot be
        for frame in frames:
            if not log.is_sound(frame, before) and (old := self.page(frame.page)) is not None:
                self.extras.append(old)
            before = frame
            if 1 <= frame.page <= limit:
                self._in_log[frame.page] = frame.number
                self.count = max(self.count, frame.page)
            else:
                self.extras.append(log.image(frame.number))

    def page(self, number: int) -> bytes | None:
        """The newest image of a page; numbers start at 1. None when there is no such page or it cannot be read."""
        index = self._in_log.get(number)
        try:
            if index is not None and self._log is not None:
                return self._log.image(index)
            if self._file is None or not 1 <= number <= self._file_pages:
                return None
            self._file.seek((number - 1) * self.page_bytes)
            data = self._file.read(self.page_bytes)
        except OSError:
            return None  # a bad sector: the rest is still worth reading
        return data if len(data) == self.page_bytes else None

    def free_pages(self) -> set[int]:
        """The freelist, as far as it can be followed: these pages hold deleted records."""
        free: set[int] = set()
        first = self.page(1)
        trunk = int.from_bytes(first[32:36], "big") if first else 0
        while trunk and trunk not in free and (data := self.page(trunk)) is not None:
            free.add(trunk)
            following, count = struct.unpack_from(">II", data)
            if count > self.page_bytes // 4 - 2:
                break  # no trunk page: the list is damaged here
            free.update(struct.unpack_from(f">{count}I", data, 8))
            trunk = following
        return free

    def images(self) -> Iterator[tuple[int, bytes]]:
        """Every page in use that can be read, then the extras with number 0."""
        free = self.free_pages()
        for number in range(1, self.count + 1):
            if number not in free and (data := self.page(number)) is not None:
                yield number, data
        for data in self.extras:
            yield 0, data

    def close(self) -> None:
        """Let go."""
        for file in (self._file, self._log):
            if file is not None:
                file.close()
