"""Parameters of Postfix 3.7: processes, directories, logging. Source: postconf(5)."""

from __future__ import annotations

from gateway.config.parameter import Parameter, boolean, choice, integer, seconds, size, text, words

_PROXY_READ_MAPS = "$" + (
    "local_recipient_maps mydestination virtual_alias_maps virtual_alias_domains virtual_mailbox_maps "
    "virtual_mailbox_domains relay_recipient_maps relay_domains canonical_maps sender_canonical_maps "
    "recipient_canonical_maps relocated_maps transport_maps mynetworks smtpd_sender_login_maps sender_bcc_maps "
    "recipient_bcc_maps smtp_generic_maps lmtp_generic_maps alias_maps smtpd_client_restrictions "
    "smtpd_helo_restrictions smtpd_sender_restrictions smtpd_relay_restrictions smtpd_recipient_restrictions "
    "address_verify_sender_dependent_default_transport_maps address_verify_sender_dependent_relayhost_maps "
    "address_verify_transport_maps fallback_transport_maps lmtp_discard_lhlo_keyword_address_maps "
    "lmtp_pix_workaround_maps lmtp_sasl_password_maps lmtp_tls_policy_maps mailbox_command_maps "
    "mailbox_transport_maps postscreen_discard_ehlo_keyword_address_maps rbl_reply_maps "
    "sender_dependent_default_transport_maps sender_dependent_relayhost_maps "
    "smtp_discard_ehlo_keyword_address_maps smtp_pix_workaround_maps smtp_sasl_password_maps smtp_tls_policy_maps "
    "smtpd_discard_ehlo_keyword_address_maps smtpd_milter_maps virtual_gid_maps virtual_uid_maps "
    "local_login_sender_maps postscreen_reject_footer_maps smtpd_reject_footer_maps tls_server_sni_maps "
    "tlsproxy_client_policy_maps default_delivery_status_filter lmtp_delivery_status_filter lmtp_dns_reply_filter "
    "lmtp_reply_filter local_delivery_status_filter pipe_delivery_status_filter postscreen_command_filter "
    "smtp_delivery_status_filter smtp_dns_reply_filter smtp_reply_filter smtpd_command_filter "
    "smtpd_dns_reply_filter virtual_delivery_status_filter body_checks header_checks lmtp_body_checks "
    "lmtp_header_checks lmtp_mime_header_checks lmtp_nested_header_checks milter_header_checks mime_header_checks "
    "nested_header_checks smtp_body_checks smtp_header_checks smtp_mime_header_checks smtp_nested_header_checks"
).replace(" ", " $")

_FACILITIES = (
    "auth authpriv cron daemon ftp kern lpr mail news syslog user uucp"
    " local0 local1 local2 local3 local4 local5 local6 local7"
)

