"""Requests to the spool's service, and its answers."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from gateway.model.content import BodyFile, Content


class Submit(msgspec.Struct, array_like=True, tag=1, frozen=True, gc=False):
    """Request: store this message. ``envelope`` is in stored form."""

    number: int
    envelope: bytes
    head: bytes
    body: bytes | BodyFile
    is_headless: bool = False

    @property
    def content(self) -> Content:
        """The content as the rest of the house has it."""
        return Content(self.head, self.body, self.is_headless)


class Result(IntEnum):
    """How a request ended."""

    OK = 0
    FULL = 1
    ERROR = 2


class Answer(msgspec.Struct, array_like=True, tag=1, frozen=True, gc=False):
    """The answer to the request of that number; ``text`` is empty or says what failed."""

    number: int
    result: Result = Result.OK
    text: str = ""
