"""Parameters of Postfix 3.7: SMTP server. Source: postconf(5)."""

from __future__ import annotations

from gateway.config.parameter import Parameter, boolean, choice, integer, raw, seconds, text, words

_PRINTABLE = (
    r"\t\40!" + '"' + r"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
)

_RELAY_RESTRICTIONS = (
    "${{$compatibility_level} <level {1} ? {} "
    ": {permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination}}"
)

PARAMETERS: tuple[Parameter, ...] = (
    integer(
        "access_map_defer_code",
        "450",
        "Reply code of DEFER, DEFER_IF_PERMIT and DEFER_IF_REJECT in access tables.",
        low=200,
        high=599,
    ),
    integer("access_map_reject_code", "554", "Reply code of REJECT in access tables.", low=200, high=599),
    seconds("anvil_rate_time_unit", "60s", "The time over which client rates are counted."),
    seconds("anvil_status_update_time", "600s", "How often peak client rates are logged."),
    raw(
        "default_rbl_reply",
        "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}",
        "Reply to clients on a DNS block list.",
        low=1,
    ),
    integer("defer_code", "450", "Reply code of the defer restriction.", low=200, high=599),
    boolean("disable_vrfy_command", "no", "Refuse VRFY."),
    boolean("helpful_warnings", "yes", "Warn of settings that surprise."),
    integer("invalid_hostname_reject_code", "501", "Reply code of reject_invalid_helo_hostname.", low=200, high=599),
    words("maps_rbl_domains", "", "Obsolete; use reject_rbl_client."),
    integer("maps_rbl_reject_code", "554", "Reply code of rejects by DNS block lists.", low=200, high=599),
    integer(
        "multi_recipient_bounce_reject_code", "550", "Reply code of reject_multi_recipient_bounce.", low=200, high=599
    ),
    integer("non_fqdn_reject_code", "504", "Reply code of reject_non_fqdn_*.", low=200, high=599),
    words(
        "notify_classes",
        "resource, software",
        "What the postmaster hears of: bounce, 2bounce, data, delay, policy, protocol, resource, software.",
    ),
    words("permit_mx_backup_networks", "", "Networks of primary mail exchangers for permit_mx_backup."),
    integer("plaintext_reject_code", "450", "Reply code of reject_plaintext_session.", low=200, high=599),
    words("rbl_reply_maps", "", "Replies by DNS block list."),
    integer("reject_code", "554", "Reply code of the reject restriction.", low=200, high=599),
    choice(
        "reject_tempfail_action",
        "defer_if_permit",
        "defer defer_if_permit reject",
        "What a temporary error means to reject_unknown_* restrictions.",
    ),
    integer("relay_domains_reject_code", "554", "Reply code of reject_unauth_destination.", low=200, high=599),
    boolean("resolve_null_domain", "no", 'Accept addresses that end in "@".'),
    boolean("resolve_numeric_domain", "no", "Accept user@ipaddress without brackets."),
    boolean("show_user_unknown_table_name", "yes", "Tell clients in which table an unknown user is missing."),
    words("smtpd_authorized_verp_clients", "$authorized_verp_clients", "Clients that may ask for VERP."),
    words("smtpd_authorized_xclient_hosts", "", "Clients that may use XCLIENT."),
    words("smtpd_authorized_xforward_hosts", "", "Clients that may use XFORWARD."),
    text("smtpd_banner", "$myhostname ESMTP $mail_name", "Text after 220; must start with $myhostname.", low=1),
    integer("smtpd_client_auth_rate_limit", "0", "AUTH commands of one client in anvil_rate_time_unit; 0: no limit."),
    integer("smtpd_client_connection_count_limit", "50", "Connections of one client at a time; 0: no limit."),
    integer(
        "smtpd_client_connection_rate_limit", "0", "Connections of one client in anvil_rate_time_unit; 0: no limit."
    ),
    words(
        "smtpd_client_event_limit_exceptions",
        "${smtpd_client_connection_limit_exceptions:$mynetworks}",
        "Clients that these limits leave alone.",
    ),
    integer("smtpd_client_message_rate_limit", "0", "Messages of one client in anvil_rate_time_unit; 0: no limit."),
    integer(
        "smtpd_client_new_tls_session_rate_limit",
        "0",
        "New TLS sessions of one client in anvil_rate_time_unit; 0: no limit.",
    ),
    boolean("smtpd_client_port_logging", "no", "Log the client's port."),
    integer("smtpd_client_recipient_rate_limit", "0", "Recipients of one client in anvil_rate_time_unit; 0: no limit."),
    words("smtpd_client_restrictions", "", "What is asked about a client when it connects."),
    text("smtpd_command_filter", "", "Table that rewrites commands."),
    words("smtpd_data_restrictions", "", "What is asked at DATA."),
    boolean("smtpd_delay_open_until_valid_rcpt", "yes", "Make no queue file before the first good recipient."),
    boolean("smtpd_delay_reject", "yes", "Wait with refusals of client, HELO and sender until RCPT."),
    words("smtpd_discard_ehlo_keyword_address_maps", "", "EHLO keywords that are not announced, by client address."),
    words("smtpd_discard_ehlo_keywords", "", "EHLO keywords that are not announced."),
    text("smtpd_dns_reply_filter", "", "Table that changes DNS replies."),
    words("smtpd_end_of_data_restrictions", "", "What is asked at the end of a message."),
    seconds("smtpd_error_sleep_time", "1s", "Pause before a reply once a client made too many errors.", low=0),
    words("smtpd_etrn_restrictions", "", "What is asked at ETRN."),
    raw("smtpd_expansion_filter", _PRINTABLE, "Characters that $name in reject replies may bring in.", low=1),
    choice(
        "smtpd_forbid_bare_newline",
        "reject",
        "no yes normalize reject note",
        "What a line that ends in bare LF or CR means: no, yes, normalize, reject, note.",
    ),
    words(
        "smtpd_forbid_bare_newline_exclusions", "$mynetworks", "Clients that smtpd_forbid_bare_newline leaves alone."
    ),
    integer(
        "smtpd_forbid_bare_newline_reject_code", "550", "Reply code for content with such a line.", low=500, high=599
    ),
    boolean("smtpd_forbid_unauth_pipelining", "no", "Hang up on clients that speak before it is their turn."),
    words(
        "smtpd_forbidden_commands",
        "CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}",
        "Commands after which the connection is closed at once.",
    ),
    integer(
        "smtpd_hard_error_limit", "${stress?{1}:{20}}", "Errors of a client after which it is disconnected.", low=1
    ),
    boolean("smtpd_helo_required", "no", "Refuse MAIL before HELO or EHLO."),
    words("smtpd_helo_restrictions", "", "What is asked at HELO and EHLO."),
    integer("smtpd_history_flush_threshold", "100", "Lines of a session kept for the postmaster.", low=1),
    integer(
        "smtpd_junk_command_limit",
        "${stress?{1}:{100}}",
        "NOOP, VRFY, ETRN and RSET commands without mail that are no error.",
        low=1,
    ),
    words("smtpd_log_access_permit_actions", "", "Permit actions that are logged."),
    words("smtpd_milter_maps", "", "smtpd_milters by client address."),
    words("smtpd_milters", "", "Milters for mail that comes over SMTP."),
    integer("smtpd_min_data_rate", "500", "Octets a second under smtpd_per_request_deadline.", low=1),
    words("smtpd_noop_commands", "", "Commands that are answered with 250 and do nothing."),
    text("smtpd_null_access_lookup_key", "<>", "Key for the null sender in access tables."),
    boolean("smtpd_peername_lookup", "yes", "Look up client host names."),
    boolean(
        "smtpd_per_request_deadline",
        "${smtpd_per_record_deadline?{$smtpd_per_record_deadline}:{${stress?{yes}:{no}}}}",
        "Time limits hold for a whole command and not for each read.",
    ),
    text(
        "smtpd_policy_service_default_action",
        "451 4.3.5 Server configuration problem",
        "What holds when a policy service fails.",
        low=1,
    ),
    seconds("smtpd_policy_service_max_idle", "300s", "How long an idle policy connection is kept."),
    seconds("smtpd_policy_service_max_ttl", "1000s", "Longest life of a policy connection."),
    text("smtpd_policy_service_policy_context", "", "The policy_context attribute of policy requests."),
    integer("smtpd_policy_service_request_limit", "0", "Requests on one connection to a policy server; 0: no limit."),
    seconds("smtpd_policy_service_retry_delay", "1s", "Pause before a policy request is tried again."),
    seconds("smtpd_policy_service_timeout", "100s", "Longest wait for a policy service."),
    integer("smtpd_policy_service_try_limit", "2", "Attempts for one policy request.", low=1),
    text("smtpd_proxy_ehlo", "$myhostname", "Name told to the before-queue filter."),
    text("smtpd_proxy_filter", "", "Before-queue filter that all mail goes through."),
    words("smtpd_proxy_options", "", "Options of the before-queue filter: speed_adjust."),
    seconds("smtpd_proxy_timeout", "100s", "Longest wait for the before-queue filter."),
    integer("smtpd_recipient_limit", "1000", "Recipients of one message.", low=1),
    integer(
        "smtpd_recipient_overshoot_limit",
        "1000",
        "Recipients above that are refused before they count as errors.",
        low=1,
    ),
    words("smtpd_recipient_restrictions", "", "What is asked at RCPT, after smtpd_relay_restrictions."),
    raw("smtpd_reject_footer", "", "Text after every 4xx and 5xx reply."),
    words("smtpd_reject_footer_maps", "", "The same by reply."),
    boolean("smtpd_reject_unlisted_recipient", "yes", "Refuse recipients that no table knows."),
    boolean("smtpd_reject_unlisted_sender", "no", "Refuse senders of our domains that no table knows."),
    boolean(
        "smtpd_relay_before_recipient_restrictions",
        "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
        "Ask smtpd_relay_restrictions first.",
    ),
    words("smtpd_relay_restrictions", _RELAY_RESTRICTIONS, "Who may relay where, asked at RCPT."),
    words("smtpd_restriction_classes", "", "Names of restriction lists that may be used in others."),
    words("smtpd_sender_login_maps", "", "Logins that may use a sender address."),
    words("smtpd_sender_restrictions", "", "What is asked at MAIL."),
    text("smtpd_service_name", "smtpd", "Name of the service that postscreen hands clients to.", low=1),
    integer("smtpd_soft_error_limit", "10", "Errors of a client after which replies are slowed down.", low=1),
    seconds("smtpd_timeout", "${stress?{10}:{300}}s", "Longest wait for a client, reading or writing."),
    choice(
        "smtpd_upstream_proxy_protocol", "", "haproxy", "Proxy protocol before the session: haproxy.", may_be_empty=True
    ),
    seconds("smtpd_upstream_proxy_timeout", "5s", "Longest wait for the proxy's line."),
    boolean("soft_bounce", "no", "Answer 4xx where 5xx is meant, and keep mail that would be returned."),
    text("stress", "", "yes when all SMTP servers are busy; changes a few defaults."),
    boolean("strict_rfc821_envelopes", "no", "Refuse addresses without <> in MAIL and RCPT."),
    integer(
        "unknown_address_reject_code",
        "450",
        "Reply code of reject_unknown_{sender,recipient}_domain.",
        low=200,
        high=599,
    ),
    choice(
        "unknown_address_tempfail_action",
        "$reject_tempfail_action",
        "defer defer_if_permit reject",
        "What they do on a temporary error.",
    ),
    integer("unknown_client_reject_code", "450", "Reply code of reject_unknown_client_hostname.", low=200, high=599),
    choice(
        "unknown_helo_hostname_tempfail_action",
        "$reject_tempfail_action",
        "defer defer_if_permit reject",
        "What reject_unknown_helo_hostname does on a temporary error.",
    ),
    integer("unknown_hostname_reject_code", "450", "Reply code of reject_unknown_helo_hostname.", low=200, high=599),
    integer(
        "unknown_local_recipient_reject_code", "550", "Reply code for unknown local recipients.", low=200, high=599
    ),
    integer(
        "unknown_relay_recipient_reject_code",
        "550",
        "Reply code for unknown recipients in relay_domains.",
        low=200,
        high=599,
    ),
    integer(
        "unknown_virtual_alias_reject_code",
        "550",
        "Reply code for unknown recipients in virtual_alias_domains.",
        low=200,
        high=599,
    ),
    integer(
        "unknown_virtual_mailbox_reject_code",
        "550",
        "Reply code for unknown recipients in virtual_mailbox_domains.",
        low=200,
        high=599,
    ),
    integer(
        "unverified_recipient_defer_code", "450", "Reply code when a recipient probe gets no answer.", low=200, high=499
    ),
    integer("unverified_recipient_reject_code", "450", "Reply code when a recipient probe fails.", low=200, high=599),
    text("unverified_recipient_reject_reason", "", "Text of the refusal of a recipient that failed its probe."),
    choice(
        "unverified_recipient_tempfail_action",
        "$reject_tempfail_action",
        "defer defer_if_permit reject",
        "What holds when a recipient probe has no result yet.",
    ),
    integer("unverified_sender_defer_code", "450", "Reply code when a sender probe gets no answer.", low=200, high=499),
    integer("unverified_sender_reject_code", "450", "Reply code when a sender probe fails.", low=200, high=599),
    text("unverified_sender_reject_reason", "", "Text of the refusal of a sender that failed its probe."),
    choice(
        "unverified_sender_tempfail_action",
        "$reject_tempfail_action",
        "defer defer_if_permit reject",
        "What holds when a sender probe has no result yet.",
    ),
)
