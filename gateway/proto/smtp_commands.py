"""From the argument of a command to its event: syntax, and the refusals that syntax alone decides.

One parser a verb, each ``(argument, situation) -> event``; :class:`RefusedCommand` carries the reply. Order of commands
is the table's (:mod:`gateway.proto.smtp_rules`), policy the shell's. Source: RFC 5321 §4.1.1, RFC 1870, RFC 6152,
RFC 3461, RFC 6531, RFC 3030.
"""

from __future__ import annotations

import re
from typing import Protocol

from gateway.model.address import Address
from gateway.model.reply import Reply
from gateway.proto import smtp_events as events
from gateway.proto import smtp_replies as replies
from gateway.proto.smtp_events import Bdat
from gateway.proto.smtp_settings import BareNewline, SmtpdSettings
from gateway.proto.xclient import BadAttribute, parse_attributes
from gateway.rfc import rfc3461, rfc5321

_PLAIN_PATH = re.compile(rb"(<[^<>\s\"\\]*>)(?:[ \t]+(.*))?", re.DOTALL)
_HEADER_LABEL = re.compile(rb"[!-9;-~]+:")
_MAX_DIGITS = 18  # keeps int() cheap and within 63 bits, as off_t would


class RefusedCommand(Exception):
    """The command cannot be: the session sends ``reply`` and stays where it is."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(reply.line)


class Situation(Protocol):
    """What a parser may know about the session."""

    settings: SmtpdSettings
    is_smtputf8: bool
    recipient_count: int

    @property
    def has_helo(self) -> bool:
        """HELO or EHLO was accepted."""


def text_of(raw: bytes) -> str:
    """Octets of a command as text; what is not UTF-8 survives as surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def check_line(line: bytes, is_bare: bool, settings: SmtpdSettings) -> None:
    """Refuse octets that no command may have, before anything is parsed.

    CR and NUL are refused everywhere, so that no address, log line or record can carry them.

    Args: is_bare: the line ended in LF alone.
    Raises: RefusedCommand.
    """
    if is_bare and settings.forbid_bare_newline is BareNewline.REJECT:
        # What else such a client sends is guesswork: Postfix hangs up here too.
        code = settings.forbid_bare_newline_reject_code
        raise RefusedCommand(replies.bare_newline(code, settings.hostname, "LF", close=True))
    if b"\r" in line or b"\0" in line:
        raise RefusedCommand(replies.BAD_SYNTAX)
    if settings.smtputf8_enable:
        try:
            line.decode()
        except UnicodeDecodeError:
            raise RefusedCommand(replies.BAD_UTF8) from None


def parse_helo(argument: bytes, situation: Situation) -> events.Hello:
    """HELO: Postfix takes everything after the verb as the name."""
    if not argument:
        raise RefusedCommand(replies.syntax("HELO hostname", ""))
    return events.Hello(text_of(argument), False)


def parse_ehlo(argument: bytes, situation: Situation) -> events.Hello:
    """EHLO, or LHLO in an LMTP session."""
    if not argument:
        raise RefusedCommand(replies.syntax("LHLO hostname" if situation.settings.is_lmtp else "EHLO hostname", ""))
    return events.Hello(text_of(argument), True)


def parse_data(argument: bytes, situation: Situation) -> events.DataBegin:
    """DATA."""
    if argument:
        raise RefusedCommand(replies.syntax("DATA"))
    return events.DataBegin()


def parse_rset(argument: bytes, situation: Situation) -> events.Reset:
    """RSET."""
    if argument:
        raise RefusedCommand(replies.syntax("RSET"))
    return events.Reset()


def parse_noop(argument: bytes, situation: Situation) -> events.Noop:
    """NOOP, with whatever behind it (RFC 5321 §4.1.1.9)."""
    return events.Noop()


def parse_quit(argument: bytes, situation: Situation) -> events.Quit:
    """QUIT; an argument does not keep anybody."""
    return events.Quit()


def parse_auth(argument: bytes, situation: Situation) -> events.Unknown:
    """AUTH, which is not offered."""
    raise RefusedCommand(replies.NO_AUTH)


def parse_unserved(argument: bytes, situation: Situation) -> events.Unknown:
    """STARTTLS and ETRN, known and not offered."""
    raise RefusedCommand(replies.NOT_IMPLEMENTED)


def parse_unknown(line: bytes, situation: Situation) -> events.Unknown:
    """A line with no verb of the table. Mail headers, HTTP and the like hang up (smtpd_forbidden_commands)."""
    settings = situation.settings
    words = line.split(None, 1)
    if not words:
        raise RefusedCommand(replies.BAD_SYNTAX)
    verb = text_of(words[0]).upper()
    pattern = settings.forbidden_pattern
    if verb in settings.forbidden_commands or (pattern and pattern.match(verb)) or _HEADER_LABEL.match(line):
        raise RefusedCommand(replies.NOT_SMTP)
    return events.Unknown(verb, text_of(line))


