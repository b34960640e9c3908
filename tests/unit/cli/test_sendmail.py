"""Posting: what ends up in the maildrop, or goes to pickup, and what the exit status says."""

import contextlib
import io
import os
import socket
import threading
from pathlib import Path

import pytest

from gateway.cli import posting
from gateway.cli.console import EX_TEMPFAIL, EX_UNAVAILABLE, EX_USAGE, Fatal
from gateway.cli.sendmail import addresses, extract_recipients, message_lines, post
from gateway.cli.sendmail_options import parse
from gateway.config import Config
from gateway.server.maildrop import Posted, read_envelope


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    for name in ("maildrop", "public"):
        (tmp_path / name).mkdir()
    return tmp_path


def send(queue: Path, options: str, message: bytes, **settings: str) -> int:
    config = Config.from_settings({"queue_directory": str(queue), **settings})
    return post(config, parse(options.split()), io.BytesIO(message))


def only_file(queue: Path) -> tuple[Posted, bytes]:
    (path,) = (queue / "maildrop").iterdir()
    assert path.stat().st_mode & 0o777 == 0o704
    with path.open("rb") as file:
        posted = read_envelope(file, 0)
        return posted, file.read(posted.content_bytes)


def test_a_message_becomes_one_complete_file(queue: Path) -> None:
    assert send(queue, "-f a@b.example -F Joe c@d.example e@f.example", b"Subject: x\n\nbody\n") == 0
    posted, content = only_file(queue)
    assert content == b"Subject: x\n\nbody\n"
    assert (posted.sender, posted.recipients) == (b"a@b.example", [b"c@d.example", b"e@f.example"])
    assert (posted.full_name, posted.uid) == (b"Joe", -1)


def test_recipients_come_from_headers_and_bcc_goes(queue: Path) -> None:
    message = (
        b'To: "C, D" <c@d.example>,\n e@f.example\nCC: g@h.example (comment)\nBcc: secret@x.example,\n  two@x.example\n'
        b"Subject: bcc: not me\n\nTo: nobody@x.example\n"
    )
    assert send(queue, "-t -i -f <> also@x.example", message) == 0
    posted, content = only_file(queue)
    assert posted.sender == b""
    assert posted.recipients == [
        b"also@x.example", b"c@d.example", b"e@f.example", b"g@h.example", b"secret@x.example", b"two@x.example",
    ]  # fmt: skip
    assert b"secret" not in content
    assert b"two@" not in content
    assert b"Subject: bcc: not me\n\nTo: nobody@x.example\n" in content


def test_resent_headers_stand_for_the_others() -> None:
    lines = [b"To: a@x\n", b"Resent-To: b@x\n", b"Resent-Bcc: c@x\n", b"no header\n", b"body\n"]
    rest = iter(lines)
    head, found = extract_recipients(rest)
    assert found == [b"b@x", b"c@x"]
    assert head == [b"To: a@x\n", b"Resent-To: b@x\n", b"no header\n"]
    assert list(rest) == [b"body\n"]


def test_an_endless_header_is_refused() -> None:
    with pytest.raises(Fatal, match="too large"):
        extract_recipients(b"X: " + b"y" * 1000 + b"\n" for _ in range(2000))


@pytest.mark.parametrize(
    ("message", "stops", "expected"),
    [
        (b"a\n.\nb\n", True, b"a\n"),
        (b"a\r\n.\r\nb\n", True, b"a\r\n"),
        (b"a\n.\nb\n", False, b"a\n.\nb\n"),
        (b"a\n..\nb", True, b"a\n..\nb"),
        (b"From a@b Mon\n>From c\nX: y\nFrom d\n", True, b"X: y\nFrom d\n"),
        (b"x" * 70000 + b"\n.\n", True, b"x" * 70000 + b"\n"),
        (b"x" * 65536 + b".\ny\n", True, b"x" * 65536 + b".\ny\n"),
    ],
)
def test_where_a_message_ends(message: bytes, stops: bool, expected: bytes) -> None:
    assert b"".join(message_lines(io.BytesIO(message), stops_at_dot=stops)) == expected


