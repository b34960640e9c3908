"""Sendmail's options, as forty years of programs pass them. Source: sendmail(1) of Postfix."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto

import msgspec

from gateway.cli.console import EX_USAGE, Fatal

_WITH_VALUE = frozenset("ABCFLNORVXbdefhopr")
_WITHOUT = frozenset("GIUcimnstvx")
_NOTIFY = ("NEVER", "SUCCESS", "FAILURE", "DELAY")


class Mode(Enum):
    """What ``sendmail`` is to do."""

    POST = auto()
    LIST = auto()
    ALIASES = auto()
    FLUSH = auto()
    SMTP = auto()


_MODES = {"m": Mode.POST, "p": Mode.LIST, "i": Mode.ALIASES, "s": Mode.SMTP, "h": Mode.ALIASES, "H": Mode.ALIASES}


class Options(msgspec.Struct):
    """Parsed options. Those that Postfix accepts and ignores are not here.

    Args:
        mode: ``-bX``, ``-q``, ``-I``.
        config_directory: ``-C``.
        sender: ``-f`` or ``-r``; None when not given.
        full_name: ``-F``.
        ignores_dots: ``-i``, ``-oi``: a line with a lone dot does not end the message.
        takes_header_recipients: ``-t``.
        encoding: ``-B``. notify: ``-N``. ret: ``-R``. envid: ``-V``.
        flush_site: ``-qRsite``. flush_id: ``-qIqueueid``.
        operands: recipients.
    """

    mode: Mode = Mode.POST
    config_directory: str = ""
    sender: str | None = None
    full_name: str = ""
    ignores_dots: bool = False
    takes_header_recipients: bool = False
    encoding: str = ""
    notify: tuple[str, ...] = ()
    ret: str = ""
    envid: str = ""
    flush_site: str = ""
    flush_id: str = ""
    operands: list[str] = []


def parse(arguments: list[str]) -> Options:
    """Parse a command line.

    Raises:
        Fatal: an unknown option or a bad value (EX_USAGE).
    """
    options = Options(operands=[])
    for letter, value in _split(arguments, options.operands):
        _apply(options, letter, value)
    return options


def _split(arguments: list[str], operands: list[str]) -> Iterator[tuple[str, str]]:
    """Letters with their values; the rest goes to ``operands``. ``-q`` takes a value only when it is attached."""
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            break
        if not argument.startswith("-") or argument == "-":
            operands.append(argument)
            break
        letters = argument[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter == "q":
                yield letter, letters
                letters = ""
            elif letter in _WITH_VALUE:
                value = letters or next(rest, None)
                if value is None:
                    raise Fatal(f"option -{letter} requires a value", EX_USAGE)
                yield letter, value
                letters = ""
            elif letter in _WITHOUT:
                yield letter, ""
            else:
                raise Fatal(f"unsupported option -{letter}", EX_USAGE)
    operands.extend(rest)


def _apply(options: Options, letter: str, value: str) -> None:
    match letter:
        case "b":
            if value not in _MODES:
                raise Fatal(f"unsupported: -b{value}", EX_USAGE)
            options.mode = _MODES[value]
        case "I":
            options.mode = Mode.ALIASES
        case "q":
            _flush(options, value)
        case "C":
            # Sendmail's option names a file; a path ending in .cf means the directory it is in.
            options.config_directory = value.rpartition("/")[0] if value.endswith(".cf") else value
        case "f" | "r":
            options.sender = value
        case "F":
            options.full_name = value
        case "i":
            options.ignores_dots = True
        case "o":
            options.ignores_dots |= value.startswith("i")
        case "t":
            options.takes_header_recipients = True
        case "B" | "N" | "R" | "V":
            _delivery_options(options, letter, value)
        case _:
            pass  # accepted for compatibility, without effect, as with Postfix


def _flush(options: Options, value: str) -> None:
    options.mode = Mode.FLUSH
    if value[:1] in ("R", "S"):
        options.flush_site = value[1:]
    elif value[:1] == "I":
        options.flush_id = value[1:]
    # Anything else is an interval for a daemon: the queue is then run at once, as with Postfix.


def _delivery_options(options: Options, letter: str, value: str) -> None:
    upper = value.upper()
    match letter:
        case "B":
            if upper not in ("7BIT", "8BITMIME"):
                raise Fatal(f"-B {value}: want 7BIT or 8BITMIME", EX_USAGE)
            options.encoding = upper
        case "N":
            words = tuple(word.strip() for word in upper.split(","))
            if set(words) - set(_NOTIFY) or ("NEVER" in words and len(words) > 1):
                raise Fatal(f"-N {value}: want never, or some of success,failure,delay", EX_USAGE)
            options.notify = words
        case "R":
            if upper not in ("FULL", "HDRS"):
                raise Fatal(f"-R {value}: want full or hdrs", EX_USAGE)
            options.ret = upper
        case _:
            if not value.isascii() or not value.isprintable() or len(value) > 100:
                raise Fatal("-V: want at most 100 printable ASCII characters", EX_USAGE)
            options.envid = value
