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


def test_a_transport_that_does_not_close_leaves_the_spool_to_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.master.scheduler_role._CLOSE_S", 0.05)
    plugin = tmp_path / "odd.py"
    plugin.write_text(PLUGIN)
    plugin.chmod(0o600)
    queue = tmp_path / "queue"
    for name in ("maildrop", "public", "private", "corrupt"):
        (queue / name).mkdir(parents=True)
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
