from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Config
from gateway.model.errors import ConfigError
from gateway.transport.bounce_text import Notice, notice_texts

HERE = {"myhostname": "mx.here.example", "myorigin": "here.example"}


@pytest.mark.parametrize("notice", list(Notice))
def test_every_notice_has_its_words(notice: Notice) -> None:
    words = notice_texts(Config.from_settings(HERE | {"delay_warning_time": "4h"}), print)[notice]
    assert "mx.here.example" in words.text
    assert words.text.endswith("\r\n\r\n")
    assert "\n" not in words.text.replace("\r\n", "")
    assert "$" not in words.text
    assert words.subject and words.postmaster_subject
    assert words.sender == "Mail Delivery System <MAILER-DAEMON@here.example>"


def test_times_are_whole_units() -> None:
    config = Config.from_settings(HERE | {"delay_warning_time": "4h", "maximal_queue_lifetime": "3d"})
    text = notice_texts(config, print)[Notice.DELAY].text
    assert "4 hour(s)" in text and "3 day(s)" in text


def test_the_obsolete_form_of_the_author() -> None:
    config = Config.from_settings(HERE | {"header_from_format": "obsolete"})
    assert notice_texts(config, print)[Notice.FAILURE].sender == "MAILER-DAEMON@here.example (Mail Delivery System)"


def test_a_template_file_says_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "bounce.cf").write_text(
        "failure_template = <<EOF\nCharset: utf-8\nFrom: Die Post <post>\nSubject: Zur\u0075ck\n\n"
        "Leider unzustellbar, grüßt $myhostname.\nEOF\n"
    )
    warnings: list[str] = []
    config = Config.from_settings(HERE | {"bounce_template_file": str(tmp_path / "bounce.cf")})
    words = notice_texts(config, warnings.append)
    failure = words[Notice.FAILURE]
    assert (failure.sender, failure.subject, failure.charset) == ("Die Post <post@here.example>", "Zuruck", "utf-8")
    assert failure.text == "Leider unzustellbar, grüßt mx.here.example.\r\n\r\n"
    assert words[Notice.DELAY].subject == "Delayed Mail (still being retried)"
    assert warnings == []


def test_a_wrong_template_is_left_out_and_a_wrong_file_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "bounce.cf"
    config = Config.from_settings(HERE | {"bounce_template_file": str(file)})
    with pytest.raises(ConfigError, match=r"bounce\.cf"):
        notice_texts(config, print)
    file.write_text("failure_template = <<EOF\nColour: red\n\nx\nEOF\n")
    warnings: list[str] = []
    assert notice_texts(config, warnings.append)[Notice.FAILURE].subject == "Undelivered Mail Returned to Sender"
    assert 'unknown "Colour" header label' in warnings[0]
    file.write_text("failure_template = <<EOF\n\nbad $nobody_knows_this\nEOF\n")
    with pytest.raises(ConfigError, match="nobody_knows_this"):
        notice_texts(config, print)
