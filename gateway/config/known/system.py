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
    words("alternate_config_directories"),
    seconds("application_event_drain_time", "100s"),
    size("berkeley_db_create_buffer_size", "16777216"),
    size("berkeley_db_read_buffer_size", "131072"),
    text("command_directory", "/usr/sbin"),
    text("compatibility_level", "0"),
    text("config_directory", "/etc/postgate"),
    text("daemon_directory", "/usr/lib/postgate"),
    boolean("daemon_table_open_error_is_fatal", "no"),
    seconds("daemon_timeout", "18000s"),
    text("data_directory", "/var/lib/postgate"),
    integer("debug_peer_level", "2", low=1),
    words("debug_peer_list"),
    text("debugger_command"),
    text("default_database_type", "hash"),
    integer("default_process_limit", "100", low=1),
    text("defer_service_name", "defer"),
    text("error_service_name", "error"),
    text("flush_service_name", "flush"),
    integer("fork_attempts", "5", low=1),
    seconds("fork_delay", "1s"),
    text("html_directory", "no"),
    words(
        "import_environment",
        "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME",
    ),
    choice("info_log_address_format", "external", "internal external"),
    seconds("ipc_idle", "5s"),
    seconds("ipc_timeout", "3600s"),
    seconds("ipc_ttl", "1000s"),
    size("lmdb_map_size", "16777216"),
    text("mail_name", "Postfix"),
    text("mail_owner", "postfix"),
    text("mail_release_date"),
    text("mail_version"),
    text("maillog_file"),
    text("maillog_file_compressor", "gzip"),
    words("maillog_file_prefixes", "/var, /dev/stdout"),
    text("maillog_file_rotate_suffix", "%Y%m%d-%H%M%S"),
    text("mailq_path", "/usr/bin/mailq"),
    text("manpage_directory", "/usr/share/man"),
    words("master_service_disable"),
    seconds("max_idle", "100s"),
    integer("max_use", "100", low=1),
    text("meta_directory", "/etc/postgate"),
    words("multi_instance_directories"),
    boolean("multi_instance_enable", "no"),
    text("multi_instance_group"),
    text("multi_instance_name"),
    text("multi_instance_wrapper"),
    text("pickup_service_name", "pickup"),
    text("postlog_service_name", "postlog"),
    seconds("postlogd_watchdog_timeout", "10s"),
    words("postmulti_control_commands", "reload flush"),
    words("postmulti_start_commands", "start"),
    words("postmulti_stop_commands", "stop abort drain quick-stop"),
    text("process_id"),
    text("process_id_directory", "pid"),
    text("process_name", "postconf"),
    words("proxy_read_maps", _PROXY_READ_MAPS),
    words(
        "proxy_write_maps",
        "$smtp_sasl_auth_cache_name $lmtp_sasl_auth_cache_name $address_verify_map $postscreen_cache_map",
    ),
    text("proxymap_service_name", "proxymap"),
    text("proxywrite_service_name", "proxywrite"),
    words("qmqpd_authorized_clients"),
    boolean("qmqpd_client_port_logging", "no"),
    seconds("qmqpd_error_delay", "1s", low=0),
    seconds("qmqpd_timeout", "300s"),
    text("readme_directory", "no"),
    boolean("respectful_logging", "${{$compatibility_level} <level {3.6} ? {no} : {yes}}"),
    text("rewrite_service_name", "rewrite"),
    text("sample_directory", "/etc/postgate"),
    text("sendmail_path", "/usr/sbin/sendmail"),
    text("service_name"),
    seconds("service_throttle_time", "60s"),
    text("setgid_group", "postdrop"),
    text("shlib_directory", "no"),
    text("showq_service_name", "showq"),
    choice("syslog_facility", "mail", _FACILITIES),
    text("syslog_name", "${multi_instance_name?{$multi_instance_name}:{postfix}}"),
    text("trace_service_name", "trace"),
)
