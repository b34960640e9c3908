"""A plugin's transport that hangs holds nothing but its own coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.config import Config
from gateway.model.delivery import DeliveryReport, DeliveryRequest, Outcome, Status
from gateway.model.errors import ConfigError
from gateway.transport.timed import TimedTransport


class Slow:
    """Answers when it is told to, whatever it is asked to do meanwhile."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.events: list[str] = []

    async def deliver(self, request: DeliveryRequest) -> DeliveryReport:
        while not self.may_answer.is_set():
            try:
                await self.may_answer.wait()
            except asyncio.CancelledError:
                self.events.append("cancelled")
        return DeliveryReport([Status(Outcome.SENT, "2.0.0", "at last")] * len(request.recipients))

    def reload(self, config: Config) -> None:
        self.events.append("reload")

    async def close(self) -> None:
        self.events.append("close")


def test_a_delivery_ends_at_the_limit_of_its_service(delivery: Callable[..., DeliveryRequest]) -> None:
    async def run() -> list[str]:
        slow = Slow()
        settings = {"slow_time_limit": "1s", "command_time_limit": "900s"}
        timed = TimedTransport(slow, Config.from_settings(settings, "slow unix - - n - - own\n"), "slow")
        assert timed._limit_s == 1.0
        timed._limit_s = 0.01
        with pytest.raises(TimeoutError, match="no answer within"):
            await timed.deliver(delivery("", "a@x.example"))
        slow.may_answer.set()
        report = await timed.deliver(delivery("", "a@x.example", "b@x.example"))
        assert [status.text for status in report.statuses] == ["at last"] * 2
        timed.reload(Config.from_settings({"command_time_limit": "7s"}))
        assert timed._limit_s == 7.0
        await timed.close()
        return slow.events

    assert asyncio.run(run()) == ["cancelled", "reload", "close"]


def test_no_time_at_all_is_no_limit_that_anybody_means() -> None:
    with pytest.raises(ConfigError, match="command_time_limit"):
        Config.from_settings({"command_time_limit": "0s"}).transport_seconds("x", "time_limit")