def _path(argument: bytes, keyword: bytes, usage: Reply, refusal: Reply) -> tuple[bytes, bytes]:
    """Cut ``FROM:<path> parameters`` into path and parameters."""
    size = len(keyword)
    if argument[:size].upper() != keyword:
        raise RefusedCommand(usage)
    rest = argument[size:]
    match = _PLAIN_PATH.fullmatch(rest)
    if match is not None:
        return match[1], match[2] or b""
    if not rest.strip():
        raise RefusedCommand(usage)
    try:
        return rfc5321.split_path(rest)
    except rfc5321.BadPath:
        raise RefusedCommand(refusal) from None


def _parameters(raw: bytes, known: frozenset[str]) -> dict[str, bytes | None]:
    """``SIZE=5 SMTPUTF8`` to keyword and value, refusing what is unknown or given twice where that is ambiguous."""
    parameters: dict[str, bytes | None] = {}
    for word in raw.split():
        raw_name, equals, value = word.partition(b"=")
        name = text_of(raw_name).upper()
        if name not in known:
            raise RefusedCommand(replies.unsupported(text_of(word)))
        if name in parameters and name in _ONCE:
            raise RefusedCommand(_bad_parameter(name))
        parameters[name] = value if equals else None
    return parameters


_MAIL_PARAMETERS = frozenset({"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"})
_RCPT_PARAMETERS = frozenset({"NOTIFY", "ORCPT"})
_ONCE = frozenset({"RET", "ENVID", "NOTIFY", "ORCPT"})
_DSN = _ONCE
_NO_PARAMETERS: dict[str, str] = {}
_MAIL_USAGE = replies.syntax("MAIL FROM:<address>")
_RCPT_USAGE = replies.syntax("RCPT TO:<address>")


def _bad_parameter(name: str) -> Reply:
    # Postfix puts "Error:" before those of RCPT only.
    error = "Error: " if name in _RCPT_PARAMETERS else ""
    return Reply(501, f"{error}Bad {name} parameter syntax", "5.5.4")


def parse_mail(argument: bytes, situation: Situation) -> events.Mail:
    """MAIL FROM:<reverse-path> [SIZE= BODY= SMTPUTF8 RET= ENVID= AUTH=]."""
    settings = situation.settings
    if settings.helo_required and not situation.has_helo:
        raise RefusedCommand(replies.NEED_HELO)
    path, rest = _path(argument, b"FROM:", _MAIL_USAGE, replies.BAD_SENDER)
    if not rest:
        return events.Mail(_address(path, False, settings, replies.BAD_SENDER), {}, 0, text_of(path))
    raw = _parameters(rest, _MAIL_PARAMETERS)
    is_smtputf8 = _smtputf8(raw, settings)
    address = _address(path, is_smtputf8, settings, replies.BAD_SENDER)
    size = _size(raw["SIZE"], settings) if "SIZE" in raw else 0
    encoding = _encoding(raw["BODY"]) if "BODY" in raw else ""
    ret, envid = _mail_dsn(raw, settings) if not _DSN.isdisjoint(raw) else ("", "")
    return events.Mail(address, _texts(raw), size, text_of(path), encoding, is_smtputf8, ret, envid)


def parse_rcpt(argument: bytes, situation: Situation) -> events.Rcpt:
    """RCPT TO:<forward-path> [NOTIFY= ORCPT=], at most smtpd_recipient_limit times."""
    settings = situation.settings
    path, rest = _path(argument, b"TO:", _RCPT_USAGE, replies.BAD_RECIPIENT)
    address = _address(path, situation.is_smtputf8, settings, replies.BAD_RECIPIENT)
    if not address:
        raise RefusedCommand(replies.BAD_RECIPIENT)
    if situation.recipient_count >= settings.recipient_limit:
        raise RefusedCommand(replies.TOO_MANY_RECIPIENTS)
    if not rest:
        return events.Rcpt(address, {}, text_of(path))
    raw = _parameters(rest, _RCPT_PARAMETERS)
    if "dsn" in settings.discard_ehlo_keywords:
        raise RefusedCommand(replies.NO_DSN)
    try:
        notify = rfc3461.parse_notify(raw["NOTIFY"] or b"") if "NOTIFY" in raw else ()
        orcpt = rfc3461.parse_orcpt(raw["ORCPT"] or b"") if "ORCPT" in raw else ""
    except rfc3461.BadParameter as bad:
        raise RefusedCommand(_bad_parameter(bad.name)) from None
    return events.Rcpt(address, _texts(raw), text_of(path), notify, orcpt)


def _texts(raw: dict[str, bytes | None]) -> dict[str, str]:
    return {name: text_of(value or b"") for name, value in raw.items()}


