"""The master as a process, with workers that do next to nothing: start, crash, reload, stop, and being killed."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli.control_client import ask
from gateway.master.control import SOCKET
from gateway.master.lock import running_pid

# A plugin file is imported by every worker, so it is also the place for roles that only a test has.
ROLES = """
import asyncio, os, signal, time
from gateway.hooks import hookimpl
from gateway.model.errors import ConfigError, GatewayError

@hookimpl
def parameters():
    pass

async def smtpd(context):
    async def serve(reader, writer):
        writer.write(f"{os.getpid()} {context.worker_number} {context.config.text('mail_name')}\\n".encode())
        order = await reader.readline()
        if order == b"crash\\n":
            os.kill(os.getpid(), signal.SIGKILL)
        if order == b"hang\\n":
            time.sleep(60)
        if order == b"wait\\n":
            writer.write(b"waiting\\n")
            writer.write(await reader.readline())
        writer.close()
    if context.config.text("mail_name") == "Fail":
        raise ConfigError("this worker never starts", parameter="mail_name")
    servers = [await asyncio.start_server(serve, sock=listener.socket) for listener in context.listeners]
    context.ready()
    await context.stop.wait()
    for server in servers:
        server.close()
    deadline = asyncio.get_running_loop().time() + context.drain_s
    while len(asyncio.all_tasks()) > 1 and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.01)

async def scheduler(context):
    log = context.mail_log.logger("qmgr")
    async def changed(config):
        if config.text("mail_name") == "Refuse":
            raise ConfigError("not this name")
        log.info("now " + config.text("mail_name"))
    context.on_reload(changed)
    context.ready()
    await context.stop.wait()
    log.info("stopped")

async def check(context):
    if context.config.text("mail_name") == "Bad":
        raise ConfigError("a bad name")
    context.ready()
