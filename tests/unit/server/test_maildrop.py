"""The maildrop file: complete or not there, and never believed."""

import io
import os
from pathlib import Path

import msgspec
import pytest

from gateway.server.maildrop import Damaged, DropWriter, Posted, is_ready, read_envelope


def posted(**changes: object) -> Posted:
    return msgspec.structs.replace(Posted(b"a@b", [b"c@d"], 7, 1.5), **changes)


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    writer = DropWriter(str(tmp_path))
    writer.write(b"content")
    (hidden,) = tmp_path.iterdir()
    assert hidden.name.startswith(".")
    assert not is_ready(hidden.stat())
    writer.finish(posted())
    (path,) = tmp_path.iterdir()
    assert path.name == writer.name
    assert is_ready(path.stat())
    with path.open("rb") as file:
        assert read_envelope(file, 0) == posted()
        assert file.read(7) == b"content"
    os.link(path, tmp_path / "second")
    assert not is_ready(path.stat())


def test_an_abandoned_file_is_gone(tmp_path: Path) -> None:
    writer = DropWriter(str(tmp_path))
    writer.write(b"x" * 100_000)
    writer.abort()
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_what_came_over_a_socket_is_signed_with_the_kernel_s_uid(tmp_path: Path) -> None:
    writer = DropWriter(str(tmp_path))
    writer.write(b"content" + posted(uid=0).packed())
    writer.finish_received(1234, 100)
    (path,) = tmp_path.iterdir()
    with path.open("rb") as file:
        assert read_envelope(file, 0) == posted(uid=1234)


WHOLE = b"content" + posted().packed()


@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
def test_every_cut_is_noticed(cut: int) -> None:
    with pytest.raises(Damaged):
        read_envelope(io.BytesIO(WHOLE[:cut]), 0)
    if cut < 7:  # a beginning that is missing, too
        with pytest.raises(Damaged):
            read_envelope(io.BytesIO(WHOLE[cut:]), 0)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "cut short"),
        (b"content" + posted(recipients=[]).packed(), "no recipient"),
        (b"content" + posted(content_bytes=6).packed(), "7 octets of content instead of 6"),
        (b"x" * 500 + posted(content_bytes=500).packed(), "message_size_limit"),
        (b"content\xc1" + b"\x00\x00\x00\x01PGM1", "bad envelope"),
        (b"content" + b"\xff\xff\xff\xffPGM1", "not from sendmail"),
    ],
)
def test_nonsense_is_damaged(data: bytes, problem: str) -> None:
    with pytest.raises(Damaged, match=problem):
        read_envelope(io.BytesIO(data), 100)
