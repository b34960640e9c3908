"""pickup: from the maildrop and the socket through cleanup into a spool that is a list."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.cleanup import Cleanup, Draft
from gateway.config import Config
from gateway.hooks.chain import Chain, Runtime
from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolFull
from gateway.model.verdict import Action, Verdict
from gateway.observe import Counters, MailLog
from gateway.server.maildrop import DropWriter, Posted
from gateway.server.pickup import SOCKET_PATH, Pickup
from gateway.spool.body import BodyWriter
from gateway.spool.queue_id import QueueIds


class Spool:
    """Keeps what is submitted; fails when told to."""

    def __init__(self) -> None:
        self.messages: list[tuple[Envelope, Content]] = []
        self.error: SpoolFull | None = None

    async def submit(self, envelope: Envelope, content: Content) -> None:
        if self.error:
            raise self.error
        self.messages.append((envelope, content))


class RefusingCleanup:
    """Says what policy would."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    async def queue(self, draft: Draft, **how: object) -> Verdict:
        return self.verdict


class House:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("maildrop", "public", "corrupt"):
            (directory / name).mkdir(exist_ok=True)
        self.log = MailLog.memory()
        self.spool = Spool()
        self.config = Config.from_settings(
            {
                "queue_directory": str(directory),
                "myhostname": "mx.example",
                "myorigin": "mx.example",
                "content_memory_limit": "10000",
                "message_size_limit": "1000000",
            }
        )

    def pickup(self, cleanup: object = None, *, can_bounce: bool = True) -> Pickup:
        made = cleanup or Cleanup(
            self.config,
            queue_chain=Chain("queue", (), Runtime(self.log.logger("cleanup"), Counters())),
            submitter=self.spool,
            log=self.log,
            open_sink=lambda queue_id: BodyWriter(str(self.directory), queue_id),
        )
        return Pickup(
            self.config,
            made,  # type: ignore[arg-type]
            QueueIds(1).next,
            log=self.log,
            submitter=self.spool if can_bounce else None,
        )

    def drop(self, content: bytes = b"Subject: x\n\nbody\n", **changes: object) -> str:
        writer = DropWriter(str(self.directory / "maildrop"))
        writer.write(content)
        values = {"sender": b"joe", "recipients": [b"a@b.example"], "posted_at": time.time()} | changes
        writer.finish(Posted(content_bytes=len(content), **values))  # type: ignore[arg-type]
        return writer.name

    def sweep(self, pickup: Pickup | None = None) -> int:
        return asyncio.run((pickup or self.pickup()).sweep())

    @property
    def waiting(self) -> list[str]:
        return os.listdir(self.directory / "maildrop")

    def body_files(self) -> list[Path]:
        return [path for path in (self.directory / "bodies").rglob("*") if path.is_file()]

    def logged(self, text: str) -> bool:
        return any(text in line for line in self.log.lines)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_message_goes_through_cleanup_into_the_spool(house: House) -> None:
    house.drop(full_name=b'Joe "the" \n Bo\xc3\xa9', notify=("DELAY",), ret="HDRS", envid=b"id", encoding="8BITMIME")
    assert house.sweep() == 1
    ((envelope, content),) = house.spool.messages
    assert str(envelope.sender) == "joe@mx.example"
    assert [str(recipient.address) for recipient in envelope.recipients] == ["a@b.example"]
    assert envelope.recipients[0].notify == ("DELAY",)
    assert (envelope.ret, envelope.envid, envelope.encoding, envelope.origin) == ("HDRS", "id", "8BITMIME", "pickup")
    assert content.head.startswith(b"Received: by mx.example (Postfix, from userid %d)\r\n" % os.getuid())
    assert 'From: "Joe the  Boé" <joe@mx.example>\r\n'.encode() in content.head
    assert b"\r\nMessage-Id: <" in content.head
    assert content.body == b"body\r\n"
    assert house.waiting == []
    assert house.logged(f"{envelope.queue_id}: uid={os.getuid()} from=<joe>")


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (b"\nno head\n", b"no head\r\n"),
        (b"A: b\r\n\r\nx\r\ny\r\n", b"x\r\ny\r\n"),
        (b"A: b\n\nx\r.\r\ry\n.\n", b"x .  y\r\n.\r\n"),
        (b"A: b\n\nno end", b"no end\r\n"),
        (b"A: b\n\nend\r", b"end \r\n"),
        (b"A: b\n\n" + (b"x" * 65529 + b"\r\n") * 3, (b"x" * 65529 + b"\r\n") * 3),
        (b"A: b\n\n" + b"\n" * 70000, b"\r\n" * 70000),
    ],
)
def test_lines_end_in_crlf_and_nowhere_else(house: House, given: bytes, stored: bytes) -> None:
    house.drop(given)
    assert house.sweep() == 1
    ((_, content),) = house.spool.messages
    body = content.body
    if isinstance(body, BodyFile):
        body = (house.directory / body.path).read_bytes()[body.offset :]
    assert body == stored


