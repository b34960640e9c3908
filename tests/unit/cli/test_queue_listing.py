"""The listing's form: lines taken from Postfix 3.7 with long queue IDs."""

import json

import pytest

from gateway.cli.queue_listing import EMPTY, Entry, EntryRecipient, json_line, table
from gateway.model.address import Address
from gateway.model.envelope import Envelope, Recipient, RecipientState

REASON = "connect to 127.0.0.1[127.0.0.1]:1: Connection refused"


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def entry(name: str = "deferred", **changes: object) -> Entry:
    values: dict[str, object] = {
        "queue_name": name,
        "queue_id": "4jXVgN55GLzJ9cj",
        "arrival_time": 1795355088.25,
        "message_size": 266,
        "sender": "a@example.com",
        "recipients": [EntryRecipient("b@example.org", REASON), EntryRecipient("c@example.org", REASON)],
    }
    return Entry(**(values | changes))  # type: ignore[arg-type]


def test_the_table_is_postfix_s() -> None:
    second = entry("hold", queue_id="4jXVgN584jzJ9cg", message_size=259, sender="MAILER-DAEMON")
    assert "\n".join(table([entry(), second])) == (
        "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"
        "4jXVgN55GLzJ9cj        266 Sun Nov 22 13:44:48 a@example.com\n"
        "                       (connect to 127.0.0.1[127.0.0.1]:1: Connection refused)\n"
        "                                               b@example.org\n"
        "                                               c@example.org\n"
        "\n"
        "4jXVgN584jzJ9cg!       259 Sun Nov 22 13:44:48 MAILER-DAEMON\n"
        "                       (connect to 127.0.0.1[127.0.0.1]:1: Connection refused)\n"
        "                                               b@example.org\n"
        "                                               c@example.org\n"
        "\n"
        "-- 0 Kbytes in 2 Requests."
    )


def test_marks_counts_and_the_empty_queue() -> None:
    lines = list(table([entry("active", message_size=5000)]))
    assert lines[1].startswith("4jXVgN55GLzJ9cj*      5000 ")
    assert lines[-1] == "-- 4 Kbytes in 1 Request."
    assert list(table([])) == [EMPTY]


def test_each_new_reason_is_shown_above_its_recipients() -> None:
    recipients = [EntryRecipient("a@x", "one"), EntryRecipient("b@x"), EntryRecipient("c@x", "x" * 90)]
    lines = list(table([entry(recipients=recipients)]))
    assert lines[2] == " " * 73 + "(one)"
    assert lines[4].strip() == "b@x"
    assert lines[5] == "(" + "x" * 90 + ")"


def test_what_strangers_wrote_cannot_drive_a_terminal() -> None:
    text = "\n".join(table([entry(sender="\x1b[2Ja@b", recipients=[EntryRecipient("c@d", "\x07")])]))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_json_has_postfix_s_keys_in_postfix_s_order() -> None:
    line = json_line(entry(recipients=[EntryRecipient("b@ü.example", REASON), EntryRecipient("c@example.org")]))
    assert line == (
        '{"queue_name": "deferred", "queue_id": "4jXVgN55GLzJ9cj", "arrival_time": 1795355088, "message_size": 266, '
        '"forced_expire": false, "sender": "a@example.com", "recipients": [{"address": "b@ü.example", '
        f'"delay_reason": "{REASON}"}}, {{"address": "c@example.org"}}]}}'
    )
    assert json.loads(line)["arrival_time"] == 1795355088


def test_an_envelope_shows_who_is_still_waiting() -> None:
    envelope = Envelope(
        "4x",
        Address.NULL,
        [Recipient(Address("a b", "x"), reason="why"), Recipient(Address("c", "x"), state=RecipientState.DONE)],
        arrival=1.0,
        size_bytes=7,
    )
    found = Entry.of(envelope, "deferred")
    assert (found.sender, found.message_size) == ("MAILER-DAEMON", 7)
    assert found.recipients == [EntryRecipient('"a b"@x', "why")]
