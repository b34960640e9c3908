"""Replies that are safe on the wire."""

from __future__ import annotations

from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.session import Session
from gateway.model.verdict import Action
from gateway.restrictions.replies import judged_name, lookup_failure, printable, refuse, server_error


def test_text_is_one_bounded_line() -> None:
    assert printable("a\r\nb\0c\x7f") == "a  b c "
    assert len(printable("x" * 5000)) == 480


def test_the_class_follows_the_code() -> None:
    assert refuse(450, "5.7.1", "x").enhanced == "4.7.1"
    assert refuse(554, "4.7.1", "x").action is Action.REJECT
    assert refuse(451, "4.3.0", "x").action is Action.DEFER


def test_our_own_failures_are_temporary() -> None:
    assert (server_error("why").code, server_error("why").reason) == (451, "why")
    assert lookup_failure("a@b", "why").text == "<a@b>: Temporary lookup failure"


def test_the_judged_name() -> None:
    session = Session(Client("192.0.2.1"))
    assert judged_name(session) == ""
    session.sender = Address("s", "a")
    assert judged_name(session) == "s@a"
    session.recipient = Address("r", "b")
    assert judged_name(session) == "r@b"
