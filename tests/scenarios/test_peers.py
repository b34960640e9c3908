"""The peers themselves: a private Postfix really starts, takes mail, and leaves nothing behind."""

from __future__ import annotations

import smtplib

import psutil
import pytest
from peers.postfix import PostfixInstance


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
