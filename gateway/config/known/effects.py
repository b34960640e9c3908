"""Which parameters are accepted without effect, and why.

A test compares this with what the code reads, in both directions: who makes a parameter work takes it out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gateway.config.parameter import Parameter

_WITHOUT_EFFECT: tuple[tuple[str, str], ...] = (
    (
        "TLS is not spoken yet, neither with clients nor with servers",
        """smtpd_tls_* smtp_tls_* lmtp_tls_* tls_* tlsmgr_service_name smtpd_use_tls smtpd_enforce_tls smtp_use_tls
        smtp_enforce_tls lmtp_use_tls lmtp_enforce_tls smtpd_starttls_timeout smtp_starttls_timeout
        lmtp_starttls_timeout openssl_path relay_clientcerts smtpd_client_new_tls_session_rate_limit""",
    ),
    (
        "nobody can log in yet: SASL is not spoken",
        """smtpd_sasl_authenticated_header smtpd_sasl_exceptions_networks smtpd_sasl_local_domain
        smtpd_sasl_mechanism_filter smtpd_sasl_path smtpd_sasl_response_limit smtpd_sasl_security_options
        smtpd_sasl_service smtpd_sasl_tls_security_options smtpd_sasl_type smtp_sasl_* lmtp_sasl_*
        broken_sasl_auth_clients cyrus_sasl_config_path send_cyrus_sasl_authzid
        smtp_sender_dependent_authentication lmtp_sender_dependent_authentication
        smtp_send_dummy_mail_auth lmtp_send_dummy_mail_auth smtpd_client_auth_rate_limit""",
    ),
    (
        "there is no postscreen: connections go to the SMTP server at once",
        "postscreen_* dnsblog_* tlsproxy_*",
    ),
    (
        "addresses are not probed yet",
        """address_verify_* unverified_* smtp_address_verify_target lmtp_address_verify_target""",
    ),
    (
        "milters are not asked yet",
        "milter_* smtpd_milters smtpd_milter_maps non_smtpd_milters internal_mail_filter_classes",
    ),
    (
        "header and body checks are not made yet",
        """header_checks body_checks body_checks_size_limit mime_header_checks nested_header_checks smtp_header_checks
        smtp_mime_header_checks smtp_nested_header_checks smtp_body_checks lmtp_header_checks lmtp_mime_header_checks
        lmtp_nested_header_checks lmtp_body_checks""",
    ),
    (
        "content goes through as it is: nothing in it is looked into, converted or taken out",
        """disable_mime_input_processing disable_mime_output_conversion detect_8bit_encoding_header
        strict_7bit_headers strict_8bitmime strict_8bitmime_body
        strict_mime_encoding_domain message_reject_characters message_strip_characters cleanup_replace_stray_cr_lf
        sendmail_fix_line_endings undisclosed_recipients_header smtputf8_autodetect_classes
        smtp_pix_workaround_delay_time smtp_pix_workaround_maps smtp_pix_workaround_threshold_time smtp_pix_workarounds
        lmtp_pix_workaround_delay_time lmtp_pix_workaround_maps lmtp_pix_workaround_threshold_time
        lmtp_pix_workarounds""",
    ),
    (
        "nothing is delivered to local users, files or commands yet",
        """allow_mail_to_commands allow_mail_to_files biff command_execution_directory command_expansion_filter
        default_privs deliver_lock_attempts deliver_lock_delay execution_directory_expansion_filter
        expand_owner_alias fallback_transport fallback_transport_maps forward_expansion_filter forward_path
        frozen_delivered_to home_mailbox local_command_shell local_delivery_status_filter luser_relay
        mail_spool_directory mailbox_command mailbox_command_maps mailbox_delivery_lock mailbox_size_limit
        mailbox_transport mailbox_transport_maps pipe_delivery_status_filter prepend_delivered_header
        require_home_directory reset_owner_alias stale_lock_time strict_mailbox_ownership sun_mailtool_compatibility
        virtual_delivery_status_filter virtual_gid_maps virtual_mailbox_base virtual_mailbox_limit
        virtual_mailbox_lock virtual_minimum_uid virtual_uid_maps""",
    ),
    (
        "who may submit mail with the sendmail command is not restricted yet",
        "authorized_submit_users local_login_sender_maps empty_address_local_login_sender_maps_lookup_key",
    ),
    (
        "there is no filter in front of the queue yet",
        "smtpd_proxy_*",
    ),
    (
        "replies and results are not changed by tables yet",
        """smtpd_reject_footer smtpd_reject_footer_maps smtpd_command_filter smtpd_dns_reply_filter
        smtp_reply_filter lmtp_reply_filter smtp_dns_reply_filter lmtp_dns_reply_filter
        smtp_delivery_status_filter lmtp_delivery_status_filter default_delivery_status_filter
        smtpd_discard_ehlo_keyword_address_maps smtp_discard_ehlo_keyword_address_maps
        lmtp_discard_lhlo_keyword_address_maps smtpd_log_access_permit_actions smtpd_forbid_bare_newline_exclusions""",
    ),
    (
        "ETRN is not served",
        "fast_flush_domains fast_flush_purge_time fast_flush_refresh_time flush_service_name smtpd_etrn_restrictions",
    ),
    (
        "there is no VERP",
        "default_verp_delimiters disable_verp_bounces verp_delimiter_filter smtpd_authorized_verp_clients",
    ),
    (
        "QMQP is not served",
        "qmqpd_*",
    ),
    (
        "notifications have fixed contents",
        """backwards_bounce_logfile_compatibility confirm_delay_cleared enable_threaded_bounces
        error_notice_recipient lmtp_assume_final""",
    ),
    (
        "the queue is a database: no directories, no file attributes, no files to keep",
        """hash_queue_depth hash_queue_names queue_file_attribute_count_limit enable_long_queue_ids dont_remove
        fault_injection_code""",
    ),
    (
        "the scheduler serves destinations in turn, and recipients need no memory of their own",
        """default_delivery_slot_cost default_delivery_slot_discount default_delivery_slot_loan
        default_minimum_delivery_slots default_extra_recipient_limit default_recipient_limit
        default_recipient_refill_delay default_recipient_refill_limit default_transport_rate_delay
        qmgr_message_recipient_limit qmgr_message_recipient_minimum qmgr_clog_warn_time qmgr_fudge_factor
        destination_concurrency_feedback_debug in_flow_delay""",
    ),
    (
        "a few processes that stay hold all sessions: none is started for a number of requests",
        """max_idle max_use default_process_limit application_event_drain_time daemon_timeout fork_attempts fork_delay
        ipc_idle ipc_timeout ipc_ttl service_throttle_time trigger_timeout qmgr_daemon_timeout qmgr_ipc_timeout
        postlogd_watchdog_timeout daemon_table_open_error_is_fatal process_id_directory import_environment
        master_service_disable anvil_status_update_time smtpd_history_flush_threshold
        connection_cache_protocol_timeout connection_cache_status_update_time connection_cache_ttl_limit
        smtpd_delay_open_until_valid_rcpt""",
    ),
    (
        "the service lives inside another process here, and is not asked by name",
        """bounce_service_name connection_cache_service_name defer_service_name error_service_name
        pickup_service_name postlog_service_name queue_service_name rewrite_service_name showq_service_name
        smtpd_service_name trace_service_name proxymap_service_name proxywrite_service_name""",
    ),
    (
        "tables are opened where they are asked: proxy: needs no permission here",
        "proxy_read_maps proxy_write_maps",
    ),
    (
        "DNS answers are taken as the resolver library gives them",
        """disable_dns_lookups dns_ncache_ttl_fix_enable dnssec_probe ignore_mx_lookup_error
        smtp_cname_overrides_servername lmtp_cname_overrides_servername smtp_dns_resolver_options
        lmtp_dns_resolver_options smtp_dns_support_level lmtp_dns_support_level best_mx_transport known_tcp_ports""",
    ),
    (
        "deadlines hold for each reply, and sockets keep the system's sizes",
        """smtpd_per_request_deadline smtp_per_request_deadline lmtp_per_request_deadline tcp_windowsize""",
    ),
    (
        "addresses are always quoted as RFC 5321 has it",
        "smtp_quote_rfc821_envelope lmtp_quote_rfc821_envelope enable_idna2003_compatibility",
    ),
    (
        "the log has one form",
        """delay_logging_resolution_limit info_log_address_format respectful_logging smtpd_client_port_logging
        helpful_warnings debug_peer_level debug_peer_list debugger_command maillog_file_compressor
        maillog_file_rotate_suffix""",
    ),
    (
        "nothing reads it at run time, in Postfix neither: it tells packagers and tools where things are",
        """command_directory daemon_directory html_directory mail_release_date mailq_path manpage_directory
        meta_directory newaliases_path readme_directory sample_directory sendmail_path shlib_directory""",
    ),
    (
        "one instance, one configuration directory",
        """alternate_config_directories multi_instance_directories multi_instance_enable multi_instance_group
        multi_instance_wrapper postmulti_control_commands postmulti_start_commands postmulti_stop_commands""",
    ),
)


class UnknownName(ValueError):
    """The table of effects names a parameter that does not exist."""


def with_effects(parameters: Iterable[Parameter]) -> Iterator[Parameter]:
    """The parameters, those without effect marked with their reason.

    Raises:
        UnknownName: the table has a name that no parameter has, or one twice.
    """
    exact: dict[str, str] = {}
    families: list[tuple[str, str]] = []
    for reason, names in _WITHOUT_EFFECT:
        for name in names.split():
            if name.endswith("*"):
                families.append((name[:-1], reason))
            elif exact.setdefault(name, reason) is not reason:
                raise UnknownName(f"{name} is listed twice")
    for parameter in parameters:
        reason = exact.pop(parameter.name, "")
        if not reason:
            reason = next((reason for prefix, reason in families if parameter.name.startswith(prefix)), "")
        yield msgspec.structs.replace(parameter, no_effect=reason) if reason else parameter
    if exact:
        raise UnknownName(f"no such parameter: {', '.join(exact)}")
