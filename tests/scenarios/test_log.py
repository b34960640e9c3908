"""Debian's pflogsumm digests a log of the gateway's and counts right."""

from __future__ import annotations

import re
import smtplib
import subprocess

import pytest
from peers.gateway import GatewayInstance
from peers.ports import free_port, wait_for
from peers.sinks import RecordingSink


def _grand_totals(log: str) -> dict[str, int]:
    """pflogsumm's first table: word to count."""
    done = subprocess.run(
        ["/usr/sbin/pflogsumm"], check=True, capture_output=True, input=log, text=True, timeout=30
    )  # fmt: skip
    assert done.stderr == ""
    head = done.stdout.partition("Per-Day Traffic Summary")[0].partition("Per-Hour Traffic")[0]
    return {
        word: int(number) for number, word in re.findall(r"^\s+(\d+)k?\s+([a-z ]+?)(?:\s+\(.*\))?$", head, re.MULTILINE)
    }


@pytest.mark.peer("pflogsumm")
def test_pflogsumm_counts_right() -> None:
    refuse = {"nobody@b.example": "550 5.1.1 User unknown"}
    with RecordingSink(refuse=refuse) as sink:
        routes = f"down.example smtp:[127.0.0.1]:{free_port()}\n* smtp:[127.0.0.1]:{sink.port}\n"
        settings = {
            "transport_maps": "texthash:{dir}/conf/transport",
            "smtpd_recipient_restrictions": "check_recipient_access inline:{banned@b.example=REJECT}, permit",
        }
        with GatewayInstance(settings, files={"transport": routes}) as gateway:
            with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client:
                for number in range(5):
                    client.sendmail(
                        "sender@a.example", [f"r{number}@b.example", "second@b.example"], b"Subject: x\r\n\r\nx\r\n"
                    )
                client.sendmail("sender@a.example", ["r@down.example"], b"Subject: x\r\n\r\nx\r\n")
                client.sendmail("sender@a.example", ["nobody@b.example"], b"Subject: x\r\n\r\nx\r\n")
                for _ in range(3):
                    client.mail("sender@a.example")
                    assert client.rcpt("banned@b.example")[0] == 554
                    client.rset()
            sink.wait_for(6)  # five messages and one bounce
            gateway.wait_for_log("status=deferred")
            gateway.wait_for_log("status=bounced")
            wait_for(lambda: gateway.log_text().count("status=sent") >= 11, "all deliveries in the log")
            log = gateway.log_text()
    totals = _grand_totals(log)
    assert totals["received"] == 7  # 5 + 1 + 1; a bounce is not received
    assert totals["delivered"] == 11  # two recipients each, and the bounce
    assert totals["deferred"] == 1
    assert totals["bounced"] == 1
    assert totals["rejected"] == 3
