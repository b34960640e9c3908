"""From the last octet to the spool: envelope completion, noted actions, and the body file of what is not stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.cleanup import Cleanup, Collector, Draft
from gateway.config import Config
from gateway.hooks import Address, EditList, Envelope, Message, hookimpl
from gateway.hooks.chain import Runtime
from gateway.hooks.manager import PluginManager
from gateway.model.content import BodyFile, Content
from gateway.model.delivery import Outcome, Status
from gateway.model.edits import AddRecipient, ChangeSender, Edit
from gateway.model.envelope import Recipient
from gateway.model.errors import SpoolError
from gateway.model.verdict import Action, Verdict
from gateway.observe import Counters, MailLog
from gateway.spool.body import BodyWriter


class House:
    """Cleanup with a spool that is a list."""

    def __init__(self, directory: Path, settings: dict[str, str] | None = None, plugin: object = None) -> None:
        self.directory, self.stored, self.reported, self.log = directory, [], [], MailLog.memory()
        self.config = Config.from_settings(
            {
                "queue_directory": str(directory), "myhostname": "mx.here.example", "content_memory_limit": "1000",
                **(settings or {}),
            }
        )  # fmt: skip
        plugins = PluginManager((), objects={"p": plugin} if plugin else {})
        self.cleanup = Cleanup(
            self.config,
            queue_chain=plugins.chain("queue", self.config, Runtime(self.log.logger("cleanup"), Counters())),
            submitter=self,
            log=self.log,
            open_sink=self.open_sink,
            reporter=self,
        )

    stored: list[tuple[Envelope, Content]]
    reported: list[tuple[str, Outcome]]
    report_failure: SpoolError | None = None

    def open_sink(self, queue_id: str) -> BodyWriter:
        return BodyWriter(str(self.directory), queue_id)

    async def submit(self, envelope: Envelope, content: Content) -> None:
        self.stored.append((envelope, content))

    async def delivered(
        self, envelope: Envelope, content: Content, results: Sequence[tuple[Recipient, Status]]
    ) -> None:
        assert self.stored, "nothing is reported before it is true"
        self.reported += [(str(recipient.address), status.outcome) for recipient, status in results]
        if self.report_failure:
            raise self.report_failure

    def queue(
        self,
        *actions: Verdict,
        recipients: tuple[str, ...] = ("r@d.example",),
        notify: tuple[str, ...] = (),
        size: int = 10,
        sender: str = "a@s.example",
        head: bytes = b"Subject: x\r\n",
        is_local: bool = False,
        edits: Sequence[Edit] = (),
    ) -> object:
        async def run() -> Verdict | None:
            collector = Collector(1000, lambda: self.open_sink("4jXWyY1RKyzM0rn7"))
            collector.feed(head + b"\r\n" + b"x" * size + b"\r\n")
            to = [Recipient(Address.of(text), notify=notify) for text in recipients]
            envelope = Envelope("4jXWyY1RKyzM0rn7", Address.of(sender), to, arrival=1.0)
            draft = Draft(envelope, await collector.finish())
            draft.apply(edits)
            return await self.cleanup.queue(draft, actions=actions, is_local=is_local)

        return asyncio.run(run())

    @property
    def body_files(self) -> list[Path]:
        return [path for path in (self.directory / "bodies").rglob("*") if path.is_file()]


def test_redirect_finds_its_address_when_no_recipient_is_left(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.queue(Verdict.redirect("catch@here.example"), recipients=())
    ((envelope, _),) = house.stored
    assert [str(r.address) for r in envelope.recipients] == ["catch@here.example"]


@pytest.mark.parametrize(
    ("actions", "recipients"), [((Verdict.discard(),), ("r@d.example",)), ((), ())], ids=["discard", "no recipients"]
)
def test_what_is_discarded_leaves_no_body_behind(
    tmp_path: Path, actions: tuple[Verdict, ...], recipients: tuple[str, ...]
) -> None:
    house = House(tmp_path)
    assert house.queue(*actions, recipients=recipients, size=5000) is None
    assert (house.stored, house.body_files) == ([], [])


def test_a_large_body_in_place_of_a_large_body(tmp_path: Path) -> None:
    class Rewriter:
        @hookimpl
        def queue(self, envelope: Envelope, message: Message, edits: EditList) -> None:
            edits.replace_body(b"y" * 2000)

    house = House(tmp_path, plugin=Rewriter())
    assert house.queue(size=5000) is None
    ((_, content),) = house.stored
    assert isinstance(content.body, BodyFile)
    assert (tmp_path / content.body.path).read_bytes() == b"y" * 2000


def test_a_small_body_in_place_of_a_large_one_leaves_no_file(tmp_path: Path) -> None:
    class Rewriter:
        @hookimpl
        def queue(self, envelope: Envelope, message: Message, edits: EditList) -> None:
            edits.replace_body(b"gone\r\n")

    house = House(tmp_path, plugin=Rewriter())
    assert house.queue(size=5000) is None
    assert [content.body for _, content in house.stored] == [b"gone\r\n"]
    assert house.body_files == []


def test_a_domain_without_a_dot_is_completed_as_it_was_judged(tmp_path: Path) -> None:
    """append_dot_mydomain: who may mail ``host.here.example`` must not reach the top-level domain ``host`` with it."""
    house = House(tmp_path, {"append_dot_mydomain": "yes", "mydomain": "here.example"})
    house.queue(recipients=("u@ai", "u@[192.0.2.1]", "u@d.example"))
    ((envelope, _),) = house.stored
    assert [str(r.address) for r in envelope.recipients] == ["u@ai.here.example", "u@[192.0.2.1]", "u@d.example"]
    assert envelope.recipients[0].original == "u@ai"


def test_envelope_addresses_are_stored_in_canonical_form(tmp_path: Path) -> None:
    house = House(tmp_path, {"myorigin": "here.example", "mydestination": "here.example"})
    house.queue(
        Verdict.bcc("log"), sender="x.example!s", recipients=("u%x.example", "x.example!u", "root", "u@d.example", "u%")
    )
    ((envelope, _),) = house.stored
    assert str(envelope.sender) == "s@x.example"
    assert [(str(each.address), each.original) for each in envelope.recipients] == [
        ("u@x.example", "u%x.example"),
        ("u@x.example", "x.example!u"),
        ("root@here.example", "root"),
        ("u@d.example", ""),
        ("u@", "u%"),
        ("log@here.example", "log"),
    ]


def test_recipients_of_plugins_are_brought_into_canonical_form_too(tmp_path: Path) -> None:
    class Copier:
        @hookimpl
        def queue(self, envelope: Envelope, message: Message, edits: EditList) -> None:
            edits.add_recipient(Address("archive"))

    house = House(tmp_path, {"myorigin": "here.example"}, plugin=Copier())
    house.queue()
    ((envelope, _),) = house.stored
    assert [str(each.address) for each in envelope.recipients] == ["r@d.example", "archive@here.example"]


_HEAD = b"From: me\r\nto : You  <you>,\r\n them@d.example\r\nCc:  a@d.example ,b@d.example\r\nX: me\r\n"


def test_headers_of_local_clients_get_their_addresses_completed(tmp_path: Path) -> None:
    house = House(tmp_path, {"myorigin": "here.example"})
    house.queue(head=_HEAD, is_local=True)
    ((_, content),) = house.stored
    assert content.head.split(b"\r\nFrom:")[1].startswith(
        b" me@here.example\r\nto: You <you@here.example>, them@d.example\r\nCc:  a@d.example ,b@d.example\r\nX: me\r\n"
    )


def test_headers_of_strangers_are_left_alone(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.queue(head=_HEAD)
    ((_, content),) = house.stored
    assert content.head.endswith(_HEAD)


def test_headers_of_strangers_may_be_completed_with_a_domain_that_is_nobodys(tmp_path: Path) -> None:
    house = House(tmp_path, {"remote_header_rewrite_domain": "domain.invalid"})
    house.queue(head=_HEAD)
    ((_, content),) = house.stored
    assert b"\r\nFrom: me@domain.invalid\r\nto: You <you@domain.invalid>, them@d.example\r\n" in content.head


_ALIASES = "inline:{ { alias@d.example = one@d.example, two@d.example }, { archive@here.example = store@d.example } }"


def test_received_names_whom_the_client_named_not_whom_the_alias_stands_for(tmp_path: Path) -> None:
    house = House(tmp_path, {"virtual_alias_maps": _ALIASES, "always_bcc": "log@d.example"})
    house.queue(Verdict.bcc("archive@here.example"), recipients=("alias@d.example",))
    ((envelope, content),) = house.stored
    assert [str(each.address) for each in envelope.recipients] == [
        "one@d.example", "two@d.example", "store@d.example", "log@d.example",
    ]  # fmt: skip
    assert b"\tfor <alias@d.example>; " in content.head


def test_a_redirected_message_goes_to_that_address_alone(tmp_path: Path) -> None:
    settings = {
        "virtual_alias_maps": _ALIASES,
        "always_bcc": "log@d.example",
        "canonical_maps": "inline:{ { a@s.example=b@s.example } }",
    }
    house = House(tmp_path, settings)
    house.queue(Verdict.redirect("alias@d.example"))
    ((envelope, _),) = house.stored
    assert [(str(each.address), each.original) for each in envelope.recipients] == [("alias@d.example", "r@d.example")]
    assert str(envelope.sender) == "b@s.example"


def test_what_the_queue_stage_sees_is_mapped_and_what_it_adds_will_be(tmp_path: Path) -> None:
    seen: list[str] = []

    class Copier:
        @hookimpl
        def queue(self, envelope: Envelope, message: Message, edits: EditList) -> None:
            seen.extend(str(each.address) for each in envelope.recipients)
            edits.change_sender(Address("old", "s.example"))
            edits.add_recipient(Address("alias", "d.example"))
            edits.delete_recipient(Address("one", "d.example"))

    settings = {
        "virtual_alias_maps": _ALIASES, "always_bcc": "log@d.example",
        "sender_canonical_maps": "inline:{ { old@s.example = new@s.example } }",
    }  # fmt: skip
    house = House(tmp_path, settings, plugin=Copier())
    house.queue(recipients=("alias@d.example",))
    ((envelope, _),) = house.stored
    assert seen == ["one@d.example", "two@d.example", "log@d.example"]
    assert str(envelope.sender) == "new@s.example"
    assert [(str(each.address), each.notify) for each in envelope.recipients] == [
        ("two@d.example", ()), ("log@d.example", ("NEVER",)),
        ("one@d.example", ("NEVER",)), ("two@d.example", ("NEVER",)),
    ]  # fmt: skip


def test_what_plugins_add_is_mapped_but_not_copied(tmp_path: Path) -> None:
    settings = {
        "virtual_alias_maps": _ALIASES, "sender_bcc_maps": "inline:{ { new@s.example = boss@d.example } }",
        "recipient_bcc_maps": "inline:{ { alias@d.example = copy@d.example }, { r@d.example = copy@d.example } }",
    }  # fmt: skip
    edits = [ChangeSender(Address("new", "s.example")), AddRecipient(Address("alias", "d.example"))]
    expected = ["r@d.example", "copy@d.example", "one@d.example", "two@d.example", "boss@d.example"]

    class Copier:
        @hookimpl
        def queue(self, envelope: Envelope, message: Message, edits: EditList) -> None:
            edits.change_sender(Address("new", "s.example"))
            edits.add_recipient(Address("alias", "d.example"))

    for plugin, at_data in ((Copier(), []), (None, edits)):
        house = House(tmp_path, settings, plugin=plugin)
        house.queue(edits=at_data)
        ((envelope, _),) = house.stored
        assert sorted(str(each.address) for each in envelope.recipients) == sorted(expected)


def test_who_writes_as_the_mail_system_gets_no_answer(tmp_path: Path) -> None:
    house = House(tmp_path, {"myorigin": "here.example"})
    for sender in ("MAILER-DAEMON", "Mailer-Daemon@Here.example", "mailer-daemon@s.example"):
        house.queue(sender=sender)
    assert [str(envelope.sender) for envelope, _ in house.stored] == ["", "", "mailer-daemon@s.example"]


def test_a_recipient_named_twice_gets_one(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.queue(recipients=("r@d.example", "R@d.example", "q@d.example", "r@d.example"))
    ((envelope, _),) = house.stored
    assert [str(each.address) for each in envelope.recipients] == ["r@d.example", "q@d.example"]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"virtual_alias_maps": "fail:x"}, "451 4.3.0"),
        ({"canonical_maps": "fail:x", "canonical_classes": "header_sender"}, "451 4.3.0"),
        ({"virtual_alias_maps": "regexp:{ {/(.*)@d.example/ x$$1@d.example} }"}, "451 4.6.0"),
    ],
)  # fmt: skip
def test_a_mapping_that_fails_stores_nothing_and_says_so(tmp_path: Path, settings: dict[str, str], code: str) -> None:
    house = House(tmp_path, settings)
    verdict = house.queue(head=b"From: a@s.example\r\n", is_local=True)
    assert isinstance(verdict, Verdict)
    assert (verdict.action, f"{verdict.code} {verdict.enhanced}") == (Action.DEFER, code)
    assert house.stored == []
    assert any(" -- message not accepted, try again later" in line for line in house.log.lines)


def test_a_mapping_that_fails_for_what_the_queue_stage_added_stores_nothing_either(tmp_path: Path) -> None:
    class Copier:
        @hookimpl
        def queue(self, envelope: Envelope, message: Message, edits: EditList) -> None:
            edits.add_recipient(Address("loop", "d.example"))

    settings = {
        "virtual_alias_maps": "inline:{ { loop@d.example = pool@d.example }, { pool@d.example = loop@d.example } }"
    }
    house = House(tmp_path, settings, plugin=Copier())
    verdict = house.queue()
    assert isinstance(verdict, Verdict)
    assert (verdict.enhanced, house.stored) == ("4.6.0", [])


def test_headers_are_mapped_where_they_are_rewritten(tmp_path: Path) -> None:
    head = b"From: me\r\nTo: Me <me>,\r\n them@d.example\r\nX: me\r\nCc:  them@d.example ,b@d.example\r\n"
    settings = {"myorigin": "here.example", "canonical_maps": "inline:{ { me@here.example = First.Last } }"}
    for is_local in (True, False):
        house = House(tmp_path, settings)
        house.queue(head=head, is_local=is_local)
        ((_, content),) = house.stored
        expected = head if not is_local else (
            b"From: First.Last@here.example\r\nTo: Me <First.Last@here.example>, them@d.example\r\nX: me\r\n"
            b"Cc:  them@d.example ,b@d.example\r\n"
        )  # fmt: skip
        assert expected in content.head


@pytest.mark.parametrize("failure", [None, SpoolError("disk on fire")])
def test_an_expansion_is_reported_once_the_mail_is_safe(tmp_path: Path, failure: SpoolError | None) -> None:
    house = House(tmp_path, {"virtual_alias_maps": _ALIASES})
    house.report_failure = failure
    assert house.queue(recipients=("alias@d.example", "r@d.example"), notify=("SUCCESS",)) is None
    assert house.reported == [("alias@d.example", Outcome.EXPANDED)]
    assert any("notification lost" in line for line in house.log.lines) is (failure is not None)
