from __future__ import annotations

import pytest

from gateway.config import Config
from gateway.model.address import Address
from gateway.model.errors import ConfigError
from gateway.scheduler.feedback import UNLIMITED
from gateway.scheduler.settings import DEFAULT_TRANSPORT_LIMIT, SchedulerSettings, transport_settings

SERVICES = """
smtp unix - - n - - smtp
relay unix - - n - 7 smtp -o syslog_name=postfix/$service_name
local unix - n n - 0 local
slow unix - - n - - smtp
"""


def config(**settings: str) -> Config:
    return Config.from_settings({"myhostname": "mx.example", "myorigin": "Example.com", **settings}, services=SERVICES)


def test_defaults_are_those_of_postfix() -> None:
    found = transport_settings(config(), "smtp")
    assert (found.program, found.syslog_name, found.limit, found.recipient_limit) == (
        "smtp", "", DEFAULT_TRANSPORT_LIMIT, 50,
    )  # fmt: skip
    assert (found.concurrency.initial, found.concurrency.limit, found.concurrency.failed_cohort_limit) == (5, 20, 1)
    assert (found.retry_s, found.rate_delay_s, found.is_deferred) == (60, 0, False)
    local = transport_settings(config(), "local")
    assert (local.recipient_limit, local.concurrency.limit, local.limit) == (1, 2, UNLIMITED)


def test_transport_specific_forms_override_the_default_ones() -> None:
    found = transport_settings(
        config(
            relay_destination_concurrency_limit="3",
            relay_initial_destination_concurrency="2",
            relay_destination_concurrency_positive_feedback="0.5",
            relay_destination_recipient_limit="0",
            defer_transports="relay",
        ),
        "relay",
    )
    assert (found.program, found.limit, found.recipient_limit, found.is_deferred) == ("smtp", 7, UNLIMITED, True)
    assert (found.concurrency.limit, found.concurrency.initial, found.concurrency.positive(3)) == (3, 2, 0.5)


def test_a_rate_delay_means_one_delivery_at_a_time() -> None:
    found = transport_settings(config(slow_destination_rate_delay="2s"), "slow")
    assert (found.rate_delay_s, found.concurrency.limit) == (2.0, 1)


def test_a_transport_that_is_not_in_master_cf_logs_its_own_name() -> None:
    found = transport_settings(config(), "mine")
    assert (found.program, found.recipient_limit) == ("mine", 50)


def test_bad_feedback_names_the_parameter() -> None:
    with pytest.raises(ConfigError, match="smtp_destination_concurrency_negative_feedback"):
        transport_settings(config(smtp_destination_concurrency_negative_feedback="lots"), "smtp")


def test_common_settings() -> None:
    found = SchedulerSettings.of(config(delay_warning_time="4h", qmgr_message_active_limit="100"))
    assert (found.active_limit, found.lifetimes.delay_warning_s, found.lifetimes.queue_lifetime_s) == (
        100,
        14400,
        432000,
    )
    assert found.double_bounce == Address("double-bounce", "example.com")
