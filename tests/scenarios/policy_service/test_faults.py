"""A policy server in trouble, and a live gateway: mail is deferred, sessions go on, nothing is let through by mistake."""

from __future__ import annotations

import contextlib
import smtplib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from peers.gateway import GatewayInstance
from peers.policy_server import attributes_of
from peers.ports import LOOPBACK, free_port
from peers.scripted import CLOSE, HANG, RESET, ScriptedServer, Then

SETTINGS = {
    "mydestination": "",
    "relay_domains": "local.example",
    "relay_transport": "discard:",
    "smtpd_relay_restrictions": "reject_unauth_destination",
    "smtpd_error_sleep_time": "0",
    "smtpd_workers": "1",
    "smtpd_policy_service_timeout": "1s",
    "smtpd_policy_service_retry_delay": "1s",
}
DEFERRED = (451, b"4.3.5 <u@local.example>: Recipient address rejected: Server configuration problem")
ACCEPTED = (250, b"2.1.5 Ok")
DUNNO = b"action=DUNNO\n\n"


class Checked:
    """A gateway that asks ``server`` at RCPT, over a socket in its queue directory, and ``once`` at DATA; a session."""

    def __init__(self, stack: ExitStack) -> None:
        self.gateway = GatewayInstance(SETTINGS)
        self.server = ScriptedServer(lambda request: DUNNO, path=str(self.gateway.queue_directory / "policy"))
        self.once = stack.enter_context(ScriptedServer(lambda request: DUNNO))
        self.gateway.settings |= {
            "smtpd_recipient_restrictions": "check_policy_service unix:policy",
            "smtpd_data_restrictions": f"check_policy_service {{ inet:{LOOPBACK}:{self.once.port}, try_limit=1 }}",
        }
        stack.enter_context(self.server)
        stack.enter_context(self.gateway)
        self._open_to_workers()
        self.smtp = stack.enter_context(smtplib.SMTP(LOOPBACK, self.gateway.port, timeout=20))
        self.smtp.ehlo("h.example")

    def rcpt(self) -> tuple[int, bytes]:
        self.smtp.rset()
        self.smtp.mail("s@sender.example")
        return self.smtp.rcpt("u@local.example")

    def at_once(self, senders: list[str]) -> dict[str, tuple[int, bytes]]:
        """The replies to a RCPT of each sender, all asked for at the same time."""

        def ask(sender: str) -> tuple[int, bytes]:
            with smtplib.SMTP(LOOPBACK, self.gateway.port, timeout=20) as smtp:
                smtp.ehlo("o.example")
                smtp.mail(f"{sender}@sender.example")
                return smtp.rcpt("u@local.example")

        with ThreadPoolExecutor(len(senders)) as sessions:
            return dict(zip(senders, sessions.map(ask, senders), strict=True))

    def restart(self) -> None:
        self.server.stop()
        self.start()

    def start(self) -> None:
        self.server.start()
        self._open_to_workers()

    def _open_to_workers(self) -> None:
        Path(self.server.path).chmod(0o666)


@pytest.fixture(scope="module")
def checked() -> Iterator[Checked]:
    with ExitStack() as stack:
        yield Checked(stack)


def test_restarted_between_requests(checked: Checked) -> None:
    before = time.monotonic()
    for _ in range(3):
        assert checked.rcpt() == ACCEPTED
        checked.restart()
    assert time.monotonic() - before < 1  # not one pause


TROUBLE: dict[str, bytes | Then | tuple[bytes, Then]] = {
    "closes": CLOSE,
    "resets": RESET,
    "closes-in-the-middle": (b"action=DUNNO\n", CLOSE),
    "resets-in-the-middle": (b"action=DUNNO", RESET),
    "hangs": HANG,
    "garbage": b"no reply at all\n\n",
    "too-much": b"\0" * 100_000,
}


def test_no_answer(checked: Checked) -> None:
    def answer(request: bytes) -> bytes | Then | tuple[bytes, Then]:
        return TROUBLE.get(attributes_of(request)["sender"].partition("@")[0], DUNNO)

    checked.server.answer = answer
    before = time.monotonic()
    assert checked.at_once([*TROUBLE, "nobody"]) == dict.fromkeys(TROUBLE, DEFERRED) | {"nobody": ACCEPTED}
    assert 1 <= time.monotonic() - before < 5  # two attempts and a pause
    checked.restart()
    assert checked.rcpt() == ACCEPTED


def test_a_server_that_drips(checked: Checked) -> None:
    """Each octet in time, the whole never."""
    stop = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.05):
                checked.once.send_to_all(b"x")

    checked.once.answer = lambda request: (b"", HANG)
    assert checked.rcpt() == ACCEPTED
    dripping = threading.Thread(target=drip)
    dripping.start()
    before = time.monotonic()
    try:
        reply = checked.smtp.docmd("DATA")
    finally:
        stop.set()
        dripping.join()
    assert reply == (451, b"4.3.5 <DATA>: Data command rejected: Server configuration problem")
    assert 1 <= time.monotonic() - before < 3
    assert checked.smtp.noop()[0] == 250


def test_a_server_that_is_down_holds_nobody_else_up(checked: Checked) -> None:
    checked.server.stop()
    try:
        with ThreadPoolExecutor(1) as others:
            started = time.monotonic()
            replies = others.submit(checked.at_once, [f"s{number}" for number in range(10)])
            assert checked.smtp.noop()[0] == 250
            assert time.monotonic() - started < 0.9
            assert set(replies.result().values()) == {DEFERRED}
    finally:
        checked.start()
    assert checked.rcpt() == ACCEPTED


def test_the_log_names_the_server_without_flooding(checked: Checked) -> None:
    log = checked.gateway.log_text()
    lines = [line for line in log.splitlines() if "problem talking to server policy: " in line]
    assert 1 <= len(lines) <= 3
    assert "warning: problem talking to server policy: " in lines[0]


def test_a_default_action_of_its_own() -> None:
    port = free_port()
    check = f"check_policy_service {{ inet:{LOOPBACK}:{port}, try_limit=1, default_action=DUNNO }}"
    with (
        GatewayInstance(SETTINGS | {"smtpd_recipient_restrictions": check}) as gateway,
        smtplib.SMTP(LOOPBACK, gateway.port, timeout=20) as smtp,
    ):
        smtp.sendmail("s@sender.example", "u@local.example", "Subject: through\r\n\r\n")
        gateway.wait_for_log(f"warning: problem talking to server {LOOPBACK}:{port}: Connection refused")
        gateway.wait_for_log("status=sent")