def _address(path: bytes, is_smtputf8: bool, settings: SmtpdSettings, refusal: Reply) -> Address:
    if settings.strict_smtputf8 and not is_smtputf8 and not path.isascii():
        raise RefusedCommand(refusal)
    try:
        return rfc5321.parse_path(path, is_smtputf8, settings.strict_rfc821_envelopes, settings.allow_min_user)
    except rfc5321.BadPath:
        raise RefusedCommand(refusal) from None


def _smtputf8(raw: dict[str, bytes | None], settings: SmtpdSettings) -> bool:
    if "SMTPUTF8" not in raw:
        return False
    if raw["SMTPUTF8"] is not None:
        raise RefusedCommand(replies.unsupported(f"SMTPUTF8={text_of(raw['SMTPUTF8'])}"))
    if not settings.smtputf8_enable:
        raise RefusedCommand(replies.unsupported("SMTPUTF8"))
    return True


def _size(raw: bytes | None, settings: SmtpdSettings) -> int:
    """SIZE= against message_size_limit before anything is sent (RFC 1870 §6.1)."""
    if not raw or not raw.isdigit():
        raise RefusedCommand(replies.BAD_SIZE)
    size = int(raw) if len(raw) <= _MAX_DIGITS else 10**_MAX_DIGITS
    if 0 < settings.message_size_limit < size or size == 10**_MAX_DIGITS:
        raise RefusedCommand(replies.SIZE_TOO_BIG)
    return size


def _encoding(raw: bytes | None) -> str:
    """BODY= of RFC 6152; BINARYMIME is not served."""
    word = (raw or b"").upper()
    if word == b"8BITMIME":
        return "8BITMIME"
    if word == b"7BIT":
        return "7BIT"
    raise RefusedCommand(replies.unsupported(f"BODY={text_of(raw or b'')}"))


def _mail_dsn(raw: dict[str, bytes | None], settings: SmtpdSettings) -> tuple[str, str]:
    if "dsn" in settings.discard_ehlo_keywords:
        raise RefusedCommand(replies.NO_DSN)
    try:
        ret = rfc3461.parse_ret(raw["RET"] or b"") if "RET" in raw else ""
        envid = rfc3461.parse_envid(raw["ENVID"] or b"") if "ENVID" in raw else ""
    except rfc3461.BadParameter as bad:
        raise RefusedCommand(_bad_parameter(bad.name)) from None
    return ret, envid


def parse_bdat(argument: bytes, situation: Situation) -> Bdat:
    """BDAT count [LAST]. A count that cannot be read cannot be skipped either, hence 521 (RFC 3030 §2)."""
    if "chunking" in situation.settings.discard_ehlo_keywords:
        raise RefusedCommand(replies.NO_CHUNKING)
    words = argument.split()
    is_last = len(words) == 2 and words[1].upper() == b"LAST"
    if not words or len(words) > 1 + is_last or not words[0].isdigit() or len(words[0]) > _MAX_DIGITS:
        raise RefusedCommand(replies.BAD_BDAT)
    return Bdat(int(words[0]), is_last)


def parse_vrfy(argument: bytes, situation: Situation) -> events.Verify:
    """VRFY address [SMTPUTF8] (RFC 6531 §3.7.4.2)."""
    settings = situation.settings
    if settings.disable_vrfy:
        raise RefusedCommand(Reply(502, "VRFY command is disabled", "5.5.1"))
    rest, blank, last = argument.rpartition(b" ")
    is_smtputf8 = bool(blank) and last.upper() == b"SMTPUTF8"
    text = rest.rstrip() if is_smtputf8 else argument
    if not text:
        raise RefusedCommand(replies.syntax("VRFY address [SMTPUTF8]"))
    address = _address(text, is_smtputf8 or not settings.strict_smtputf8, settings, replies.BAD_RECIPIENT)
    if not address:
        raise RefusedCommand(replies.BAD_RECIPIENT)
    return events.Verify(text_of(text), address)


def parse_xclient(argument: bytes, situation: Situation) -> events.Xclient:
    """XCLIENT, from those who may."""
    return events.Xclient(_attributes(argument, "XCLIENT", situation.settings.xclient_allowed))


def parse_xforward(argument: bytes, situation: Situation) -> events.Xforward:
    """XFORWARD, from those who may."""
    return events.Xforward(_attributes(argument, "XFORWARD", situation.settings.xforward_allowed))


def _attributes(argument: bytes, command: str, is_allowed: bool) -> dict[str, str | None]:
    if not is_allowed:
        raise RefusedCommand(replies.NOT_AUTHORIZED)
    try:
        return parse_attributes(argument, command)
    except BadAttribute as bad:
        raise RefusedCommand(Reply(501, str(bad), "5.5.4")) from None
