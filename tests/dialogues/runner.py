"""SMTP dialogues as scripts, spoken to anything that serves SMTP: the bare session, a TCP port, real Postfix.

A script is a text file, one step a line:

    # what it is about
    #! setting: smtpd_hard_error_limit = 3         main.cf parameters that it needs
    #! differs: ^BDAT: reason                      Postfix answers lines that match this regexp otherwise
    -> MAIL FROM:<a@b.example>                     send a line; CRLF is added
    -> raw "a\n.\r\n"                              send octets, written as a Python bytes literal's inside
    -> repeat 70000 "x"                            send octets many times
    <- 250 2.1.0                                   the next reply's last line starts so
    <~ 250[- ].*SIZE                               the next reply, lines joined by LF, has a match
    == queued 1                                    so many replies have said "queued as"
    == closed                                      the server hangs up, with nothing further said

At the end of a script whose connection is still open, QUIT must give 221 at once: a reply too many fails there.

Recipients and senders with these local parts are treated alike by all targets (:data:`SETTINGS`): ``refused`` is
refused at once, ``data-refused`` (sender) at DATA, ``end-refused`` (sender) at the end of the message.
"""

from __future__ import annotations

import ast
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from peers.ports import LOOPBACK, free_port

from gateway.model.reply import Reply
from gateway.proto import smtp_events as events
from gateway.proto.smtp_server import ServerSession
from gateway.proto.smtp_settings import BareNewline, SmtpdSettings

SCRIPTS = sorted(Path(__file__).parent.glob("*.smtp"))
TIMEOUT_S = 10.0

SETTINGS = {
    "myhostname": "mx.example",
    "default_transport": "discard",
    "relay_transport": "discard",
    "smtpd_peername_lookup": "no",
    "smtpd_delay_reject": "no",
    "smtpd_delay_open_until_valid_rcpt": "yes",
    "smtpd_error_sleep_time": "0",
    "smtpd_client_connection_rate_limit": "0",
    "smtpd_forbid_bare_newline": "reject",
    "smtpd_forbid_bare_newline_exclusions": "",
    "smtpd_authorized_xclient_hosts": "127.0.0.1",
    "smtpd_authorized_xforward_hosts": "127.0.0.1",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_sender_restrictions": "check_sender_access inline:{refused@b.example=REJECT}",
    "smtpd_recipient_restrictions": "check_recipient_access inline:{refused@y.example=REJECT}",
    "smtpd_data_restrictions": "check_sender_access inline:{data-refused@b.example=REJECT}",
    "smtpd_end_of_data_restrictions": "check_sender_access inline:{end-refused@b.example=REJECT}",
}
"""main.cf of a daemon that the scripts are spoken to."""


class Failed(AssertionError):
    """A dialogue went another way than its script."""


@dataclass(frozen=True)
class Step:
    """One line of a script: ``kind`` is ``->``, ``<-``, ``<~`` or ``==``."""

    number: int
    kind: str
    text: str
    octets: bytes = b""


@dataclass(frozen=True)
class Script:
    """A parsed script."""

    path: Path
    steps: tuple[Step, ...]
    settings: dict[str, str] = field(default_factory=dict)
    differs: tuple[tuple[re.Pattern[str], str], ...] = ()

    @property
    def name(self) -> str:
        return self.path.stem

    def difference(self, command: str) -> str:
        """Why Postfix answers this command otherwise; empty when it does not."""
        return next((reason for pattern, reason in self.differs if pattern.search(command)), "")


def read_script(path: Path) -> Script:
    """Parse a script; raises ValueError with file and line."""
    steps, settings, differs = [], {}, []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        text = line.strip()
        if text.startswith("#!"):
            kind, _, rest = text[2:].strip().partition(":")
            if kind == "setting":
                name, _, value = rest.partition("=")
                settings[name.strip()] = value.strip()
            elif kind == "differs":
                pattern, _, reason = rest.strip().partition(": ")
                differs.append((re.compile(pattern), reason))
            else:
                raise ValueError(f"{path}:{number}: unknown directive {kind}")
        elif text and not text.startswith("#"):
            steps.append(_step(path, number, text))
    return Script(path, tuple(steps), settings, tuple(differs))


