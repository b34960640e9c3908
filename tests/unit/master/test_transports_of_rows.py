"""Each row of master.cf makes a transport of its own, with its own settings and tables."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.hooks.manager import PluginManager
from gateway.master.scheduler_role import make_transports, pickup_config
from gateway.model.errors import ConfigError
from gateway.net.resolver import Resolver
from gateway.observe import MailLog
from gateway.proto.smtp_client import Verb
from gateway.scheduler.settings import transport_settings
from gateway.transport.base import Transport
from gateway.transport.smtp import SmtpTransport
from gateway.transport.timed import TimedTransport

ROWS = """\
smtp unix - - n - - smtp
slow unix - - n - 2 smtp -o smtp_data_done_timeout=1200 -o smtp_send_xforward_command=yes
filter unix - - n - 3 lmtp -o lmtp_data_done_timeout=900s -o lmtp_generic_maps=static:a@b.example
error unix - - n - - error
local unix - n n - - local
"""


def transports(rows: str = ROWS, **settings: str) -> dict[str, Transport]:
    config = Config.from_settings(settings, rows)

    async def make() -> dict[str, Transport]:
        resolver = Resolver(config)
        try:
            return make_transports(config, PluginManager(()), resolver, MailLog.memory())
        finally:
            await resolver.close()

    return asyncio.run(make())


def test_settings_are_those_of_the_row() -> None:
    made = transports(smtp_data_done_timeout="600s")
    assert made.keys() == {"smtp", "slow", "filter", "error"}
    clients = {name: made[name] for name in ("smtp", "slow", "filter")}
    seconds = {}
    for name, client in clients.items():
        assert isinstance(client, SmtpTransport)
        seconds[name] = client._settings.timeouts[Verb.END]
        assert client._settings.send_xforward_command is (name == "slow")
        assert client.is_lmtp is (name == "filter")
        assert (client._generic is not None) is (name == "filter")
    assert seconds == {"smtp": 600.0, "slow": 1200.0, "filter": 900.0}


def test_the_number_of_processes_is_the_number_of_deliveries_at_a_time() -> None:
    config = Config.from_settings({}, ROWS)
    assert [transport_settings(config, name).limit for name in ("slow", "filter")] == [2, 3]


def test_a_table_of_one_row_that_cannot_be_opened_is_an_error() -> None:
    with pytest.raises(ConfigError, match="cannot open"):
        transports(ROWS + "out unix - - n - - smtp -o smtp_generic_maps=texthash:/no/such\n")


def test_pickup_sees_the_settings_of_its_row() -> None:
    row = "pickup unix n - n 60 1 pickup -o content_filter= -o receive_override_options=no_address_mappings"
    settings = {"content_filter": "filter:"}
    assert pickup_config(Config.from_settings(settings)).text("content_filter") == "filter:"
    assert pickup_config(Config.from_settings(settings, row)).text("content_filter") == ""
    with pytest.raises(ConfigError, match="unknown option"):
        pickup_config(Config.from_settings({"receive_override_options": "nothing"}))


PLUGIN = """
import asyncio

from gateway.hooks import hookimpl


class Hangs:
    def __init__(self, config, name):
        pass

    async def deliver(self, request):
        await asyncio.get_running_loop().create_future()


class Plugin:
    @hookimpl
    def transports(self, register):
        register("hangs", Hangs)
"""


def test_a_plugins_transport_has_the_time_limit_of_its_service(tmp_path: Path) -> None:
    plugin = tmp_path / "hangs.py"
    plugin.write_text(PLUGIN)
    plugin.chmod(0o600)
    rows = "odd unix - - n - - hangs\neven unix - - n - - hangs\n"
    config = Config.from_settings({"plugins": f"{plugin}:Plugin", "odd_time_limit": "5s"}, rows)

    async def make() -> dict[str, Transport]:
        resolver = Resolver(config)
        try:
            return make_transports(config, PluginManager(config.words("plugins")), resolver, MailLog.memory())
        finally:
            await resolver.close()

    made = asyncio.run(make())
    limits = {name: each._limit_s for name, each in made.items() if isinstance(each, TimedTransport)}
    assert limits == {"odd": 5.0, "even": 1000.0}
    assert not config.warnings
