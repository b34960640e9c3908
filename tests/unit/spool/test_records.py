from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError
from gateway.spool.body import body_path
from gateway.spool.records import (
    DamagedRecord,
    content_of,
    content_record_of,
    decode_envelope,
    encode_envelope,
    envelope_of,
    record_of,
)

Mail = Callable[..., tuple[Envelope, Content]]
NOW = 1_900_000_000.0


def test_an_envelope_comes_back_as_it_went(make_mail: Mail) -> None:
    envelope, _ = make_mail(due=NOW, is_held=True, attempts=3)
    assert envelope_of(record_of(envelope, NOW)) == envelope


@pytest.mark.parametrize("text", ["b\udcfcr\udce9", "nul\0byte", "\0\udc80", "plain ümlaut", "half \ud800 pair"])
def test_text_that_is_not_utf8_is_stored(make_mail: Mail, text: str) -> None:
    envelope, _ = make_mail()
    envelope.recipients[0].reason = text
    expected = text.replace("\ud800", "?")
    assert decode_envelope(encode_envelope(envelope)).recipients[0].reason == expected


def test_a_message_due_at_once_is_filed_under_its_arrival(make_mail: Mail) -> None:
    envelope, _ = make_mail()
    assert record_of(envelope, NOW).due == envelope.arrival
    # A clock that went back since must not delay it.
    assert record_of(envelope, envelope.arrival - 50).due == envelope.arrival - 50


@pytest.mark.parametrize("field", ["due", "arrival"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e300])
def test_impossible_times_are_refused(make_mail: Mail, field: str, value: float) -> None:
    envelope, _ = make_mail(**{field: value})
    if field == "arrival" and value > NOW and value != float("inf"):
        assert record_of(envelope, NOW).due == NOW
    else:
        with pytest.raises(SpoolError):
            record_of(envelope, NOW)


def test_a_name_that_is_no_file_name_is_refused(make_mail: Mail) -> None:
    envelope, _ = make_mail(queue_id="../../etc/passwd")
    with pytest.raises(SpoolError):
        record_of(envelope, NOW)


def test_every_changed_column_is_noticed(make_mail: Mail) -> None:
    record = record_of(make_mail()[0], NOW)
    for changed in (
        {"due": record.due + 1},
        {"is_held": True},
        {"queue_id": "x" + record.queue_id[1:]},
        {"envelope": record.envelope[:-1] + b"?"},
        {"crc": record.crc ^ 1},
        {"envelope": None},
        {"due": "text"},
    ):
        with pytest.raises(DamagedRecord):
            envelope_of(msgspec.structs.replace(record, **changed))


def test_a_new_state_keeps_the_checksum_right(make_mail: Mail) -> None:
    record = record_of(make_mail()[0], NOW).with_state(due=NOW + 5, is_held=True)
    envelope = envelope_of(record)
    assert (envelope.due, envelope.is_held) == (NOW + 5, True)


def test_content_comes_back_and_damage_is_noticed(make_mail: Mail) -> None:
    envelope, content = make_mail()
    record = content_record_of(envelope.queue_id, content)
    assert content_of(envelope.queue_id, record) == content
    for changed in ({"head": b"X"}, {"body": b"X"}, {"is_headless": True}, {"body": None}, {"head": 7}):
        with pytest.raises(DamagedRecord):
            content_of(envelope.queue_id, msgspec.structs.replace(record, **changed))
    with pytest.raises(DamagedRecord):
        content_of("another1", record)


def test_a_body_file_must_be_the_messages_own(make_mail: Mail) -> None:
    queue_id = make_mail()[0].queue_id
    own = Content(b"H: 1\r\n", BodyFile(body_path(queue_id), 100, 7))
    assert content_of(queue_id, content_record_of(queue_id, own)) == own
    for file in (BodyFile("../../etc/passwd", 1), BodyFile(body_path("another1"), 1), BodyFile(own.body.path, -1)):
        with pytest.raises(SpoolError):
            content_record_of(queue_id, Content(b"", file))
