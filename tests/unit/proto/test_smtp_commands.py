"""Arguments of commands: what settings change about them. The dialogues have the plain cases."""

from __future__ import annotations

import re

import msgspec
import pytest

from gateway.proto import smtp_commands as commands
from gateway.proto import smtp_replies as replies
from gateway.proto.smtp_settings import BareNewline, SmtpdSettings


class Somewhere:
    """A situation that a parser may look at."""

    def __init__(self, **settings: object) -> None:
        self.settings = SmtpdSettings(**settings)  # type: ignore[arg-type]
        self.is_smtputf8 = False
        self.recipient_count = 0
        self.has_helo = False


def refusal(parse: commands.RefusedCommand | object, argument: bytes, situation: Somewhere) -> str:
    with pytest.raises(commands.RefusedCommand) as caught:
        parse(argument, situation)  # type: ignore[operator]
    return caught.value.reply.line


def test_smtputf8_can_be_off() -> None:
    off, strict = Somewhere(smtputf8_enable=False), Somewhere(strict_smtputf8=True)
    assert refusal(commands.parse_mail, b"FROM:<a@b> SMTPUTF8", off) == "555 5.5.4 Unsupported option: SMTPUTF8"
    assert refusal(commands.parse_mail, "FROM:<ä@b>".encode(), strict) == "501 5.1.7 Bad sender address syntax"
    assert commands.parse_mail("FROM:<ä@b> SMTPUTF8".encode(), strict).is_smtputf8
    assert refusal(commands.parse_vrfy, "ä@b".encode(), strict) == "501 5.1.3 Bad recipient address syntax"
    assert commands.parse_vrfy("ä@b smtputf8".encode(), strict).argument == "ä@b"


def test_the_size_limit_may_be_absent() -> None:
    endless = Somewhere(message_size_limit=0)
    assert commands.parse_mail(b"FROM:<a@b> SIZE=99999999999", endless).size == 99999999999
    assert refusal(commands.parse_mail, b"FROM:<a@b> SIZE=" + b"9" * 1000, endless).startswith("552 5.3.4")


def test_raw_text_is_kept() -> None:
    mail = commands.parse_mail(b"from: <A@B> auth=<> envid=x+2By", Somewhere())
    assert (mail.raw, mail.params) == ("<A@B>", {"AUTH": "<>", "ENVID": "x+2By"})
    assert commands.parse_rcpt(b"to:A@B", Somewhere()).raw == "A@B"


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"get", b"X-Spam: yes", b"\x16\x03", b"2", b"\xff"])
def test_forbidden_lines(line: bytes) -> None:
    assert refusal(commands.parse_unknown, line, Somewhere()) == replies.NOT_SMTP.line


def test_forbidden_by_settings_only() -> None:
    lenient = Somewhere(forbidden_commands=frozenset({"FOO"}), forbidden_pattern=None)
    assert commands.parse_unknown(b"get x", lenient).line == "get x"
    assert commands.parse_unknown(b"2", lenient).verb == "2"
    assert refusal(commands.parse_unknown, b"foo x", lenient) == replies.NOT_SMTP.line
    assert refusal(commands.parse_unknown, b"BAR", Somewhere(forbidden_pattern=re.compile("bar", re.IGNORECASE)))


@pytest.mark.parametrize(
    "argument", [b"", b"x", b"-1", b"1 LST", b"1 LAST x", b"1 2", b"+1", b"1_0", b"9" * 19, b"\xb2"]
)
def test_bad_chunk_sizes(argument: bytes) -> None:
    assert refusal(commands.parse_bdat, argument, Somewhere()) == replies.BAD_BDAT.line


def test_chunk_sizes() -> None:
    assert commands.parse_bdat(b"12", Somewhere()) == commands.Bdat(12, False)
    assert commands.parse_bdat(b"0 last", Somewhere()) == commands.Bdat(0, True)


def test_lines() -> None:
    settings = SmtpdSettings(hostname="mx.example")
    for line, reply in (
        (b"NOOP \r", "500 5.5.2"),
        (b"NOOP \0", "500 5.5.2"),
        (b"NOOP \xff", "500 5.5.2 Error: bad UTF-8"),
    ):
        with pytest.raises(commands.RefusedCommand) as caught:
            commands.check_line(line, False, settings)
        assert caught.value.reply.line.startswith(reply)
    with pytest.raises(commands.RefusedCommand, match="bare <LF> received"):
        commands.check_line(b"NOOP", True, settings)
    commands.check_line("NOOP ä".encode(), False, settings)
    lenient = msgspec.structs.replace(settings, smtputf8_enable=False, forbid_bare_newline=BareNewline.NOTE)
    commands.check_line(b"NOOP \xff", True, lenient)


def test_lhlo_usage() -> None:
    assert refusal(commands.parse_ehlo, b"", Somewhere(is_lmtp=True)) == "501 Syntax: LHLO hostname"
