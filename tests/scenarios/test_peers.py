"""The peers themselves: what the other tests lean on must hold."""

from __future__ import annotations

import smtplib

import psutil
import pytest
from peers.load import generate, smtp_source
from peers.postfix import PostfixInstance
from peers.sinks import Behaviour, CountingSink, RecordingSink, SmtpSink


@pytest.mark.peer("postfix")
def test_a_private_postfix_takes_mail_and_leaves_nothing() -> None:
    with PostfixInstance({"default_transport": "discard:"}) as postfix:
        with smtplib.SMTP("127.0.0.1", postfix.port) as client:
            client.sendmail("sender@a.example", ["recipient@b.example"], "Subject: hello\r\n\r\nhello\r\n")
        log = postfix.wait_for_log("removed")
        postfix.wait_until_empty()
        pids = postfix.pids()
        assert "status=sent (b.example)" in log
        assert len(pids) > 3
    assert not postfix.directory.exists()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_the_load_knows_what_was_acknowledged_and_the_sink_what_came() -> None:
    with CountingSink() as sink:
        report = generate(sink.port, messages=60, sessions=3)
        sink.wait_for(report.acknowledged)
        assert len(report.acknowledged) >= 60
        assert sink.total == len(report.acknowledged)
        assert sink.duplicates == 0
        sink.behave(Behaviour.REJECT_MESSAGE)
        refused = generate(sink.port, messages=5, sessions=1, prefix="refused")
        assert len(refused.refused) == 5
        assert refused.acknowledged == set()
        sink.behave(Behaviour.CLOSE_AT_END_OF_DATA)
        lost = generate(sink.port, messages=3, sessions=1, prefix="lost")
        assert len(lost.in_doubt) == 3
        assert sink.unanswered.keys() == lost.in_doubt


def test_the_recording_sink_keeps_octets() -> None:
    with RecordingSink(refuse={"no@b.example": "550 5.1.1 No"}) as sink:
        with smtplib.SMTP("127.0.0.1", sink.port) as client:
            refused = client.sendmail("s@a.example", ["no@b.example", "yes@b.example"], b"A: b\r\n\r\n.x\r\n")
        [message] = sink.wait_for(1)
    assert refused == {"no@b.example": (550, b"5.1.1 No")}
    assert message.content == b"A: b\r\n\r\n.x\r\n"
    assert message.recipients == ("yes@b.example",)


@pytest.mark.peer("smtp-source", "smtp-sink")
def test_smtp_source_reaches_smtp_sink() -> None:
    with SmtpSink() as sink:
        run = smtp_source(sink.port, messages=50, sessions=5)
        sink.wait_for(50)
        assert sink.total == 50
        assert run.per_second > 10
