"""Parameters that Postfix does not have."""

from __future__ import annotations

import msgspec

from gateway.config.parameter import Parameter, choice, integer, seconds, size, words

_OURS = (
    words("plugins", "access, rbl, policy", "Plugins to load, in the order in which they are asked at every stage."),
    seconds("plugin_timeout", "30s", "Longest time one plugin may take for one call, once it waits for something."),
    choice(
        "plugin_default_action",
        "tempfail",
        "tempfail accept reject hold shutdown skip",
        "What a plugin that raised, hung or answered nonsense stands for.",
    ),
    integer(
        "plugin_breaker_failures",
        "5",
        "Failures in a row after which a plugin is left alone for a while; 0: never.",
        low=0,
    ),
    seconds("plugin_breaker_reset", "60s", "How long a plugin is left alone after too many failures."),
    integer("plugin_threads", "8", "Threads for plugins that block, in each process.", low=1, high=256),
    integer(
        "smtpd_workers", "0", "SMTP server processes; 0: one for each CPU but one, at least 1, at most 8.", high=256
    ),
    choice(
        "worker_cpu_affinity",
        "auto",
        "auto no",
        "auto: each worker stays on a CPU of its own when there are enough; no: let the kernel move them.",
    ),
    integer("smtpd_session_limit", "20000", "Sessions one SMTP server process holds at a time.", low=1),
    size("content_memory_limit", "262144", "Octets of a message kept in memory; a larger body streams to a file."),
    integer("spool_commit_limit", "512", "Messages made durable by one write at most.", low=1),
    seconds("scheduler_start_timeout", "30s", "How long the master waits for the scheduler to open the spool."),
    words("resolver_nameservers", "", "DNS servers as address or address:port; empty: those of the system."),
)

PARAMETERS: tuple[Parameter, ...] = tuple(msgspec.structs.replace(row, origin="postgate") for row in _OURS)
