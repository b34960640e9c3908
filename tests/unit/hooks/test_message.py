"""The message as plugins see it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import pytest

from gateway.hooks import Message
from gateway.model.content import BodyFile, Content

HEAD = b"Subject: =?utf-8?q?caf=C3=A9?=\r\nX-A: one\r\n\ttwo\r\nx-a: three\r\n"


def no_file(body: BodyFile) -> BinaryIO:
    pytest.fail(f"opened {body.path}")


def test_headers_are_unfolded_and_found_by_any_case() -> None:
    message = Message(Content(HEAD, b"body\r\n"), no_file)
    assert message.headers[1] == ("X-A", "one\ttwo")
    assert message.header("x-A") == "one\ttwo"
    assert message.header_all("X-a") == ["one\ttwo", "three"]
    assert message.header("none") is None
    assert message.raw_head == HEAD
    assert message.size_bytes == len(message.as_bytes()) == len(HEAD) + 8


def test_email_is_parsed_once_and_again_after_an_edit() -> None:
    message = Message(Content(HEAD, b"body\r\n"), no_file)
    assert message.email["Subject"] == "café"
    assert message.email is message.email
    message.show(Content(b"Subject: other\r\n", b""))
    assert message.email["Subject"] == "other"
    assert message.headers == [("Subject", "other")]


def test_body_in_a_file_is_read_only_as_far_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"0123456789")

    def open_body(body: BodyFile) -> BinaryIO:
        file = path.open("rb")
        file.seek(body.offset)
        return file

    message = Message(Content(HEAD, BodyFile("body", 8, 2)), open_body)
    assert message.body_bytes(3) == b"234"
    assert message.body_bytes() == b"23456789"
    with message.open_body() as file:
        assert file.read(2) == b"23"
    assert message.as_bytes() == HEAD + b"\r\n23456789"


def test_body_in_memory() -> None:
    message = Message(Content(HEAD, b"body"), no_file)
    assert message.body_bytes(2) == b"bo"
    with message.open_body() as file:
        assert isinstance(file, io.BytesIO) and file.read() == b"body"