def test_addresses_in_every_form() -> None:
    assert list(addresses("root")) == [b"root"]
    assert list(addresses('Me <a@b>, c@d (x), "e f"@g')) == [b"a@b", b"c@d", b'"e f"@g']
    assert list(addresses("ü@x")) == ["ü@x".encode()]
    assert list(addresses("List: a@b, c@d;, e@f")) == [b"a@b", b"c@d", b"e@f"]
    assert list(addresses("(" * 3000 + "a@b")) == []


@pytest.mark.parametrize(
    ("options", "message", "status", "text"),
    [
        ("-f x@y.example", b"\n", EX_USAGE, "x@y.example(%d): Recipient addresses must be specified"),
        ("-t", b"Subject: x\n\nbody\n", EX_USAGE, "No recipient addresses found in message header"),
        ("a@b", b"x" * 5000, EX_UNAVAILABLE, "Message file too big"),
    ],
)
def test_refusals_leave_nothing_behind(queue: Path, options: str, message: bytes, status: int, text: str) -> None:
    with pytest.raises(Fatal) as caught:
        send(queue, options, message, message_size_limit="4096")
    assert caught.value.status == status
    assert text.replace("%d", str(os.getuid())) in str(caught.value)
    assert list((queue / "maildrop").iterdir()) == []


def test_a_malformed_sender_is_replaced_by_the_login_name(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = Config.from_settings({"queue_directory": str(queue)})
    assert post(config, parse(["-f", "a b c", "x@y"]), io.BytesIO(b"\n")) == 0
    posted, _ = only_file(queue)
    assert posted.sender.isalnum()
    assert "sendmail: warning: -f option specified malformed sender: a b c" in capsys.readouterr().err


class FakePickup:
    """Answers one post on ``public/pickup``, and keeps what it got."""

    def __init__(self, queue: Path, answer: bytes) -> None:
        self.received = b""
        self._answer = answer
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(queue / "public" / "pickup"))
        self._server.listen()
        self._server.settimeout(10)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with self._server, connection:
            connection.settimeout(10)
            while data := connection.recv(65536):
                self.received += data
            with contextlib.suppress(BrokenPipeError):  # who only wakes pickup does not wait
                connection.sendall(self._answer)

    def join(self) -> bytes:
        self._thread.join(15)
        return self.received


@pytest.fixture
def locked_queue(queue: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A maildrop that this user may not write to, also when this user is root."""
    monkeypatch.setattr(posting.os, "access", lambda path, mode: False)
    return queue


def test_who_may_not_write_goes_to_pickup(locked_queue: Path, tmp_path: Path) -> None:
    pickup = FakePickup(locked_queue, b"ok\n")
    body = b"Subject: x\n\n" + b"y" * 200_000 + b"\n"
    assert send(locked_queue, "-i a@b.example", body) == 0
    received = pickup.join()
    assert received[:1] == b"M"
    (tmp_path / "file").write_bytes(received[1:])
    with (tmp_path / "file").open("rb") as file:
        posted = read_envelope(file, 0)
        assert file.read(posted.content_bytes) == body
    assert posted.recipients == [b"a@b.example"]


@pytest.mark.parametrize(
    ("answer", "status"), [(b"message file too big\n", EX_UNAVAILABLE), (b"busy\n", EX_TEMPFAIL), (b"", EX_TEMPFAIL)]
)
def test_pickup_s_refusal_is_an_exit_status(locked_queue: Path, answer: bytes, status: int) -> None:
    pickup = FakePickup(locked_queue, answer)
    with pytest.raises(Fatal) as caught:
        send(locked_queue, "a@b.example", b"x\n")
    assert caught.value.status == status
    assert pickup.join()


def test_without_pickup_the_caller_tries_again(locked_queue: Path) -> None:
    with pytest.raises(Fatal, match="mail system is down") as caught:
        send(locked_queue, "a@b.example", b"x\n")
    assert caught.value.status == EX_TEMPFAIL


def test_writing_wakes_pickup(queue: Path) -> None:
    pickup = FakePickup(queue, b"ok\n")
    assert send(queue, "a@b.example", b"x\n") == 0
    assert pickup.join() == b"W"