"""
NAMES = {name: f"gateway_file_plugin_roles:{name}" for name in ("smtpd", "scheduler", "check")}


def wait_until(what: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    """The first true result of ``what``."""
    end = time.monotonic() + timeout_s
    nothing = socket.socketpair()
    with nothing[0], nothing[1]:
        while True:
            if result := what():
                return result
            assert time.monotonic() < end, f"not within {timeout_s:g} s"
            select.select([nothing[0]], [], [], 0.02)


class MasterProcess:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.queue = directory / "queue"
        self.log_path = directory / "log"
        (directory / "roles.py").write_text(textwrap.dedent(ROLES))
        (directory / "roles.py").chmod(0o600)
        (directory / "master.cf").write_text("127.0.0.1:0 inet n - n - - smtpd\n")
        self.configure()
        self.process: subprocess.Popen[str] | None = None

    def configure(self, **settings: str) -> None:
        values = {
            "queue_directory": str(self.queue),
            "data_directory": str(self.directory / "data"),
            "maillog_file": str(self.log_path),
            "maillog_file_prefixes": str(self.directory),
            "mail_owner": "root",
            "plugins": str(self.directory / "roles.py"),
            "smtpd_workers": "2",
            "mail_name": "One",
            "scheduler_start_timeout": "10s",
            **settings,
        }
        (self.directory / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in values.items()))

    def start(self) -> str:
        """Start; returns what the master says: nothing when all is well."""
        script = (
            "import sys; from gateway.master import daemon\n"
            "def tell(problem): print(repr(problem), flush=True)\n"
            f"sys.exit(daemon.run({str(self.directory)!r}, tell, roles={NAMES!r}))"
        )
        self.process = subprocess.Popen([sys.executable, "-Ic", script], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, op: str) -> dict[str, Any]:
        (answer,) = ask(str(self.queue), SOCKET, {"op": op})
        return answer

    def workers(self, role: str = "smtpd") -> dict[int, str]:
        return {p["pid"]: p["state"] for p in self.ask("status")["processes"] if p["role"] == role}

    def log(self) -> str:
        return self.log_path.read_text()

    def connect(self) -> "Client":
        address = self.ask("status")["listening"][0]["address"]
        return Client(int(address.rpartition(":")[2]))

    def end(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(10)
            assert self.process.stdout is not None
            self.process.stdout.close()


class Client:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        self.lines = self.socket.makefile("rw")
        pid, number, self.mail_name = self.lines.readline().split()
        self.pid, self.number = int(pid), int(number)

    def say(self, text: str) -> None:
        self.lines.write(text + "\n")
        self.lines.flush()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self.lines.close()
        self.socket.close()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def master(tmp_path: Path) -> Iterator[MasterProcess]:
    process = MasterProcess(tmp_path)
    try:
        yield process
    finally:
        process.end()


def test_a_whole_life(master: MasterProcess) -> None:
    assert master.start() == "''"
    status = master.ask("status")
    assert [p["role"] for p in status["processes"]] == ["scheduler", "smtpd", "smtpd"]
    assert {p["state"] for p in status["processes"]} == {"ready"}
    assert len({p["number"] for p in status["processes"]}) == 3
    assert running_pid(str(master.queue)) == status["pid"]
    with master.connect() as client:
        assert client.pid in master.workers()

    # A crashed worker is replaced; nobody is turned away meanwhile.
    with master.connect() as client:
        crashed, number = client.pid, client.number
        client.say("crash")
        assert client.lines.read() == ""
    for _ in range(10):
        with master.connect():
            pass
    wait_until(lambda: crashed not in master.workers() and list(master.workers().values()) == ["ready", "ready"])
    assert f"warning: process smtpd pid {crashed} killed by signal 9" in master.log()
    assert number in {p["number"] for p in master.ask("status")["processes"]}
    assert sum(p["restarts"] for p in master.ask("status")["processes"]) == 1

    # Stop waits for a session for some seconds.
    with master.connect() as client:
        client.say("wait")
        assert client.lines.readline() == "waiting\n"
        assert master.ask("stop") == {"problem": ""}
        client.say("done")
        assert client.lines.readline() == "done\n"
    assert master.process is not None
    assert master.process.wait(15) == 0
    assert running_pid(str(master.queue)) is None
    assert "stopped" in master.log()
    assert "panic" not in master.log()


def test_a_reload_changes_over_without_cutting_a_session(master: MasterProcess) -> None:
    assert master.start() == "''"
    before = set(master.workers())
    with master.connect() as old:
        old.say("wait")
        assert old.lines.readline() == "waiting\n"
        master.configure(mail_name="Two", smtpd_workers="3")
        assert master.ask("reload") == {"problem": ""}
        with master.connect() as new:
            assert new.mail_name == "Two"
            assert new.pid not in before
        wait_until(lambda: master.workers().get(old.pid) == "stopping" and len(master.workers()) == 4)
        old.say("still here")
        assert old.lines.readline() == "still here\n"
    wait_until(lambda: not before & set(master.workers()))
    assert "now Two" in master.log()
    assert "reload -- version" in master.log()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"smtpd_workers": "many"}, "smtpd_workers"),
        ({"mail_name": "Bad"}, "a bad name"),
        ({"mail_name": "Fail"}, "this worker never starts"),
        ({"plugins": "no-such-plugin"}, "no-such-plugin"),
    ],
)
def test_a_bad_configuration_is_refused_and_the_old_one_goes_on(
    master: MasterProcess, settings: dict[str, str], problem: str
) -> None:
    assert master.start() == "''"
    before = master.workers()
    master.configure(**settings)
    assert problem in master.ask("reload")["problem"]
    assert "reload refused, the old configuration stays in force" in master.log()
    wait_until(lambda: master.workers() == before)
    with master.connect() as client:
        assert client.mail_name == "One"
        # What replaces a crashed worker has the configuration in force, not what the file says now.
        client.say("crash")
    wait_until(lambda: set(master.workers()) != set(before) and set(master.workers().values()) == {"ready"})
    with master.connect() as client:
        assert client.mail_name == "One"


def test_a_scheduler_that_refuses_is_reported(master: MasterProcess) -> None:
    assert master.start() == "''"
    master.configure(mail_name="Refuse")
    assert master.ask("reload") == {"problem": "not this name"}
    assert list(master.workers("scheduler").values()) == ["ready"]


def test_signals_do_the_same(master: MasterProcess) -> None:
    assert master.start() == "''"
    assert master.process is not None
    master.configure(mail_name="Two")
    master.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "now Two" in master.log())
    master.process.send_signal(signal.SIGTERM)
    assert master.process.wait(15) == 0
    assert "terminating on signal 15" in master.log()


def test_a_start_that_fails_says_why_and_leaves_nothing(master: MasterProcess) -> None:
    master.configure(mail_name="Fail")
    assert "this worker never starts" in master.start()
    assert master.process is not None
    assert master.process.wait(15) == 1
    assert running_pid(str(master.queue)) is None
    assert "fatal" in master.log()


def test_a_second_master_is_refused(master: MasterProcess, tmp_path: Path) -> None:
    assert master.start() == "''"
    second = MasterProcess(tmp_path)
    try:
        assert "already running" in second.start()
        assert second.process is not None
        assert second.process.wait(15) == 1
    finally:
        second.end()
    assert set(master.workers().values()) == {"ready"}


def test_workers_of_a_killed_master_end(master: MasterProcess) -> None:
    assert master.start() == "''"
    pids = [*master.workers(), *master.workers("scheduler")]
    master.end()
    wait_until(lambda: not any(map(is_alive, pids)))
    # And the next master takes over what the first one left.
    assert master.start() == "''"


def test_a_hanging_worker_is_killed_at_stop(master: MasterProcess) -> None:
    assert master.start() == "''"
    with master.connect() as client:
        pid = client.pid
        client.say("hang")
        assert master.ask("stop") == {"problem": ""}
        assert master.process is not None
        assert master.process.wait(20) == 0
    assert not is_alive(pid)


def test_others_may_look_and_not_touch(master: MasterProcess) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to be somebody else")
    assert master.start() == "''"
    # Somebody else may not be able to walk here: the directory's descriptor was opened before.
    script = """
import os, socket, sys
directory = os.open(sys.argv[1], os.O_PATH)
os.setuid(65534)
for op in ("status", "reload", "stop", "dance"):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"/proc/self/fd/{directory}/master.sock")
        sock.sendall(b'{"op": "%s"}\\n' % op.encode())
        print(sock.makefile().readline().strip())
"""
    done = subprocess.run(
        [sys.executable, "-Ic", script, str((master.queue / SOCKET).parent)],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    answers = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert answers[0]["pid"]
    assert all("only root" in answer["error"] for answer in answers[1:3])
    assert "unknown operation" in answers[3]["error"]
