"""Parameters of Postfix 3.7: local, virtual and pipe delivery. Source: postconf(5)."""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase

from gateway.config.parameter import Parameter, boolean, integer, raw, seconds, size, text, words

_SAFE = "1234567890!@%-_=+:,./" + ascii_lowercase + ascii_uppercase

PARAMETERS: tuple[Parameter, ...] = (
    words("alias_database", "hash:/etc/aliases", "Tables that newaliases builds."),
    words("alias_maps", "hash:/etc/aliases, nis:mail.aliases", "Tables with the aliases of local delivery."),
    words(
        "allow_mail_to_commands", "alias, forward", 'Where local delivery takes "|command": alias, forward, include.'
    ),
    words("allow_mail_to_files", "alias, forward", 'Where local delivery takes "/file": alias, forward, include.'),
    boolean("allow_min_user", "no", 'Accept recipients whose name starts with "-".'),
    boolean("biff", "yes", "Tell logged-in users of new mail."),
    raw("command_execution_directory", "", "Directory in which local delivery runs commands."),
    text("command_expansion_filter", _SAFE, "Characters that $name in mailbox_command may bring in.", low=1),
    seconds("command_time_limit", "1000s", "Longest time for a delivery command."),
    text("default_privs", "nobody", "User for deliveries to commands and files that have no owner.", low=1),
    integer("deliver_lock_attempts", "20", "How often a lock on a mailbox is tried.", low=1),
    seconds("deliver_lock_delay", "1s", "Pause between attempts to lock a mailbox."),
    text(
        "execution_directory_expansion_filter",
        _SAFE,
        "Characters that may stand in what command_execution_directory becomes.",
        low=1,
    ),
    boolean("expand_owner_alias", "no", "Expand owner-alias to its members as envelope sender."),
    words(
        "export_environment",
        "TZ MAIL_CONFIG LANG",
        "Environment that deliveries to commands get, as NAME or NAME=value.",
    ),
    text("fallback_transport", "", "Where local mail for unknown users goes."),
    words("fallback_transport_maps", "", "The same by recipient."),
    text("forward_expansion_filter", _SAFE, "Characters that may stand in what forward_path becomes.", low=1),
    raw(
        "forward_path",
        "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
        "Where local delivery looks for .forward files.",
    ),
    boolean("frozen_delivered_to", "yes", "Add the Delivered-To: of the first alias only."),
    text("home_mailbox", "", "Mailbox path below the home directory; with a slash at the end: maildir."),
    text("local_command_shell", "", "Shell that runs commands of local delivery; empty: run them directly."),
    text(
        "local_delivery_status_filter",
        "$default_delivery_status_filter",
        "Table that changes the status of local delivery.",
    ),
    integer("local_destination_concurrency_limit", "2", "Most deliveries at a time to one local recipient."),
    integer("local_destination_recipient_limit", "1", "Most recipients of one local delivery."),
    words("local_login_sender_maps", "static:*", "Senders that a login name may use with the sendmail command."),
    raw("luser_relay", "", "Where mail to unknown local users goes."),
    text("mail_spool_directory", "/var/mail", "Where mailboxes are."),
    raw("mailbox_command", "", "Command that takes mail for local users."),
    words("mailbox_command_maps", "", "mailbox_command by recipient."),
    words("mailbox_delivery_lock", "fcntl, dotlock", "How mailbox files are locked: flock, fcntl, dotlock.", low=1),
    size("mailbox_size_limit", "51200000", "Octets of a mailbox file; 0: no limit."),
    text("mailbox_transport", "", "transport:nexthop of mail for local users, behind aliases."),
    words("mailbox_transport_maps", "", "mailbox_transport by recipient."),
    text("newaliases_path", "/usr/bin/newaliases", "Where the newaliases command is."),
    boolean("owner_request_special", "yes", "Give owner-LIST and LIST-request addresses no extension."),
    text(
        "pipe_delivery_status_filter",
        "$default_delivery_status_filter",
        "Table that changes the status of delivery to commands.",
    ),
    words("prepend_delivered_header", "command, file, forward", "When Delivered-To: is added: command, file, forward."),
    words(
        "propagate_unmatched_extensions",
        "canonical, virtual",
        "Lookups that carry an address extension over to their result.",
    ),
    text("recipient_delimiter", "", "Characters between user name and address extension."),
    boolean("require_home_directory", "no", "Defer mail for users whose home directory is missing."),
    boolean("reset_owner_alias", "no", "Make the expanded address the owner of its own expansion."),
    seconds("stale_lock_time", "500s", "Age at which a mailbox lock file is taken away."),
    boolean("sun_mailtool_compatibility", "no", "Obsolete; use mailbox_delivery_lock."),
    text(
        "virtual_delivery_status_filter",
        "$default_delivery_status_filter",
        "Table that changes the status of delivery to virtual mailboxes.",
    ),
    words("virtual_gid_maps", "", "Group of virtual mailboxes, by recipient."),
    text("virtual_mailbox_base", "", "Directory of all virtual mailboxes."),
    words("virtual_mailbox_domains", "$virtual_mailbox_maps", "Domains delivered by virtual_transport."),
    size("virtual_mailbox_limit", "51200000", "Octets of a virtual mailbox file; 0: no limit."),
    words("virtual_mailbox_lock", "fcntl, dotlock", "How virtual mailbox files are locked.", low=1),
    words("virtual_mailbox_maps", "", "All virtual mailboxes."),
    integer("virtual_minimum_uid", "100", "Least user number in virtual_uid_maps.", low=1),
    words("virtual_uid_maps", "", "Owner of virtual mailboxes, by recipient."),
)
