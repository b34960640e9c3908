from __future__ import annotations

import pytest

from gateway.transport.bounce_text import POSTMASTER_SUBJECTS, SUBJECTS, Notice, span, text_of


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 minute"), (59, "1 minute"), (5400, "90 minutes"), (3600, "1 hour"), (14400, "4 hours"), (86400, "1 day"),
     (432000, "5 days"), (7201.4, "2 hours")],
)  # fmt: skip
def test_spans_in_words(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize("notice", list(Notice))
def test_every_notice_has_its_words(notice: Notice) -> None:
    text = text_of(notice, "mx.here.example", waited_s=14400, lifetime_s=432000)
    assert "mx.here.example" in text
    assert text.endswith("\r\n\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert "{" not in text
    assert all(len(line) < 80 for line in text.split("\r\n"))
    assert SUBJECTS[notice] and POSTMASTER_SUBJECTS[notice]
