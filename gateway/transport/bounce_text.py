"""What notifications say to people: subjects, author and the first part of the report.

The form ``<address>: reason`` after the text is what people and programs know from Postfix. Source: bounce(5);
postconf(5) bounce_template_file, header_from_format.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum

import msgspec

from gateway.config import Config
from gateway.config.bounce_template import BUILT_IN, TemplateKind, expanded_lines, read_templates
from gateway.maps.rewriting import Rewriting
from gateway.rfc.address.header import Mailbox, lines, parse
from gateway.rfc.address.tokens import scan


class Notice(Enum):
    """The kinds of notification, by the words of their log line and of ``notify_classes``."""

    FAILURE = "non-delivery notification"
    DELAY = "delay notification"
    SUCCESS = "delivery status notification"


_KINDS = {
    Notice.FAILURE: TemplateKind.FAILURE,
    Notice.DELAY: TemplateKind.DELAY,
    Notice.SUCCESS: TemplateKind.SUCCESS,
}


class NoticeText(msgspec.Struct, frozen=True):
    """The words of one kind of notification.

    Args:
        subject, postmaster_subject: of the notification, and of the postmaster's copy.
        sender: value of From.
        charset: of ``text``.
        text: for the sender; CRLF line ends, with an empty line at the end.
    """

    subject: str
    postmaster_subject: str
    sender: str
    charset: str
    text: str


def notice_texts(config: Config, warn: Callable[[str], None]) -> dict[Notice, NoticeText]:
    """The texts of a configuration: those of ``bounce_template_file``, and the built-in ones for what it leaves out.

    Args:
        warn: told of a template that is wrong, and not used.

    Raises:
        ConfigError: the file cannot be read or is no template file, or a text names what nobody defined.
    """
    name = config.text("bounce_template_file")
    path = os.path.join(config.directory, name) if name else ""
    templates = read_templates(path, warn) if path else BUILT_IN
    texts: dict[Notice, NoticeText] = {}
    for notice, kind in _KINDS.items():
        template = templates[kind]
        said = expanded_lines(template, config, warn, file=path)
        is_own = template.sender != BUILT_IN[kind].sender
        texts[notice] = NoticeText(
            template.subject,
            template.postmaster_subject or f"Postmaster Copy: {template.subject}",
            _canonical(template.sender, config) if is_own else _daemon(config),
            template.charset,
            "".join(f"{line}\r\n" for line in said) + "\r\n",
        )
    return texts


def _daemon(config: Config) -> str:
    address = f"MAILER-DAEMON@{config.text('myorigin').lower()}"
    if config.text("header_from_format") == "obsolete":
        return f"{address} (Mail Delivery System)"
    return f"Mail Delivery System <{address}>"


def _canonical(sender: str, config: Config) -> str:
    """A From value with whole addresses: ``Postmaster <root>`` becomes ``Postmaster <root@our.origin>``."""
    rewriting = Rewriting(config)
    nodes = [
        Mailbox(scan(rewriting.external(node.text))) if isinstance(node, Mailbox) else node
        for node in parse(scan(sender))
    ]
    return " ".join(lines(nodes))
