"""Parameters that exist once for each transport of master.cf: ``<name>_destination_concurrency_limit`` and so on.

Source: ``default_*`` and ``transport_*`` of postconf(5), SCHEDULER_README.
"""

from __future__ import annotations

SUFFIXES: dict[str, str] = {
    "delivery_slot_cost": "default_delivery_slot_cost",
    "delivery_slot_discount": "default_delivery_slot_discount",
    "delivery_slot_loan": "default_delivery_slot_loan",
    "destination_concurrency_failed_cohort_limit": "default_destination_concurrency_failed_cohort_limit",
    "destination_concurrency_limit": "default_destination_concurrency_limit",
    "destination_concurrency_negative_feedback": "default_destination_concurrency_negative_feedback",
    "destination_concurrency_positive_feedback": "default_destination_concurrency_positive_feedback",
    "destination_rate_delay": "default_destination_rate_delay",
    "destination_recipient_limit": "default_destination_recipient_limit",
    "extra_recipient_limit": "default_extra_recipient_limit",
    "initial_destination_concurrency": "initial_destination_concurrency",
    "minimum_delivery_slots": "default_minimum_delivery_slots",
    "recipient_limit": "default_recipient_limit",
    "recipient_refill_delay": "default_recipient_refill_delay",
    "recipient_refill_limit": "default_recipient_refill_limit",
    "transport_rate_delay": "default_transport_rate_delay",
}
"""What follows ``<transport>_``, and the parameter that holds when main.cf has no such name."""

TIME_LIMIT = "time_limit"
"""``<service>_time_limit`` of pipe and spawn services; falls back to ``command_time_limit``."""

TIME_LIMIT_DEFAULT = "command_time_limit"

DELIVERY_COMMANDS = frozenset({"error", "lmtp", "local", "pipe", "smtp", "virtual"})
"""Programs whose master.cf rows ``postconf`` shows with these parameters."""

TIME_LIMIT_COMMANDS = frozenset({"pipe", "spawn"})
