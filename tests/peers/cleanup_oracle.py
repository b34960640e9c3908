"""Postfix's cleanup(8) as an oracle: what it stores of a message under each of several configurations.

One private Postfix has a listener and a cleanup service for each configuration. All mail is held, and read back with
postcat(1).

    with CleanupOracle([{"always_bcc": "log@here.example"}]) as oracle:
        reply, queue_id = oracle.send(0, "s@a.example", ["r@b.example"], b"Subject: x\\r\\n")
        stored = oracle.stored([queue_id])[queue_id]
        assert [each.address for each in stored.recipients] == ["r@b.example", "log@here.example"]
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Self

from peers.lookup_cases import as_options, free_ports
from peers.ports import LOOPBACK
from peers.postfix import PostfixInstance

_HOLD = {
    "smtpd_client_restrictions": "check_client_access static:HOLD",
    "smtpd_reject_unlisted_recipient": "no",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_hard_error_limit": "1000",
    "smtpd_error_sleep_time": "0",
    "smtpd_discard_ehlo_keywords": "chunking",
}
_NOTIFY = ((1, "NEVER"), (2, "SUCCESS"), (4, "FAILURE"), (8, "DELAY"))


class StoredRecipient(NamedTuple):
    """One recipient of a stored message.

    Args:
        address: where the mail goes.
        original: as the client gave it; empty when that is not kept.
        orcpt: DSN ORCPT.
        notify: DSN NOTIFY words.
    """

    address: str
    original: str
    orcpt: str
    notify: tuple[str, ...]


class Stored(NamedTuple):
    """A message in the queue: internal form of addresses, header block with CRLF, no Received."""

    sender: str
    recipients: list[StoredRecipient]
    head: bytes


class CleanupOracle:
    """The instance.

    Args:
        setups: main.cf parameters of each configuration.
        base: parameters of all of them.
        files: for the configuration directory; ``{dir}/conf/NAME`` is where they are.
    """

    def __init__(
        self,
        setups: Sequence[Mapping[str, str]],
        base: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        self._ports = free_ports(len(setups))
        self._clients: dict[int, smtplib.SMTP] = {}
        services = []
        for index, (setup, port) in enumerate(zip(setups, self._ports, strict=True)):
            own = {name: setup[name] for name in ("receive_override_options", *_SMTPD) if name in setup}
            options = as_options({"cleanup_service_name": f"cleanup{index}", **own})
            services.append(f"{LOOPBACK}:{port} inet n - n - 1 smtpd {options}")
            services.append(f"cleanup{index} unix n - n - 0 cleanup {as_options(dict(setup))}")
        self.instance = PostfixInstance(dict(base or {}) | _HOLD, services=services, files=files)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.instance)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _client(self, index: int) -> smtplib.SMTP:
        client = self._clients.get(index)
        if client is None:
            client = smtplib.SMTP(LOOPBACK, self._ports[index], timeout=5)
            self._stack.callback(client.close)
            client.ehlo("client.example")
            client.command_encoding = "utf-8"
            self._clients[index] = client
        return client

    def send(
        self, index: int, sender: str, recipients: Iterable[str], head: bytes = b"", *, more: str = ""
    ) -> tuple[str, str]:
        """Hand a message to one configuration.

        Args:
            index: which one.
            sender: external form.
            recipients: external form; what stands behind a blank outside ``<>`` are parameters of RCPT.
            head: header lines with CRLF.
            more: parameters of MAIL.

        Returns:
            The reply to the message, and its queue ID, which is empty when it was refused.
        """
        client = self._client(index)
        assert client.docmd(f"MAIL FROM:<{sender}> {more}".rstrip())[0] == 250, sender
        for recipient in recipients:
            path, _, parameters = recipient.partition("> ")
            code, text = client.docmd(f"RCPT TO:<{path.strip('<>')}> {parameters}".rstrip())
            assert code == 250, (recipient, text)
        assert client.docmd("DATA")[0] == 354
        client.send(re.sub(rb"(?m)^\.", b"..", head + b"\r\ntext\r\n") + b".\r\n")
        code, text = client.getreply()
        reply = f"{code} {text.decode()}"
        queued = re.fullmatch(r"250 2\.0\.0 Ok: queued as (\w+)", reply)
        return reply, queued[1] if queued else ""

    def stored(self, queue_ids: Sequence[str]) -> dict[str, Stored]:
        """What is in the queue under these IDs."""
        if not queue_ids:
            return {}
        text = self.instance.command("postcat", "-q", *queue_ids).encode("utf-8", "surrogateescape")
        files = text.split(b"*** ENVELOPE RECORDS ")[1:]
        return {queue_id: _read(file) for queue_id, file in zip(queue_ids, files, strict=True)}


_SMTPD = ("local_header_rewrite_clients", "remote_header_rewrite_domain")


def _read(text: bytes) -> Stored:
    envelope, _, rest = text.partition(b"*** MESSAGE CONTENTS ")
    content, _, extracted = rest.partition(b"\n*** HEADER EXTRACTED ")
    sender, original, orcpt, notify = "", "", "", 0
    recipients = []
    for line in (envelope + extracted).decode("utf-8", "surrogateescape").splitlines():
        name, _, value = line.partition(": ")
        match name:
            case "sender":
                sender = value
            case "original_recipient":
                original = value
            case "named_attribute" if value.startswith("dsn_orig_rcpt="):
                orcpt = value.partition("=")[2]
            case "named_attribute" if value.startswith("notify_flags="):
                notify = int(value.partition("=")[2])
            case "recipient":
                words = tuple(word for bit, word in _NOTIFY if notify & bit)
                recipients.append(StoredRecipient(value, original, orcpt, words))
                original, orcpt, notify = "", "", 0
            case _:
                pass
    head = content.partition(b"\n")[2].partition(b"\n\n")[0] + b"\n"
    head = re.sub(rb"\AReceived: [^\n]*\n(?:[ \t][^\n]*\n)+", b"", head)
    return Stored(sender, recipients, head.replace(b"\n", b"\r\n"))