def _step(path: Path, number: int, text: str) -> Step:
    kind, _, rest = text.partition(" ")
    if kind == "->":
        if match := re.fullmatch(r'raw "(.*)"', rest):
            return Step(number, kind, rest, _octets(match[1]))
        if match := re.fullmatch(r'repeat (\d+) "(.*)"', rest):
            return Step(number, kind, rest, _octets(match[2]) * int(match[1]))
        return Step(number, kind, rest, rest.encode() + b"\r\n")
    if kind in {"<-", "<~", "=="}:
        return Step(number, kind, rest)
    raise ValueError(f"{path}:{number}: cannot read {text!r}")


def _octets(inside: str) -> bytes:
    value = ast.literal_eval(f'b"{inside}"')
    assert isinstance(value, bytes)
    return value


class Wire(Protocol):
    """What a script needs of the other side."""

    def send(self, octets: bytes) -> None: ...

    def read_line(self) -> bytes:
        """One line with its end; empty when the server has hung up."""


class SessionWire:
    """The session itself, with a policy that permits nearly everything; octets are handed over in pieces of ``size``."""

    def __init__(self, settings: SmtpdSettings, size: int = 65536) -> None:
        self.session = ServerSession(settings, "unknown[127.0.0.1]")
        self.size, self.is_closed = size, False
        self.events: list[events.Event] = []
        self.accepted: list[bytes] = []
        self._body = b""
        self._out, self._sender = b"", ""
        self.session.greet(Reply(220, "mx.example ESMTP"))
        self._pump()

    def send(self, octets: bytes) -> None:
        for start in range(0, len(octets), self.size):
            if self.is_closed:
                return
            self.session.receive_data(octets[start : start + self.size])
            self._pump()

    def read_line(self) -> bytes:
        line, newline, rest = self._out.partition(b"\n")
        if not newline and not self.is_closed:
            raise Failed("no reply")
        self._out = rest
        return line + newline

    def _pump(self) -> None:
        while (event := self.session.next_event()) is not events.NEED_DATA:
            assert not isinstance(event, events.Wait)
            self.events.append(event)
            if isinstance(event, events.Hangup):
                self.is_closed = True
                break
            if isinstance(event, events.QUESTIONS):
                self.session.reply(self._judge(event))
            elif isinstance(event, events.BodyChunk):
                self._body += event.data
        self._out += self.session.data_to_send()

    def _judge(self, event: events.Question) -> Reply:
        refusal = Reply(554, "Access denied", "5.7.1")
        match event:
            case events.Hello():
                return Reply(250, "mx.example")
            case events.Mail(address=address):
                self._sender = address.local
                return refusal if address.local == "refused" else Reply(250, "Ok", "2.1.0")
            case events.Rcpt(address=address):
                return refusal if address.local == "refused" else Reply(250, "Ok", "2.1.5")
            case events.DataBegin():
                self._body = b""
                return refusal if self._sender == "data-refused" else Reply(354, "go")
            case events.BodyEnd():
                if self._sender == "end-refused":
                    return refusal
                self.accepted.append(self._body)
                assert event.size_bytes == len(self._body)
                return Reply(250, f"Ok: queued as {len(self.accepted)}", "2.0.0")
            case events.Verify(argument=argument):
                return Reply(252, argument, "2.0.0")
            case events.Xclient():
                return Reply(220, "mx.example ESMTP")
            case events.Unknown():
                return Reply(500, "Error: command not recognized", "5.5.2")
            case _:
                return Reply(250, "Ok", "2.0.0")


