"""The scheduler process in process: what must not keep the spool from closing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.master.scheduler_role import SchedulerProcess
from gateway.net.worker import WorkerContext
from gateway.observe import MailLog
from gateway.spool import Store

# Transports whose close() raises, or never comes back.
PLUGIN = """
import asyncio

from gateway.hooks import hookimpl


class Odd:
    def __init__(self, config, name):
        self.name = name

    def reload(self, config):
        pass

    async def close(self):
        if self.name == "fails":
            raise OSError("no")
        await asyncio.get_running_loop().create_future()


class Plugin:
    @hookimpl
    def transports(self, register):
        register("odd", Odd)
"""


def _made(directory: Path, code: str) -> tuple[Path, Path]:
    """A queue directory, and a plugin that nobody else may write."""
    plugin = directory / "plugin.py"
    plugin.write_text(code)
    plugin.chmod(0o600)
    queue = directory / "queue"
    for name in ("maildrop", "public", "private", "corrupt"):
        (queue / name).mkdir(parents=True)
    return queue, plugin


def test_a_transport_that_does_not_close_leaves_the_spool_to_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.master.scheduler_role._CLOSE_S", 0.05)
    queue, plugin = _made(tmp_path, PLUGIN)
    config = Config.from_settings(
        {"queue_directory": str(queue), "plugins": f"{plugin}:Plugin", "myhostname": "mx.example"},
        services="fails unix - - n - - odd\nhangs unix - - n - - odd\n",
    )
    log = MailLog.memory()

    async def run() -> None:
        context = WorkerContext(config, log)
        context.drain_s = 1.5
        context.report_ready = context.stop.set
        await asyncio.wait_for(SchedulerProcess(context).run(), 10)

    asyncio.run(run())
    text = "\n".join(log.lines)
    assert "transport fails: close: OSError: no" in text
    assert "transport hangs: close: TimeoutError" in text
    Store.open(str(queue)).close()


# A table type that writes down what happens to its tables.
TABLES = """
from pathlib import Path

from gateway.hooks import hookimpl
from gateway.maps import Table


class Recorded(Table):
    def __init__(self, name, config):
        super().__init__(f"recorded:{name}")
        self.events = Path(config.text("queue_directory"), "events")
        self.write("open")

    def write(self, event):
        with self.events.open("a") as file:
            file.write(f"{event} {self.spec}\\n")

    async def find(self, key):
        return None

    async def close(self):
        self.write("close")


class Plugin:
    @hookimpl
    def lookup_tables(self, register):
        register("recorded", Recorded)
"""


@pytest.mark.parametrize("linger_s", [0.01, 60.0])
def test_tables_of_an_old_configuration_are_closed_after_a_reload_or_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linger_s: float
) -> None:
    monkeypatch.setattr("gateway.master.scheduler_role._LINGER_S", linger_s)
    queue, plugin = _made(tmp_path, TABLES)

    def events() -> list[str]:
        return (queue / "events").read_text().splitlines()

    def config(table: str) -> Config:
        settings = {"queue_directory": str(queue), "plugins": f"{plugin}:Plugin", "myhostname": "mx.example"}
        return Config.from_settings(settings | {"transport_maps": f"recorded:{table}"})

    async def run() -> None:
        context = WorkerContext(config("old"), MailLog.memory())
        ready = asyncio.Event()
        context.report_ready = ready.set
        running = asyncio.create_task(SchedulerProcess(context).run())
        await ready.wait()
        await context.reload(config("new"))
        assert events() == ["open recorded:old", "open recorded:new"]
        while linger_s < 1 and len(events()) < 3:
            await asyncio.sleep(0.001)
        assert events()[2:] == (["close recorded:old"] if linger_s < 1 else [])
        context.stop.set()
        await running

    asyncio.run(asyncio.wait_for(run(), 20))
    assert sorted(events()[2:]) == ["close recorded:new", "close recorded:old"]
