"""Templates of delivery status notifications: what is built in, and the reader of ``bounce_template_file``.

A template is some header values and a text in which ``$name`` stands for main.cf parameters. A template that is wrong
is left out with a warning and the built-in one holds, so that a slip in a text never stops a notification; a file that
is no template file at all is an error. Source: bounce(5), postconf(1) -b, -t.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import Enum

import msgspec

from gateway.config.config import Config
from gateway.config.expansion import ExpansionError, expand
from gateway.config.lines import BLANKS, is_comment, read_lines
from gateway.model.errors import ConfigError

Warn = Callable[[str], None]

UNIT_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}
_TIMED = ("delay_warning_time_", "maximal_queue_lifetime_")
_LARGE = 1000  # a number that a reader should not have to divide in his head
_HEADER = re.compile(r"([!-9;-~]+)[ \t]*:[ \t]*(.*)", re.DOTALL)
_PLAIN = re.compile(r"\$(?:([A-Za-z0-9_]+)|\{\s*([A-Za-z0-9_]+)\s*\}|\(([A-Za-z0-9_]+)\))", re.ASCII)
_MARKER = re.compile(r"[A-Za-z0-9_]")


class TemplateKind(Enum):
    """What a notification is about; the first part of the template's name."""

    FAILURE = "failure"
    DELAY = "delay"
    SUCCESS = "success"
    VERIFY = "verify"


class Template(msgspec.Struct, frozen=True):
    """One template.

    Args:
        kind: which notification.
        subject: of the notification to the sender.
        lines: the text, ``$names`` not expanded.
        charset: of the text.
        sender: the From: header's value.
        postmaster_subject: of the copy for the postmaster; empty where there is none.
    """

    kind: TemplateKind
    subject: str
    lines: tuple[str, ...]
    charset: str = "us-ascii"
    sender: str = "Mail Delivery System <MAILER-DAEMON>"
    postmaster_subject: str = ""

    def shown(self) -> list[str]:
        """The template as it stands in a file."""
        head = [f"Charset: {self.charset}", f"From: {self.sender}", f"Subject: {self.subject}"]
        if self.postmaster_subject:
            head.append(f"Postmaster-Subject: {self.postmaster_subject}")
        return [f"{self.kind.value}_template = <<EOF", *head, "", *self.lines, "EOF"]


_FAILURE = """\
Mail server $myhostname writes to you because a message of yours could not
be delivered. The addresses below did not get it, each with the reason. No more
attempts will be made.

The message, or its header, follows at the end of this report. If you need help
with it, please write to the postmaster and include the whole report."""
_DELAY = """\
Mail server $myhostname writes to you because a message of yours is late.

THERE IS NOTHING YOU HAVE TO DO. DO NOT SEND THE MESSAGE AGAIN.

It has not been delivered for more than $delay_warning_time_hours hour(s). Delivery will be tried
until the message is $maximal_queue_lifetime_days day(s) old. The addresses below are still waiting,
each with the reason of the last attempt."""
_SUCCESS = """\
Mail server $myhostname writes to you because you asked to hear about the
delivery of a message. The addresses below have got it. If the next mail system
does not report on delivery, you will hear no more about the message."""
_VERIFY = """\
Mail server $myhostname writes to you because you asked what would become of
mail to the addresses below. Nothing was sent to them."""

BUILT_IN: dict[TemplateKind, Template] = {
    template.kind: template
    for template in (
        Template(
            TemplateKind.FAILURE,
            "Undelivered Mail Returned to Sender",
            tuple(_FAILURE.split("\n")),
            postmaster_subject="Postmaster Copy: Undelivered Mail",
        ),
        Template(
            TemplateKind.DELAY,
            "Delayed Mail (still being retried)",
            tuple(_DELAY.split("\n")),
            postmaster_subject="Postmaster Warning: Delayed Mail",
        ),
        Template(TemplateKind.SUCCESS, "Successful Mail Delivery Report", tuple(_SUCCESS.split("\n"))),
        Template(TemplateKind.VERIFY, "Mail Delivery Status Report", tuple(_VERIFY.split("\n"))),
    )
}


class _Refused(ValueError):
    """A template is wrong and left out."""


def read_templates(path: str, warn: Warn) -> dict[TemplateKind, Template]:
    """All four templates: those of a file over the built-in ones; of two of one kind the last counts.

    Raises:
        ConfigError: the file cannot be read, or is no template file.
    """
    templates = dict(BUILT_IN)
    for name, text, line in _definitions(read_lines(path), path, warn):
        kind = next((kind for kind in TemplateKind if name == f"{kind.value}_template"), None)
        if kind is None:
            warn(f"{path}, line {line}: unknown template name: {name} -- ignoring this template")
            continue
        try:
            templates[kind] = _template(kind, text)
        except _Refused as error:
            warn(f"{path}: {error} -- ignoring this template")
    return templates


