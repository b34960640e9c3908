"""The main job on real input: `make demo`.

Starts a gateway (real processes, loopback) with a plugin active at every stage and an aiosmtpd server as next hop,
sends real messages, and shows what each stage decided, by whom, in how many milliseconds, and that what arrived is
what was sent, byte for byte, apart from the headers that were added on the way.
"""

from __future__ import annotations

import json
import os
import pwd
import random
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
DEADLINE_S = 30.0
ADDED = (b"Received:", b"X-Demo-")


class NextHop:
    """The next hop: keeps what it gets, and refuses one recipient."""

    def __init__(self) -> None:
        self.messages: dict[str, bytes] = {}
        self.recipients: dict[str, list[str]] = {}

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        """Refuse ``gone``, take the others."""
        if address.startswith("gone@"):
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Keep the octets under their Message-ID."""
        name = header(envelope.original_content, b"message-id")
        self.messages[name] = envelope.original_content
        self.recipients.setdefault(name, []).extend(envelope.rcpt_tos)
        return "250 2.0.0 Taken"


def header(content: bytes, name: bytes) -> str:
    """First value of a header."""
    for line in content.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        if line.lower().startswith(name + b":"):
            return line.partition(b":")[2].strip().decode()
    return ""


def compose(subject: str, *, body: str = "A plain message.\n", attachment: bytes = b"", to: str) -> bytes:
    """A message as a mail program makes it, with CRLF line ends."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = "Ada <ada@client.example>", to, subject
    mail["Message-ID"] = f"<{random.getrandbits(64):x}@client.example>"
    mail["Date"] = localtime()
    mail.set_content(body, cte="8bit")
    if attachment:
        mail.add_attachment(attachment, maintype="application", subtype="octet-stream", filename="data.bin")
    return mail.as_bytes()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def gateway(next_hop_port: int) -> Iterator[tuple[Path, int]]:
    """A private gateway in a temporary directory; stopped and removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="postgate-demo-"))
    directory.chmod(0o755)  # the unprivileged workers must get in
    port = free_port()
    for name in ("stages.py", "record.py"):
        shutil.copy(HERE / name, directory / name)
        (directory / name).chmod(0o644)
    (directory / "main.cf").write_text(
        f"""# The demo's gateway: relays everything from loopback to one next hop.
compatibility_level = 3.7
myhostname = gateway.demo.example
mydestination =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{next_hop_port}
queue_directory = {directory}/queue
data_directory = {directory}/data
mail_owner = {mail_owner()}
maillog_file = {directory}/maillog
maillog_file_prefixes = {directory}
plugins = access, {directory}/stages.py:Stages, {directory}/record.py:Record
smtpd_recipient_restrictions =
    check_recipient_access inline:{{ {{ blocked@dest.example = REJECT not here }} }}
