from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.spool.body import BodyWriter
from gateway.spool.quarantine import keep_file, keep_message


def test_what_is_left_of_a_message_is_kept(tmp_path: Path) -> None:
    writer = BodyWriter(str(tmp_path), "4k9XV10000zN4")
    writer.write(b"large")
    asyncio.run(writer.finish())
    path = Path(keep_message(str(tmp_path), "4k9XV10000zN4", (b"envelope", None, "text", b"head")))
    assert path == tmp_path / "corrupt/4k9XV10000zN4"
    assert path.read_bytes() == b"--- 8 octets ---\nenvelope\n--- 4 octets ---\nhead\n"
    assert path.with_name(path.name + ".body").read_bytes() == b"large"


def test_evidence_is_never_overwritten(tmp_path: Path) -> None:
    paths = {keep_message(str(tmp_path), "4k9XV10000zN4", (b"%d" % number,)) for number in range(3)}
    assert len(paths) == 3
    assert keep_message(str(tmp_path), "../../outside", ()) == str(tmp_path / "corrupt/outside")


def test_database_files_are_moved(tmp_path: Path) -> None:
    (tmp_path / "queue.db").write_text("old")
    kept = keep_file(str(tmp_path), str(tmp_path / "queue.db"))
    assert kept is not None
    assert Path(kept).read_text() == "old"
    assert keep_file(str(tmp_path), str(tmp_path / "queue.db")) is None
