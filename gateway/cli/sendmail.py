"""``sendmail``: post a message the way every program on a UNIX system expects. Source: sendmail(1) of Postfix.

The message goes into the maildrop directory when the caller may write there, which works while the mail system is
down; otherwise to pickup's socket. Headers that are missing are cleanup's work.
"""

from __future__ import annotations

import os
import pwd
import re
import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

from gateway.cli.console import EX_DATAERR, EX_TEMPFAIL, EX_UNAVAILABLE, EX_USAGE, Console, Fatal, open_config
from gateway.cli.posting import Drop, open_drop
from gateway.cli.sendmail_options import Mode, Options, parse
from gateway.config import Config
from gateway.server.maildrop import Posted

PIECE = 65536
HEADER_LIMIT = 1 << 20
"""Octets of header block that -t looks at."""
_RECIPIENT_HEADER = re.compile(rb"(?i)(resent-)?(to|cc|bcc)[ \t]*:(.*)", re.DOTALL)
_SIMPLE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-\u0080-\U0010ffff]+(?:@[A-Za-z0-9.\-_\u0080-\U0010ffff]+)?")
_LOOSE_WORDS = re.compile(r'[^<>()"]*\s[^<>()"]*')
_FROM_LINE = re.compile(rb"(?i)>?from ")


def main(arguments: list[str]) -> int:
    """Run ``sendmail`` in the mode that the options choose."""
    options = parse(arguments)
    config = open_config(options.config_directory)
    match options.mode:
        case Mode.LIST:
            from gateway.cli import mailq

            return mailq.main(["-C", options.config_directory] if options.config_directory else [])
        case Mode.ALIASES:
            from gateway.cli import newaliases

            return newaliases.build(config)
        case Mode.FLUSH:
            return _flush(config, options)
        case Mode.SMTP:
            from gateway.cli import smtp_stdio

            return smtp_stdio.relay(config)
        case Mode.POST:
            return post(config, options, sys.stdin.buffer)


def post(config: Config, options: Options, source: BinaryIO) -> int:
    """Post the message on ``source``.

    Raises:
        Fatal: with the sysexits status that says whether to try again.
    """
    uid = os.getuid()
    sender = _sender(options, uid)
    shown = f"{sender.decode('utf-8', 'replace')}({uid})"
    recipients = [address for operand in options.operands for address in addresses(operand)]
    if not recipients and not options.takes_header_recipients:
        raise Fatal(
            f"{shown}: Recipient addresses must be specified on the command line or via the -t option", EX_USAGE
        )
    drop = open_drop(config.text("queue_directory"))
    try:
        lines = message_lines(source, stops_at_dot=not options.ignores_dots)
        if options.takes_header_recipients:
            head, found = extract_recipients(lines)
            recipients += found
            if not recipients:
                raise Fatal(f"{shown}: No recipient addresses found in message header", EX_USAGE)
            for line in head:
                drop.write(line)
        _copy(lines, drop, config.integer("message_size_limit"), shown)
        drop.finish(_posted(options, sender, recipients, drop.size_bytes, uid))
    except OSError as exc:
        drop.abort()
        raise Fatal(f"{shown}: cannot store the message: {exc.strerror or exc}", EX_TEMPFAIL) from exc
    except BaseException:
        drop.abort()
        raise
    return 0


def addresses(text: str) -> Iterator[bytes]:
    """Addresses of a list such as ``a@b, "Some Body" <c@d>``, external form."""
    if _SIMPLE.fullmatch(text):
        yield os.fsencode(text)
        return
    from gateway.rfc.address.header import Mailbox, parse
    from gateway.rfc.address.tokens import scan

    for node in parse(scan(text)):
        if isinstance(node, Mailbox) and node.text:
            yield node.text.encode("utf-8", "surrogateescape")


def message_lines(source: BinaryIO, *, stops_at_dot: bool) -> Iterator[bytes]:
    """Lines of the message, or pieces of very long ones; an mbox ``From `` line before it is left out."""
    is_line_start, is_first = True, True
    while line := source.readline(PIECE):
        if stops_at_dot and is_line_start and line in (b".\n", b".\r\n", b"."):
            return
        if not (is_first and _FROM_LINE.match(line)):
            yield line
            is_first = False
        is_line_start = line.endswith(b"\n")


def extract_recipients(lines: Iterator[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Read the header block and find its recipients.

    Resent- headers take the place of the others where there are any (RFC 5322 §3.6.6).

    Args:
        lines: from :func:`message_lines`; consumed up to the empty line or the first line that is no header.
    Returns:
        The lines read, without Bcc headers, and the addresses.
    Raises:
        Fatal: the header block is larger than any real one.
    """
    fields: list[bytes] = []
    end = b""
    size = 0
    for line in lines:
        size += len(line)
        if size > HEADER_LIMIT:
            raise Fatal("the header block is too large for -t", EX_DATAERR)
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] += line
        elif re.match(rb"[!-9;-~]+[ \t]*:", line):
            fields.append(line)
        else:
            end = line
            break
    matches = [match for field in fields if (match := _RECIPIENT_HEADER.fullmatch(field))]
    is_resent = any(match[1] for match in matches)
    found = [
        address
        for match in matches
        if bool(match[1]) is is_resent
        for address in addresses(_unfold(match[3]).decode("utf-8", "surrogateescape"))
    ]
    kept = [
        field for field in fields if not ((match := _RECIPIENT_HEADER.fullmatch(field)) and match[2].lower() == b"bcc")
    ]
    return [*kept, *([end] if end else [])], found


def _unfold(value: bytes) -> bytes:
    return re.sub(rb"\r?\n", b"", value).strip()


def _copy(lines: Iterator[bytes], drop: Drop, limit: int, shown: str) -> None:
    for line in lines:
        drop.write(line)
        if limit and drop.size_bytes > limit:
            raise Fatal(f"{shown}: Message file too big", EX_UNAVAILABLE)


def _posted(options: Options, sender: bytes, recipients: list[bytes], size: int, uid: int) -> Posted:
    return Posted(
        sender,
        recipients,
        size,
        time.time(),
        full_name=os.fsencode(options.full_name or os.environ.get("NAME", "") or _gecos(uid)),
        encoding=options.encoding,
        notify=options.notify,
        ret=options.ret,
        envid=options.envid.encode("ascii"),
    )


def _sender(options: Options, uid: int) -> bytes:
    """The reverse-path: ``-f`` when it is an address, else the login name."""
    if options.sender is not None:
        if options.sender in ("", "<>"):
            return b""
        found = list(addresses(options.sender))
        # Of loose words the parser of address lists takes the first: here that is no address.
        if len(found) == 1 and not _LOOSE_WORDS.fullmatch(options.sender.strip()):
            return found[0]
        Console("sendmail").warning(f"-f option specified malformed sender: {options.sender}")
    try:
        return os.fsencode(pwd.getpwuid(uid).pw_name)
    except KeyError:
        raise Fatal(f"unable to find out your login name: there is no user {uid}", EX_UNAVAILABLE) from None


def _gecos(uid: int) -> str:
    """Full name of a user; ``&`` in it stands for the login name (passwd(5))."""
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return ""
    return account.pw_gecos.partition(",")[0].replace("&", account.pw_name.capitalize())


def _flush(config: Config, options: Options) -> int:
    from gateway.cli.postqueue import order
    from gateway.cli.queue_source import Queue

    queue = Queue(config, Console("sendmail"))
    if options.flush_site:
        order(queue, "flush_site", site=options.flush_site)
    elif options.flush_id:
        order(queue, "deliver_now", queue_id=options.flush_id)
    else:
        order(queue, "flush")
    return 0
