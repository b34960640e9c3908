"""What cleanup stores, beside Debian's cleanup(8): the same messages under the same configurations.

Sender, recipients in their order with what each was originally, ORCPT, NOTIFY, and the header block octet for octet; of
messages that are not taken, the reply. Left out is what differs on purpose: docs/postfix-differences.md.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from peers.cleanup_oracle import CleanupOracle, Stored, StoredRecipient
from peers.rewriting_cases import BASE, Message, Setup, setups

from gateway.cleanup import Cleanup, Draft
from gateway.cleanup.head import split_head
from gateway.config import Config
from gateway.hooks.chain import Runtime
from gateway.hooks.manager import PluginManager
from gateway.model.content import Content
from gateway.model.envelope import Envelope, Recipient
from gateway.observe import Counters, MailLog
from gateway.rfc.address.quoting import unquoted
from gateway.rfc.rfc5321 import parse_path

pytestmark = pytest.mark.peer("postfix")

SETUPS = setups(24)
_TRACE = re.compile(rb"\AReceived: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)+")
Result = Stored | str
"""What was stored, or the reply to a message that was not."""


@pytest.fixture(scope="module")
def theirs() -> Iterator[list[list[Result]]]:
    """What Postfix makes of the messages of each setup."""
    configured = [
        {name: value.replace("{dir}", "{dir}/conf") for name, value in setup.settings.items()} for setup in SETUPS
    ]
    files = {name: text for setup in SETUPS for name, text in setup.tables.items()}
    with CleanupOracle(configured, BASE, files) as oracle:
        with ThreadPoolExecutor(6) as pool:  # cleanup(8) waits for the disk
            sent = list(
                pool.map(lambda at: [_send(oracle, at, each) for each in SETUPS[at].messages], range(len(SETUPS)))
            )
        stored = oracle.stored([queue_id for results in sent for _, queue_id in results if queue_id])
        yield [[stored[queue_id] if queue_id else reply for reply, queue_id in results] for results in sent]


def _send(oracle: CleanupOracle, at: int, message: Message) -> tuple[str, str]:
    return oracle.send(at, message.sender, map(str, message.recipients), message.head)


class House:
    """Our cleanup under one setup, with a spool that is a list."""

    def __init__(self, setup: Setup, directory: Path) -> None:
        for name, text in setup.tables.items():
            (directory / name).write_text(text, encoding="utf-8")
        own = {name: value.replace("{dir}", str(directory)) for name, value in setup.settings.items()}
        config = Config.from_settings(BASE | {"queue_directory": str(directory)} | own)
        log = MailLog.memory()
        self.stored: list[tuple[Envelope, Content]] = []
        self.is_local = own.get("local_header_rewrite_clients", "permit_inet_interfaces") != ""
        self.cleanup = Cleanup(
            config,
            queue_chain=PluginManager(()).chain("queue", config, Runtime(log.logger("cleanup"), Counters())),
            submitter=self,
            log=log,
            open_sink=lambda queue_id: pytest.fail("no body is that large"),
        )

    async def submit(self, envelope: Envelope, content: Content) -> None:
        self.stored.append((envelope, content))

    async def through(self, message: Message) -> Result:
        recipients = [
            Recipient(parse_path(f"<{each.address}>".encode()), orcpt=each.orcpt, notify=each.notify)
            for each in message.recipients
        ]
        envelope = Envelope("4jXWyY1RKyzM0rn7", parse_path(f"<{message.sender}>".encode()), recipients, arrival=1.0)
        verdict = await self.cleanup.queue(
            Draft(envelope, split_head(message.head + b"\r\ntext\r\n")), is_local=self.is_local
        )
        if verdict is not None:
            return f"{verdict.code} {verdict.enhanced} {verdict.text}"
        envelope, content = self.stored.pop()
        listed = [
            StoredRecipient(str(each.address), each.original or str(each.address), each.orcpt, each.notify)
            for each in envelope.recipients
        ]
        return Stored(str(envelope.sender), listed, _TRACE.sub(b"", content.head))


def _comparable(result: Result) -> Result:
    """Domains in lower case; no ORCPT where it only repeats the original address."""
    if isinstance(result, str):
        return result
    return Stored(_folded(result.sender), [_recipient(each) for each in result.recipients], result.head)


def _recipient(recipient: StoredRecipient) -> StoredRecipient:
    address, original, orcpt, notify = recipient
    says_nothing = _folded(unquoted(orcpt.removeprefix("rfc822;"))) == _folded(original)
    return StoredRecipient(_folded(address), _folded(original), "" if says_nothing else orcpt, tuple(sorted(notify)))


def _folded(address: str) -> str:
    local, at, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}" if at else address


@pytest.mark.parametrize("at", range(len(SETUPS)))
def test_the_same_is_stored(theirs: list[list[Result]], at: int, tmp_path: Path) -> None:
    house = House(SETUPS[at], tmp_path)

    async def run() -> list[Result]:
        return [await house.through(message) for message in SETUPS[at].messages]

    ours = asyncio.run(run())
    for message, our, their in zip(SETUPS[at].messages, ours, theirs[at], strict=True):
        assert _comparable(our) == _comparable(their), (SETUPS[at].settings, message)


def test_the_messages_are_worth_it(theirs: list[list[Result]]) -> None:
    stored = [each for results in theirs for each in results if isinstance(each, Stored)]
    replies = {each for results in theirs for each in results if isinstance(each, str)}
    assert len(stored) >= 350
    assert replies >= {"451 4.6.0 Alias expansion error"}