def test_messages_are_taken_in_order_of_posting(house: House) -> None:
    names = [house.drop(b"Subject: %d\n\n" % number) for number in range(5)]
    assert names == sorted(names)
    assert house.sweep() == 5
    subjects = [content.head.partition(b"Subject: ")[2][:1] for _, content in house.spool.messages]
    assert subjects == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"recipients": [b"a@b@c"]}, "bad address"),
        ({"recipients": [b"a@b>\r\nDATA"]}, "bad address"),
        ({"sender": b"a\x00b@c"}, "bad address"),
        ({"recipients": []}, "no recipient"),
        ({"content": b"x" * 1_000_001}, "message_size_limit"),
    ],
)
def test_what_is_no_message_goes_to_corrupt(house: House, changes: dict[str, object], reason: str) -> None:
    name = house.drop(**changes)  # type: ignore[arg-type]
    good = house.drop()
    assert house.sweep() == 1
    assert house.waiting == []
    assert os.listdir(house.directory / "corrupt") == [name]
    assert house.logged(f"error: maildrop/{name}: ")
    assert house.logged(reason)
    assert good != name


def test_tricks_with_links_and_unfinished_files(house: House) -> None:
    maildrop = house.directory / "maildrop"
    (maildrop / "link").symlink_to("/etc/passwd")
    (maildrop / "directory").mkdir()
    (maildrop / "unfinished").write_bytes(b"x")
    (maildrop / ".hidden").write_bytes(b"x")
    old = maildrop / ".old"
    old.write_bytes(b"x")
    os.utime(old, (1, 1))
    os.mkfifo(maildrop / "pipe")
    assert house.sweep() == 0
    assert sorted(house.waiting) == [".hidden", "unfinished"]
    assert sorted(os.listdir(house.directory / "corrupt")) == ["directory", "link", "pipe"]
    assert house.spool.messages == []


def test_a_full_spool_keeps_the_file_and_a_later_sweep_takes_it(house: House) -> None:
    house.drop(b"A: b\n\n" + b"x" * 20_000)
    house.spool.error = SpoolFull("no room")
    pickup = house.pickup()
    assert house.sweep(pickup) == 0
    assert len(house.waiting) == 1
    assert house.logged("deferred: no room")
    house.spool.error = None
    assert house.sweep(pickup) == 1
    assert house.waiting == []


def test_a_refused_message_is_stored_to_be_bounced(house: House) -> None:
    house.drop()
    assert house.sweep(house.pickup(RefusingCleanup(Verdict.reject("no spam", enhanced="5.7.9")))) == 1
    ((envelope, _),) = house.spool.messages
    assert envelope.filter == "error:5.7.9 no spam"
    assert house.waiting == []


def test_a_refused_message_that_cannot_be_bounced_is_kept_aside(house: House) -> None:
    name = house.drop()
    assert house.sweep(house.pickup(RefusingCleanup(Verdict.reject("no spam")), can_bounce=False)) == 0
    assert os.listdir(house.directory / "corrupt") == [name]


def test_a_deferred_message_waits(house: House) -> None:
    house.drop()
    assert house.sweep(house.pickup(RefusingCleanup(Verdict.defer("later")))) == 0
    assert len(house.waiting) == 1
    assert house.logged("deferred: 450 4.7.1 later")


def test_mail_cannot_be_dated_back_or_forward(house: House) -> None:
    house.drop(posted_at=0.0)
    house.drop(posted_at=1e12)
    before = time.time()
    assert house.sweep() == 2
    arrivals = [envelope.arrival for envelope, _ in house.spool.messages]
    assert before - 90_000 < arrivals[0] < before
    assert arrivals[1] <= time.time()


# --- the socket ------------------------------------------------------------------------------------------------------


async def converse(house: House, *pieces: bytes, is_half_closed: bool = True) -> str:
    reader, writer = await asyncio.open_unix_connection(str(house.directory / SOCKET_PATH))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    if is_half_closed:
        writer.write_eof()
    answer = (await asyncio.wait_for(reader.read(), 10)).decode().strip()
    writer.close()
    await writer.wait_closed()
    return answer