transport_maps = inline:{{ {{ archive.example = archive: }} }}
smtpd_workers = 1
message_size_limit = 20000000
""",
        encoding="utf-8",
    )
    (directory / "master.cf").write_text(
        f"127.0.0.1:{port} inet n - n - - smtpd\n"
        "smtp unix - - n - - smtp\nrelay unix - - n - - smtp\nerror unix - - n - - error\n"
        "archive unix - - n - - archive\n",
        encoding="utf-8",
    )
    run("postgate", "-c", str(directory), "check")
    run("postgate", "-c", str(directory), "start")
    try:
        yield directory, port
    finally:
        run("postgate", "-c", str(directory), "stop")
        shutil.rmtree(directory, ignore_errors=True)


def mail_owner() -> str:
    """Who runs the workers: an account without rights when the demo runs as root and that account can read Python."""
    parents = [Path(os.__file__).resolve(), *Path(os.__file__).resolve().parents, *HERE.parents]
    if os.geteuid() == 0 and all(path.stat().st_mode & 0o005 == 0o005 or path.is_file() for path in parents):
        names = {entry.pw_name for entry in pwd.getpwall()}
        return next(name for name in ("postfix", "nobody") if name in names)
    return pwd.getpwuid(os.geteuid()).pw_name


def run(program: str, *arguments: str) -> str:
    """Run one of our commands; its output when it fails is the demo's error."""
    done = subprocess.run([str(BIN / program), *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{program} {' '.join(arguments)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


CASES = [
    ("plain", ["bob@dest.example"], {}),
    ("8-bit", ["bob@dest.example"], {"body": "Grüße aus dem Gateway: äöü ß € – 日本語\n"}),
    ("5 MB attachment", ["bob@dest.example"], {"attachment": random.Random(1).randbytes(5_000_000)}),  # noqa: S311
    ("two recipients, next hop refuses one", ["bob@dest.example", "gone@dest.example"], {}),
    ("two recipients, access table refuses one", ["bob@dest.example", "blocked@dest.example"], {}),
    ("a plugin refuses the recipient", ["unwanted@dest.example"], {}),
    ("a plugin refuses the message", ["bob@dest.example"], {"subject": "You won the lottery"}),
    ("a plugin's own transport", ["bob@archive.example"], {}),
]


class Sent:
    """One message of the demo and what the client was told."""

    def __init__(self, title: str, content: bytes) -> None:
        self.title, self.content = title, content
        self.answer, self.session = "", ""
        self.refused: dict[str, str] = {}

    @property
    def is_accepted(self) -> bool:
        """The client got 250 for the message."""
        return self.answer.startswith("250")


def send(port: int, title: str, recipients: list[str], options: dict[str, Any]) -> Sent:
    """Send one message over a connection of its own."""
    subject = options.pop("subject", title)
    sent = Sent(title, compose(subject, to=", ".join(recipients), **options))
    with smtplib.SMTP("127.0.0.1", port, timeout=DEADLINE_S, local_hostname="client.example") as client:
        assert client.sock is not None
        sent.session = str(client.sock.getsockname()[1])
        client.ehlo()
        client.mail("ada@client.example", ["BODY=8BITMIME"])
        accepted = 0
        for recipient in recipients:
            code, text = client.rcpt(recipient)
            accepted += code == 250
            if code != 250:
                sent.refused[recipient] = f"{code} {text.decode()}"
        if accepted:
            code, text = client.data(sent.content)
            sent.answer = f"{code} {text.decode()}"
    return sent


def wait_until_delivered(directory: Path, records: list[dict[str, Any]], expected: int) -> None:
    """Read the record until all deliveries are in it."""
    end = time.monotonic() + DEADLINE_S
    while True:
        records[:] = [json.loads(line) for line in (directory / "queue" / "demo.jsonl").read_text().splitlines()]
        if sum(record["stage"] == "delivered" for record in records) >= expected:
            return
        if time.monotonic() > end:
            raise SystemExit("not everything was delivered in time:\n" + (directory / "maillog").read_text())
        time.sleep(0.05)


def compare(sent: Sent, arrived: bytes | None) -> str:
    """How what arrived differs from what was sent."""
    if arrived is None:
        return "[red]did not arrive[/red]"
    head, gap, body = arrived.partition(b"\r\n\r\n")
    kept, added, is_added = [], [], False
    for line in head.split(b"\r\n"):
        is_added = line.startswith(ADDED) or (is_added and line[:1] in b" \t")
        (added if is_added else kept).append(line)
    names = [line.partition(b":")[0].decode() for line in added if line[:1] not in b" \t"]
    if b"\r\n".join(kept) + gap + body != sent.content:
        return "[red]DIFFERS[/red]"
    return f"[green]identical, {len(sent.content):,} octets[/green], plus {', '.join(names)}"


def show(console: Console, sent: Sent, records: list[dict[str, Any]], arrived: bytes | None) -> bool:
    """Print one message's story; False when it did not end as it should."""
    console.print(f"\n[bold]{sent.title}[/bold]", highlight=False)
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in ("stage", "by", "decision", "what"):
        table.add_column(name, style="cyan" if name == "by" else None, overflow="fold")
    table.add_column("ms", justify="right")
    queue_id = sent.answer.rpartition(" ")[2] if sent.is_accepted else ""
    for record in records:
        is_ours = record.get("session") == sent.session or (queue_id and record.get("queue_id") == queue_id)
        if "author" in record and is_ours:
            what = record["text"] or ", ".join(record["edits"])
            table.add_row(record["stage"], record["author"], record["action"] or "edit", what, f"{record['ms']:.3f}")
        elif record["stage"] == "delivered" and is_ours:
            table.add_row("delivered", "transport", record["recipient"], record["text"], "")
    console.print(table)
    for recipient, reply in sent.refused.items():
        console.print(f"client: {recipient}: [yellow]{reply}[/yellow]", highlight=False)
    if sent.answer:
        colour = "green" if sent.is_accepted else "yellow"
        console.print(f"client: message: [{colour}]{sent.answer}[/{colour}]", highlight=False)
    if not sent.is_accepted:
        return arrived is None
    result = compare(sent, arrived)
    console.print(f"next hop: {result}", highlight=False)
    return "identical" in result


def main() -> int:
    """Run the demo; 0 when every message ended as it should."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    hop = NextHop()
    sink = Controller(hop, hostname="127.0.0.1", port=free_port(), data_size_limit=0, decode_data=False)
    sink.start()
    records: list[dict[str, Any]] = []
    try:
        with gateway(sink.port) as (directory, port):
            console.print(f"gateway on 127.0.0.1:{port}, next hop on 127.0.0.1:{sink.port}", highlight=False)
            sent = [send(port, title, recipients, dict(options)) for title, recipients, options in CASES]
            expected = sum(len(CASES[i][1]) - len(mail.refused) for i, mail in enumerate(sent) if mail.is_accepted)
            wait_until_delivered(directory, records, expected + 1)  # and the bounce for `gone`
            archive = {header(path.read_bytes(), b"message-id"): path.read_bytes()
                       for path in (directory / "queue").glob("archive-*")}  # fmt: skip
            arrived = {**hop.messages, **archive}
            results = [show(console, mail, records, arrived.get(header(mail.content, b"message-id"))) for mail in sent]
            bounces = [text for text in hop.messages.values() if b"multipart/report" in text]
            console.print(f"\nbounces to ada@client.example: {len(bounces)}", highlight=False)
            console.print(run("postqueue", "-c", str(directory), "-p"), highlight=False, end="")
    finally:
        sink.stop()
    is_good = all(results) and len(bounces) == 1
    console.print("[bold green]all as expected[/bold green]" if is_good else "[bold red]not as expected[/bold red]")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
