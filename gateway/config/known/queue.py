"""Parameters of Postfix 3.7: queue, scheduler, bounces. Source: postconf(5)."""

from __future__ import annotations

from gateway.config.parameter import Parameter, boolean, integer, seconds, size, text, words

PARAMETERS: tuple[Parameter, ...] = (
    text(
        "2bounce_notice_recipient",
        "postmaster",
        "Who hears of mail that could be neither delivered nor returned (with notify_classes).",
        low=1,
    ),
    words("authorized_flush_users", "static:anyone", "Users who may flush the queue."),
    words("authorized_mailq_users", "static:anyone", "Users who may list the queue."),
    words("authorized_submit_users", "static:anyone", "Users who may send with the sendmail command."),
    boolean("backwards_bounce_logfile_compatibility", "yes", "Keep the old bounce log format beside the new one."),
    text("bounce_notice_recipient", "postmaster", "Who gets copies of bounces (with notify_classes).", low=1),
    seconds(
        "bounce_queue_lifetime",
        "5d",
        "How long a bounce itself may stay in the queue; 0: one attempt.",
        unit="d",
        low=0,
        high=8640000,
    ),
    text("bounce_service_name", "bounce", "Name of the service that keeps failure records.", low=1),
    size("bounce_size_limit", "50000", "Octets of the original message that a bounce returns.", low=1),
    text("bounce_template_file", "", "File with the texts of bounces."),
    boolean("confirm_delay_cleared", "no", "Tell the sender when delayed mail was delivered after all."),
    integer(
        "default_delivery_slot_cost",
        "5",
        "Recipients after which a transport earns a slot for a message that overtakes.",
    ),
    integer(
        "default_delivery_slot_discount", "50", "Part of the slots that are given in advance, in percent.", high=100
    ),
    integer("default_delivery_slot_loan", "3", "Slots that are given in advance."),
    text("default_delivery_status_filter", "", "Table that changes the status of deliveries."),
    integer(
        "default_destination_concurrency_failed_cohort_limit",
        "1",
        "Failures of a whole set of deliveries in a row until a destination counts as dead; 0: never.",
    ),
    integer(
        "default_destination_concurrency_limit", "20", "Most deliveries at a time to one destination; 0: no limit."
    ),
    text(
        "default_destination_concurrency_negative_feedback",
        "1",
        "How much a failure lowers a destination's concurrency: number, or n/concurrency, n/sqrt_concurrency.",
        low=1,
    ),
    text(
        "default_destination_concurrency_positive_feedback",
        "1",
        "How much a success raises a destination's concurrency: number, or n/concurrency, n/sqrt_concurrency.",
        low=1,
    ),
    seconds(
        "default_destination_rate_delay",
        "0s",
        "Pause between deliveries to one destination; more than 0 makes it one at a time.",
        low=0,
    ),
    integer("default_destination_recipient_limit", "50", "Most recipients of one delivery; 0: no limit."),
    integer(
        "default_extra_recipient_limit", "1000", "Recipients in memory beyond the limit, for messages that overtake."
    ),
    integer("default_minimum_delivery_slots", "3", "Slots that a message must be worth for others to overtake it."),
    integer("default_recipient_limit", "20000", "Recipients in memory for one transport."),
    seconds(
        "default_recipient_refill_delay", "5s", "Longest time between two looks for further recipients of a message."
    ),
    integer("default_recipient_refill_limit", "100", "Recipients that are read into memory at once.", low=1),
    seconds("default_transport_rate_delay", "0s", "Pause between deliveries over one transport.", low=0),
    text("default_verp_delimiters", "+=", "The two characters of VERP addresses."),
    words("defer_transports", "", "Transports whose mail waits until the queue is flushed."),
    integer("delay_logging_resolution_limit", "2", "Digits after the decimal point in delays=.", high=6),
    text("delay_notice_recipient", "postmaster", "Who gets copies of delay warnings (with notify_classes).", low=1),
    seconds("delay_warning_time", "0h", "When to warn the sender that mail is delayed; 0: never.", low=0, unit="h"),
    boolean("destination_concurrency_feedback_debug", "no", "Log how concurrency changes."),
    boolean("disable_verp_bounces", "no", "Use one VERP bounce for many recipients."),
    integer("dont_remove", "0", "Keep delivered messages in the saved queue, for debugging."),
    text(
        "double_bounce_sender",
        "double-bounce",
        "Local part that bounces of bounces come from; undeliverable mail from it is dropped.",
        low=1,
    ),
    integer("duplicate_filter_limit", "1000", "Addresses remembered to drop duplicate recipients."),
    boolean("enable_long_queue_ids", "no", "Use queue IDs that are not soon used again (here always so)."),
    boolean("enable_original_recipient", "yes", "Keep the recipient as given before aliases."),
    boolean("enable_threaded_bounces", "no", "Put References: and In-Reply-To: into bounces."),
    text("error_notice_recipient", "postmaster", "Who hears of errors (with notify_classes).", low=1),
    words("fast_flush_domains", "$relay_domains", "Destinations that ETRN and sendmail -qR may flush."),
    seconds("fast_flush_purge_time", "7d", "How long per-destination queue notes are kept.", unit="d"),
    seconds("fast_flush_refresh_time", "12h", "How often they are refreshed.", unit="h"),
    integer("fault_injection_code", "0", "For tests of Postfix itself."),
    integer("hash_queue_depth", "1", "Directory levels of hashed queues.", low=1),
    words("hash_queue_names", "deferred, defer", "Queues with hashed directories.", low=1),
    seconds(
        "in_flow_delay",
        "1s",
        "Pause before taking mail when it comes in faster than it goes out; 0: none.",
        low=0,
        high=10,
    ),
    integer(
        "initial_destination_concurrency", "5", "Deliveries at a time to a destination that is not yet known.", low=1
    ),
    seconds("maximal_backoff_time", "4000s", "Longest pause between two attempts for a message."),
    seconds(
        "maximal_queue_lifetime",
        "5d",
        "How long mail is tried before it is returned; 0: one attempt.",
        unit="d",
        low=0,
        high=8640000,
    ),
    seconds("minimal_backoff_time", "300s", "Shortest pause between two attempts for a message."),
    seconds(
        "qmgr_clog_warn_time", "300s", "Warn this often that one destination fills the active queue; 0: never.", low=0
    ),
    seconds("qmgr_daemon_timeout", "1000s", "How long a stuck queue manager process may live."),
    integer("qmgr_fudge_factor", "100", "Obsolete since Postfix 2.5.", low=10, high=100),
    seconds("qmgr_ipc_timeout", "60s", "Longest wait of the queue manager for another service."),
    integer("qmgr_message_active_limit", "20000", "Messages in the active queue.", low=1),
    integer("qmgr_message_recipient_limit", "20000", "Recipients in memory.", low=1),
    integer("qmgr_message_recipient_minimum", "10", "Recipients in memory for one message at least.", low=1),
    text("queue_directory", "/var/spool/postgate", "Directory of the mail queue and of the sockets.", low=1),
    integer("queue_file_attribute_count_limit", "100", "Attributes of one queue file.", low=1),
    size("queue_minfree", "0", "Octets that must stay free in the queue file system; 0: no limit."),
    seconds("queue_run_delay", "300s", "Pause between two looks for mail that is due."),
    text("queue_service_name", "qmgr", "Name of the scheduler's service.", low=1),
    seconds("transport_retry_time", "60s", "Pause before a transport that failed is tried again."),
    seconds("trigger_timeout", "10s", "Longest wait when a service is woken up."),
    text("verp_delimiter_filter", "-=+", "Characters that may be VERP delimiters.", low=1),
)