def with_pickup(house: House, work: Callable[[Pickup], Awaitable[None]]) -> None:
    async def live() -> None:
        pickup = house.pickup()
        await pickup.start()
        try:
            await asyncio.wait_for(work(pickup), 20)
        finally:
            await pickup.close()

    asyncio.run(live())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_the_socket_takes_messages_and_wakes(house: House) -> None:
    content = b"Subject: y\n\n" + b"z" * 100_000 + b"\n"
    wire = b"M" + content + Posted(b"", [b"c@d.example"], len(content), time.time(), uid=0).packed()

    async def work(pickup: Pickup) -> None:
        assert await converse(house, wire[:50], wire[50:]) == "ok"
        await until(lambda: house.spool.messages)
        house.drop()
        assert await converse(house, b"W", is_half_closed=False) == "ok"
        await until(lambda: len(house.spool.messages) == 2)

    with_pickup(house, work)
    envelope, _ = house.spool.messages[0]
    assert envelope.sender.local == ""
    # Not what the client claimed, but what the kernel says.
    assert house.logged(f"{envelope.queue_id}: uid={os.getuid()} from=<>")
    assert not (house.directory / SOCKET_PATH).exists()


@pytest.mark.parametrize(
    ("wire", "answer"),
    [
        (b"", "unknown order"),
        (b"X", "unknown order"),
        (b"M", "cut short"),
        (b"Mhalf a message", "cut short, or not from sendmail"),
        (b"M" + b"x" * 3_000_000, "message file too big"),
    ],
)
def test_nonsense_on_the_socket_leaves_nothing(house: House, wire: bytes, answer: str) -> None:
    async def work(pickup: Pickup) -> None:
        assert await converse(house, wire) == answer

    with_pickup(house, work)
    assert house.waiting == []
    assert house.spool.messages == []


def test_a_reload_changes_the_limits(house: House) -> None:
    pickup = house.pickup()
    smaller = House(house.directory)
    smaller.config = house.config.overridden({"message_size_limit": "10"})
    pickup.replace(smaller.pickup())
    name = house.drop()
    assert house.sweep(pickup) == 0
    assert os.listdir(house.directory / "corrupt") == [name]


def test_a_bug_in_policy_keeps_the_file_and_the_watch(house: House) -> None:
    """One message that trips over a bug must not stop local mail for good."""

    class BrokenCleanup:
        async def queue(self, draft: Draft, **how: object) -> None:
            if b"bad" in draft.content.head:
                raise IndexError("bug")
            await house.spool.submit(draft.envelope, draft.content)

    house.drop(b"Subject: bad\n\n" + b"x" * 20000)
    house.drop(b"Subject: good\n\n")
    assert house.sweep(house.pickup(BrokenCleanup())) == 1
    assert len(house.waiting) == 1
    assert house.logged("IndexError: bug")
    assert house.body_files() == []


@pytest.mark.parametrize("verdict", [Verdict.defer("later"), SpoolFull("no room")])
def test_a_large_message_that_waits_leaves_no_body_behind(house: House, verdict: Verdict | SpoolFull) -> None:
    """It is read again at every look: each of them would take its size from the disk."""
    house.drop(b"Subject: x\n\n" + b"x" * 20000)
    cleanup = RefusingCleanup(verdict) if isinstance(verdict, Verdict) else None
    house.spool.error = verdict if isinstance(verdict, SpoolFull) else None
    assert house.sweep(house.pickup(cleanup)) == 0
    assert len(house.waiting) == 1
    assert house.body_files() == []


def test_a_plain_reject_is_final(house: House) -> None:
    house.drop()
    assert house.sweep(house.pickup(RefusingCleanup(Verdict(Action.REJECT, "no")))) == 1
    ((envelope, _),) = house.spool.messages
    assert envelope.filter == "error:5.7.1 no"
    assert house.waiting == []


def test_a_stored_message_whose_file_cannot_go_is_not_stored_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.drop()
    pickup = house.pickup()
    unlink = os.unlink

    def refuse(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    monkeypatch.setattr(os, "unlink", refuse)
    house.sweep(pickup)
    house.sweep(pickup)
    assert len(house.spool.messages) == 1
    monkeypatch.setattr(os, "unlink", unlink)
    house.sweep(pickup)
    assert (len(house.spool.messages), house.waiting) == (1, [])