PARAMETERS: tuple[Parameter, ...] = (
    words("alternate_config_directories", "", "Other configuration directories that set-gid commands accept."),
    seconds("application_event_drain_time", "100s", "How long a stopping process waits for its last connections."),
    size("berkeley_db_create_buffer_size", "16777216", "Octets of memory for writing hash and btree tables.", low=1),
    size("berkeley_db_read_buffer_size", "131072", "Octets of memory for reading hash and btree tables.", low=1),
    text("command_directory", "/usr/sbin", "Where the administration commands are installed.", low=1),
    text("compatibility_level", "0", "Up to which Postfix version new defaults are welcome."),
    text("config_directory", "/etc/postgate", "Directory of main.cf and master.cf.", low=1),
    text("daemon_directory", "/usr/lib/postgate", "Where the daemon programs are installed.", low=1),
    boolean("daemon_table_open_error_is_fatal", "no", "Refuse to start when a table cannot be opened."),
    seconds("daemon_timeout", "18000s", "Longest time a daemon may be busy with one request."),
    text("data_directory", "/var/lib/postgate", "Directory for files that daemons write: caches, locks.", low=1),
    integer("debug_peer_level", "2", "How much more is logged for debug_peer_list.", low=1),
    words("debug_peer_list", "", "Peers whose sessions are logged in detail."),
    text("debugger_command", "", "Command started by a program with the option -D."),
    text("default_database_type", "hash", "Table type that postmap, postalias and newaliases assume.", low=1),
    integer("default_process_limit", "100", "Processes of a service whose master.cf row does not say.", low=1),
    text("defer_service_name", "defer", "Name of the service that keeps delay records.", low=1),
    text("error_service_name", "error", "Transport of mail that must fail.", low=1),
    text("flush_service_name", "flush", "Name of the service for fast flush.", low=1),
    integer("fork_attempts", "5", "Tries to start a process.", low=1),
    seconds("fork_delay", "1s", "Pause between them."),
    text("html_directory", "no", "Where the HTML manual is."),
    words(
        "import_environment",
        "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME",
        "Environment that processes keep, as NAME or NAME=value.",
    ),
    choice(
        "info_log_address_format",
        "external",
        "internal external",
        "Form of addresses in the log: external or internal.",
    ),
    seconds("ipc_idle", "5s", "How long an idle client of an internal service keeps its connection."),
    seconds("ipc_timeout", "3600s", "Longest wait for an internal service."),
    seconds("ipc_ttl", "1000s", "Longest life of a connection to an internal service."),
    size("lmdb_map_size", "16777216", "Octets an LMDB table begins with.", low=1),
    text("mail_name", "Postfix", "Name of the mail system in banner, Received: and bounces.", low=1),
    text("mail_owner", "postfix", "User the mail system runs as.", low=1),
    text("mail_release_date", "", "Date of the release."),
    text("mail_version", "", "Version of the mail system."),
    text("maillog_file", "", "File to log to, or /dev/stdout; empty: syslog."),
    text("maillog_file_compressor", "gzip", "Command that compresses a rotated log.", low=1),
    words("maillog_file_prefixes", "/var, /dev/stdout", "Where maillog_file may be.", low=1),
    text("maillog_file_rotate_suffix", "%Y%m%d-%H%M%S", "strftime pattern for a rotated log's name.", low=1),
    text("mailq_path", "/usr/bin/mailq", "Where the mailq command is."),
    text("manpage_directory", "/usr/share/man", "Where manual pages are."),
    words("master_service_disable", "", "Services of master.cf that are not started."),
    seconds("max_idle", "100s", "How long an idle process of an internal service lives."),
    integer("max_use", "100", "Requests after which such a process ends.", low=1),
    text("meta_directory", "/etc/postgate", "Where packaging metadata is.", low=1),
    words("multi_instance_directories", "", "Configuration directories of further instances."),
    boolean("multi_instance_enable", "no", "Let the multi-instance manager start this instance."),
    text("multi_instance_group", "", "Group of instances that this one is in."),
    text("multi_instance_name", "", "Name of this instance."),
    text("multi_instance_wrapper", "", "Command of the multi-instance manager."),
    text("pickup_service_name", "pickup", "Name of the service for mail from the sendmail command.", low=1),
    text("postlog_service_name", "postlog", "Name of the logging service.", low=1),
    seconds("postlogd_watchdog_timeout", "10s", "How long a stuck logging process may live.", low=10),
    words("postmulti_control_commands", "reload flush", "Commands that are passed on to all running instances."),
    words("postmulti_start_commands", "start", "Commands that start instances."),
    words("postmulti_stop_commands", "stop abort drain quick-stop", "Commands that stop instances."),
    text("process_id", "", "Number of this process."),
    text("process_id_directory", "pid", "Where lock files with process numbers are, below queue_directory.", low=1),
    text("process_name", "", "Name of this program."),
    words("proxy_read_maps", _PROXY_READ_MAPS, "Tables that the proxymap service may read."),
    words(
        "proxy_write_maps",
        "$smtp_sasl_auth_cache_name $lmtp_sasl_auth_cache_name $address_verify_map $postscreen_cache_map",
        "Tables that the proxywrite service may change.",
    ),
    text("proxymap_service_name", "proxymap", "Name of the table lookup service.", low=1),
    text("proxywrite_service_name", "proxywrite", "Name of the table update service.", low=1),
    words("qmqpd_authorized_clients", "", "Clients that may use QMQP."),
    boolean("qmqpd_client_port_logging", "no", "Log the port of QMQP clients."),
    seconds("qmqpd_error_delay", "1s", "Pause before an error is told to a QMQP client.", low=0),
    seconds("qmqpd_timeout", "300s", "Longest wait for a QMQP client."),
    text("readme_directory", "no", "Where README files are."),
    boolean(
        "respectful_logging",
        "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
        "Say allowlist and denylist in the log.",
    ),
    text("rewrite_service_name", "rewrite", "Name of the address rewriting service.", low=1),
    text("sample_directory", "/etc/postgate", "Where sample files are."),
    text("sendmail_path", "/usr/sbin/sendmail", "Where the sendmail command is."),
    text("service_name", "", "master.cf name of the running service."),
    seconds("service_throttle_time", "60s", "Pause before a service that failed is started again."),
    text("setgid_group", "postdrop", "Group of the commands that submit mail and manage the queue.", low=1),
    text("shlib_directory", "no", "Where shared libraries are."),
    text("showq_service_name", "showq", "Name of the service that lists the queue.", low=1),
    choice("syslog_facility", "mail", _FACILITIES, "Syslog facility."),
    text(
        "syslog_name",
        "${multi_instance_name?{$multi_instance_name}:{postfix}}",
        "First part of the program name in the log.",
        low=1,
    ),
    text("trace_service_name", "trace", "Name of the service that keeps success records.", low=1),
)