def _definitions(lines: list[str], path: str, warn: Warn) -> Iterable[tuple[str, list[str], int]]:
    """Name, physical lines and first line number of each ``name = <<WORD`` … ``WORD``."""
    at = 0
    while at < len(lines):
        line = lines[at]
        at = first = at + 1
        if is_comment(line):
            continue
        name, equals, value = line.partition("=")
        value = value.strip(BLANKS)
        if not equals:
            raise ConfigError('expected "name = <<WORD"', file=path, line=at)
        if not value.startswith("<<"):
            yield name.strip(BLANKS), [value], first
            continue
        marker = value[2:].strip(BLANKS)
        if not _MARKER.match(marker):
            raise ConfigError(f'expected a word behind "<<", not "{marker}"', file=path, line=at)
        end = next((number for number in range(at, len(lines)) if lines[number].rstrip("\r") == marker), -1)
        if end < 0:
            end = len(lines) - (1 if lines[-1] == "" else 0)
            warn(f'{path}, line {end}: missing "{marker}" end marker')
        yield name.strip(BLANKS), lines[at:end], first
        at = end + 1


def _template(kind: TemplateKind, lines: list[str]) -> Template:
    """Headers over the built-in ones, and the text.

    Raises:
        _Refused: a header or the text is wrong.
    """
    headers: dict[str, str] = {}
    body = [line.rstrip("\r") for line in lines]
    while body and (match := _HEADER.fullmatch(body[0])):
        field = _FIELDS.get(match[1].lower())
        if field is None:
            raise _Refused(f'unknown "{match[1]}" header label in {kind.value} template')
        if field == "postmaster_subject" and not BUILT_IN[kind].postmaster_subject:
            raise _Refused(f'inapplicable "{match[1]}" header label in {kind.value} template')
        if not match[2].strip(BLANKS):
            raise _Refused(f'empty "{match[1]}" header value in {kind.value} template')
        if not match[2].isascii():
            raise _Refused(f'non-ASCII "{match[1]}" header value in {kind.value} template')
        headers[field] = match[2]
        del body[0]
    if body and not body[0].strip(BLANKS):
        del body[0]
    if not any(body):
        raise _Refused(f"missing message text in {kind.value} template")
    changed = msgspec.structs.replace(BUILT_IN[kind], lines=tuple(body), **headers)
    if changed.charset.lower() == "us-ascii" and not all(line.isascii() for line in body):
        raise _Refused(f"8-bit message text in {kind.value} template: specify a charset other than us-ascii")
    return changed


_FIELDS = {"charset": "charset", "from": "sender", "subject": "subject", "postmaster-subject": "postmaster_subject"}


class _Expansion:
    """Fills in the ``$names`` of one template's text."""

    def __init__(self, kind: TemplateKind, config: Config, warn: Warn, file: str) -> None:
        self._kind, self._config, self._warn, self._file = kind.value, config, warn, file

    def line(self, text: str) -> str:
        """One line of the text."""
        for match in _PLAIN.finditer(text.replace("$$", "")):
            name = match[1] or match[2] or match[3]
            if not name.startswith(_TIMED) and self._value(name) is None:
                raise self._fail(f"undefined name ${name}")
        try:
            return expand(text, self._value)
        except ExpansionError as error:
            raise self._fail(str(error)) from error

    def _fail(self, message: str) -> ConfigError:
        return ConfigError(f"{message} in {self._kind} template", file=self._file)

    def _value(self, name: str) -> str | None:
        prefix = next((prefix for prefix in _TIMED if name.startswith(prefix)), "")
        if prefix:
            return self._timed(name, prefix)
        if name in ("myhostname", "mydomain"):
            return _readable(self._config.text(name), self._config)
        return self._config.expanded(name)

    def _timed(self, name: str, prefix: str) -> str:
        """A time as a number of whole units."""
        unit = name.removeprefix(prefix)
        if unit not in UNIT_SECONDS:
            raise self._fail(f'unrecognized suffix "{unit}" in parameter "{name}"')
        seconds = int(self._config.seconds(prefix[:-1]))
        result = seconds // UNIT_SECONDS[unit]
        if (seconds and not result) or result >= _LARGE:
            what, how = (f'excessive result "{result}"', "larger") if result else ("zero result", "smaller")
            where = f"{self._file}: " if self._file else ""
            self._warn(f'{where}{what} of "{name}" in {self._kind} template: a {how} unit than {unit} would help')
        return str(result)


def expanded_lines(template: Template, config: Config, warn: Warn, *, file: str = "") -> list[str]:
    """The text with ``$names`` filled in.

    ``$delay_warning_time_hours`` and the like are numbers in that unit, cut to whole ones; with SMTPUTF8
    ``$myhostname`` and ``$mydomain`` are shown in their U-label form.

    Args:
        file: where the template came from, for messages.

    Raises:
        ConfigError: bad syntax, or a name that nobody defined.
    """
    expansion = _Expansion(template.kind, config, warn, file)
    return [expansion.line(line) for line in template.lines]


def _readable(host: str, config: Config) -> str:
    """A host name in U-labels where the configuration allows UTF-8."""
    if not config.boolean("smtputf8_enable") or "xn--" not in host.lower():
        return host
    try:
        return host.encode("ascii").decode("idna")
    except UnicodeError:
        return host
