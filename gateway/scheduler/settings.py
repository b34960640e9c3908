"""The scheduler's parameters, read once at start and at each reload.

Source: qmgr(8); transport-specific forms (``relay_destination_concurrency_limit``) override the ``default_`` ones.
"""

from __future__ import annotations

import msgspec

from gateway.config import Config, Service
from gateway.model.address import Address
from gateway.scheduler.backoff import Lifetimes
from gateway.scheduler.concurrency_policy import ConcurrencyPolicy, FeedbackFunction
from gateway.scheduler.feedback import UNLIMITED, parse_feedback

# Deliveries of one transport at a time where master.cf does not say: one task and one connection each, not a process
# as in Postfix, so that five slow destinations of 20 do not use up everybody's share.
DEFAULT_TRANSPORT_LIMIT = 1000


class TransportSettings(msgspec.Struct, frozen=True):
    """One transport's share of the parameters.

    Args:
        name: master.cf name.
        program: name in the log, e.g. ``smtp`` for the transport ``relay``, as the row's command says.
        syslog_name: the row's ``-o syslog_name``, or empty.
        limit: deliveries at a time over all destinations.
        recipient_limit: recipients of one delivery; 1 makes every recipient a destination of its own.
        concurrency: for each destination.
        retry_s: rest after the transport itself broke (``transport_retry_time``).
        rate_delay_s: pause between deliveries to one destination; above 0 there is one delivery at a time.
        is_deferred: named in ``defer_transports``: tried only when somebody flushes the queue.
    """

    name: str
    program: str
    syslog_name: str = ""
    limit: int = DEFAULT_TRANSPORT_LIMIT
    recipient_limit: int = 50
    concurrency: ConcurrencyPolicy = ConcurrencyPolicy()
    retry_s: float = 60.0
    rate_delay_s: float = 0.0
    is_deferred: bool = False


class SchedulerSettings(msgspec.Struct, frozen=True):
    """What is common to all transports."""

    lifetimes: Lifetimes = Lifetimes()
    active_limit: int = 20000
    queue_run_delay_s: float = 300.0
    double_bounce: Address = Address("double-bounce")

    @classmethod
    def of(cls, config: Config) -> SchedulerSettings:
        """Read them."""
        return cls(
            lifetimes=Lifetimes(
                minimal_backoff_s=config.seconds("minimal_backoff_time"),
                maximal_backoff_s=config.seconds("maximal_backoff_time"),
                queue_lifetime_s=config.seconds("maximal_queue_lifetime"),
                bounce_lifetime_s=config.seconds("bounce_queue_lifetime"),
                delay_warning_s=config.seconds("delay_warning_time"),
            ),
            active_limit=config.integer("qmgr_message_active_limit"),
            queue_run_delay_s=config.seconds("queue_run_delay"),
            double_bounce=Address(config.text("double_bounce_sender"), config.text("myorigin").lower()),
        )


def transport_settings(config: Config, name: str) -> TransportSettings:
    """Read one transport's parameters.

    Raises:
        ConfigError: a feedback parameter cannot be read.
    """
    service = _service(config, name)
    recipient_limit = config.transport_integer(name, "destination_recipient_limit")
    rate_delay_s = config.transport_seconds(name, "destination_rate_delay")
    limit = 1 if rate_delay_s > 0 else config.transport_integer(name, "destination_concurrency_limit")
    initial = f"{name}_initial_destination_concurrency"
    policy = ConcurrencyPolicy(
        initial=max(config.integer(initial if config.is_set(initial) else "initial_destination_concurrency"), 1),
        limit=limit if limit > 0 else UNLIMITED,
        positive=_feedback(config, name, "positive"),
        negative=_feedback(config, name, "negative"),
        failed_cohort_limit=config.transport_integer(name, "destination_concurrency_failed_cohort_limit"),
    )
    return TransportSettings(
        name=name,
        program=service.command.rpartition("/")[2] if service else name,
        syslog_name=config.expand(service.overrides.get("syslog_name", "")) if service else "",
        limit=_process_limit(service),
        recipient_limit=recipient_limit if recipient_limit > 0 else UNLIMITED,
        concurrency=policy,
        retry_s=config.seconds("transport_retry_time"),
        rate_delay_s=rate_delay_s,
        is_deferred=name in config.words("defer_transports"),
    )


def _service(config: Config, name: str) -> Service | None:
    return next((s for s in config.services if s.name == name and s.type == "unix"), None)


def _process_limit(service: Service | None) -> int:
    """The row's maxproc when it has a number: the administrator's cap on deliveries at a time; 0 means no cap."""
    if service is None or service.maxproc is None:
        return DEFAULT_TRANSPORT_LIMIT
    return service.maxproc or UNLIMITED


def _feedback(config: Config, transport: str, sign: str) -> FeedbackFunction:
    own = f"{transport}_destination_concurrency_{sign}_feedback"
    name = own if config.is_set(own) else f"default_destination_concurrency_{sign}_feedback"
    return parse_feedback(config.text(name), name)