class SocketWire:
    """A TCP connection."""

    def __init__(self, host: str, port: int, timeout_s: float = TIMEOUT_S) -> None:
        self._socket = socket.create_connection((host, port), timeout_s)
        self._file = self._socket.makefile("rb")

    def send(self, octets: bytes) -> None:
        try:
            self._socket.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server has hung up; what it said is still to be read

    def read_line(self) -> bytes:
        try:
            return self._file.readline()
        except ConnectionResetError:
            return b""
        except TimeoutError:
            raise Failed("no reply") from None

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def session_settings(script: Script) -> SmtpdSettings:
    """The script's main.cf parameters as settings of a session."""
    values: dict[str, object] = {
        "hostname": "mx.example",
        "error_sleep_s": 0.0,
        "xclient_allowed": True,
        "xforward_allowed": True,
    }
    for name, text in script.settings.items():
        key = _SETTING_NAMES.get(name, name.removeprefix("smtpd_"))
        kind = SmtpdSettings.__annotations__[key]
        if kind == "int":
            values[key] = int(text)
        elif kind == "bool":
            values[key] = text == "yes"
        elif kind == "BareNewline":
            values[key] = BareNewline.of(text)
        else:
            words = text.replace(",", " ").split()
            values[key] = frozenset(map(str.lower if key == "discard_ehlo_keywords" else str.upper, words))
    return SmtpdSettings(**values)  # type: ignore[arg-type]


_SETTING_NAMES = {"disable_vrfy_command": "disable_vrfy"}


def speak(script: Script, wire: Wire, *, is_postfix: bool = False) -> None:
    """Go through a script. With ``is_postfix``, what follows a line that is declared to differ may; else raises Failed."""
    command, queued, is_closed, has_differed = "(banner)", 0, False, False
    reply = _read_reply(wire)
    if not reply.startswith("220"):
        raise Failed(f"{script.name}: banner {reply!r}")
    for step in script.steps:
        if step.kind == "->":
            command = step.text
            wire.send(step.octets)
            continue
        where = f"{script.path.name}:{step.number}: after {command!r}"
        may_differ = is_postfix and bool(script.difference(command))
        has_differed |= may_differ
        if step.kind == "==" and has_differed:
            break
        if step.kind == "==" and step.text != "closed":
            _expect(queued == int(step.text.split()[1]), where, f"{queued} messages queued, want {step.text}")
            continue
        reply = _read_reply(wire)
        queued += "queued as" in reply
        if step.kind == "==":
            fits = is_closed = reply == ""
        elif step.kind == "<~":
            fits = re.search(step.text, reply) is not None
        else:
            fits = reply.rpartition("\n")[2].startswith(step.text)
        if may_differ and not reply:
            break
        _expect(fits or may_differ, where, f"got {reply!r}, want {step.text!r}")
    if not is_closed and not has_differed:
        wire.send(b"QUIT\r\n")
        reply = _read_reply(wire)
        _expect(reply.startswith("221"), f"{script.path.name}: QUIT", f"got {reply!r}")


def _expect(condition: bool, where: str, text: str) -> None:
    if not condition:
        raise Failed(f"{where}: {text}")


def _read_reply(wire: Wire) -> str:
    lines = []
    while True:
        line = wire.read_line()
        if not line:
            return "\n".join(lines)
        lines.append(line.rstrip(b"\r\n").decode("utf-8", "replace"))
        if line[3:4] != b"-":
            return "\n".join(lines)


def run_script(
    path: Path | Script, host: str, port: int, *, is_postfix: bool = False, timeout_s: float = TIMEOUT_S
) -> None:
    """Speak a script to a TCP address, served with :data:`SETTINGS` and the script's own settings."""
    script = path if isinstance(path, Script) else read_script(path)
    wire = SocketWire(host, port, timeout_s)
    try:
        speak(script, wire, is_postfix=is_postfix)
    finally:
        wire.close()


def run_against_session(path: Path | Script, size: int = 65536) -> SessionWire:
    """Speak a script to a session that gets its octets in pieces of ``size``; returns what it has seen."""
    script = path if isinstance(path, Script) else read_script(path)
    wire = SessionWire(session_settings(script), size)
    speak(script, wire)
    return wire


def listeners(scripts: Iterable[Script]) -> tuple[dict[str, int], list[str]]:
    """A port, and a master.cf row, for each script with settings of its own."""
    ports = {script.name: free_port() for script in scripts if script.settings}
    rows = [
        f"{LOOPBACK}:{ports[script.name]} inet n - n - - smtpd "
        + " ".join(f"-o {{ {name} = {value} }}" for name, value in script.settings.items())
        for script in scripts
        if script.settings
    ]
    return ports, rows
