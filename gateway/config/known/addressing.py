"""Parameters of Postfix 3.7: addresses, classes, routing. Source: postconf(5)."""

from __future__ import annotations

from gateway.config.parameter import Parameter, boolean, choice, integer, seconds, text, words

PARAMETERS: tuple[Parameter, ...] = (
    seconds(
        "address_verify_cache_cleanup_interval",
        "12h",
        "Time between runs that clear old probe results away; 0: never.",
        low=0,
        unit="h",
    ),
    text("address_verify_default_transport", "$default_transport", "default_transport for address probes.", low=1),
    text("address_verify_local_transport", "$local_transport", "local_transport for address probes.", low=1),
    text("address_verify_map", "btree:$data_directory/verify_cache", "Table that keeps probe results."),
    boolean("address_verify_negative_cache", "yes", "Keep the results of failed probes too."),
    seconds("address_verify_negative_expire_time", "3d", "How long the result of a failed probe counts.", unit="d"),
    seconds("address_verify_negative_refresh_time", "3h", "After what time a failed probe is repeated.", unit="h"),
    integer("address_verify_pending_request_limit", "5000", "Probes under way at a time.", low=1),
    integer(
        "address_verify_poll_count", "${stress?{1}:{3}}", "How often a session asks for the result of a probe.", low=1
    ),
    seconds("address_verify_poll_delay", "3s", "Pause between two such questions."),
    seconds(
        "address_verify_positive_expire_time", "31d", "How long the result of a successful probe counts.", unit="d"
    ),
    seconds("address_verify_positive_refresh_time", "7d", "After what time a successful probe is repeated.", unit="d"),
    text("address_verify_relay_transport", "$relay_transport", "relay_transport for address probes.", low=1),
    text("address_verify_relayhost", "$relayhost", "relayhost for address probes."),
    text("address_verify_sender", "$double_bounce_sender", "Sender of address probes."),
    words(
        "address_verify_sender_dependent_default_transport_maps",
        "$sender_dependent_default_transport_maps",
        "sender_dependent_default_transport_maps for address probes.",
    ),
    words(
        "address_verify_sender_dependent_relayhost_maps",
        "$sender_dependent_relayhost_maps",
        "sender_dependent_relayhost_maps for address probes.",
    ),
    seconds("address_verify_sender_ttl", "0s", "Time between changes of the probe sender's name; 0: never.", low=0),
    text("address_verify_service_name", "verify", "Name of the address probing service.", low=1),
    words("address_verify_transport_maps", "$transport_maps", "transport_maps for address probes."),
    text("address_verify_virtual_transport", "$virtual_transport", "virtual_transport for address probes.", low=1),
    boolean("allow_percent_hack", "yes", "Read user%domain as user@domain."),
    boolean(
        "allow_untrusted_routing", "no", "Relay addresses with a further @, % or ! in them for strangers (dangerous)."
    ),
    boolean("append_at_myorigin", "yes", "Complete addresses without domain with @$myorigin."),
    boolean(
        "append_dot_mydomain",
        "${{$compatibility_level} <level {1} ? {yes} : {no}}",
        "Complete domains without dot with .$mydomain.",
    ),
    words(
        "canonical_classes",
        "envelope_sender, envelope_recipient, header_sender, header_recipient",
        "Which addresses canonical_maps rewrite.",
        low=1,
    ),
    words("canonical_maps", "", "Rewrite addresses in envelope and headers."),
    text("default_transport", "smtp", "transport:nexthop of mail to other hosts.", low=1),
    text(
        "empty_address_default_transport_maps_lookup_key",
        "<>",
        "Key for the null sender in sender_dependent_default_transport_maps.",
        low=1,
    ),
    text(
        "empty_address_local_login_sender_maps_lookup_key", "<>", "Key for the null sender in local_login_sender_maps."
    ),
    text("empty_address_recipient", "MAILER-DAEMON", "Local part that mail to the null address goes to.", low=1),
    text(
        "empty_address_relayhost_maps_lookup_key",
        "<>",
        "Key for the null sender in sender_dependent_relayhost_maps.",
        low=1,
    ),
    words("inet_interfaces", "all", "Addresses to receive mail on: all, loopback-only, addresses, names."),
    words("inet_protocols", "all", "Internet protocols to use: all, ipv4, ipv6."),
    words(
        "local_header_rewrite_clients", "permit_inet_interfaces", "Clients whose headers are completed with our domain."
    ),
    words(
        "local_recipient_maps",
        "proxy:unix:passwd.byname $alias_maps",
        "All local recipients; empty: anybody is accepted.",
    ),
    text("local_transport", "local:$myhostname", "transport:nexthop of local mail.", low=1),
    words(
        "masquerade_classes",
        "envelope_sender, header_sender, header_recipient",
        "Which addresses masquerade_domains changes.",
    ),
    words("masquerade_domains", "", "Domains whose subdomains are cut off from addresses."),
    words("masquerade_exceptions", "", "User names that are not masqueraded."),
    words("mydestination", "$myhostname, localhost.$mydomain, localhost", "Domains delivered by local_transport."),
    text("mydomain", "", "Our domain; default: $myhostname without its first label."),
    text("myhostname", "", "Our name on the internet; default: the system's, made fully qualified."),
    words("mynetworks", "", "Clients that are ours and may relay."),
    choice(
        "mynetworks_style",
        "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
        "class subnet host",
        "How mynetworks is made when it is not set: class, subnet, host.",
    ),
    text("myorigin", "$myhostname", "Domain that mail from here comes from.", low=1),
    words(
        "parent_domain_matches_subdomains",
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
        "Lists in which example.com also stands for its subdomains.",
    ),
    words("proxy_interfaces", "", "Addresses outside a proxy or NAT that also are this host."),
    words(
        "recipient_canonical_classes",
        "envelope_recipient, header_recipient",
        "Which addresses recipient_canonical_maps rewrite.",
        low=1,
    ),
    words("recipient_canonical_maps", "", "Rewrite recipients."),
    words(
        "relay_domains",
        "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
        "Domains for which mail is relayed, with their subdomains.",
    ),
    words("relay_recipient_maps", "", "All recipients in relay_domains; empty: anybody is accepted."),
    text("relay_transport", "relay", "transport:nexthop of mail to relay_domains.", low=1),
    text("relayhost", "", "Next hop of mail to other hosts; empty: their MX hosts."),
    words("relocated_maps", "", "New addresses of people who left."),
    text(
        "remote_header_rewrite_domain",
        "",
        "Domain that completes addresses in headers from strangers; empty: leave them alone.",
    ),
    boolean("resolve_dequoted_address", "yes", "Look for @ % ! also inside quotes."),
    words(
        "sender_canonical_classes",
        "envelope_sender, header_sender",
        "Which addresses sender_canonical_maps rewrite.",
        low=1,
    ),
    words("sender_canonical_maps", "", "Rewrite senders."),
    words("sender_dependent_default_transport_maps", "", "default_transport by sender."),
    words("sender_dependent_relayhost_maps", "", "relayhost by sender."),
    boolean("swap_bangpath", "yes", "Read site!user as user@site."),
    words("transport_maps", "", "transport:nexthop by recipient."),
    integer("virtual_alias_address_length_limit", "1000", "Octets of an address that an alias may become.", low=1),
    words("virtual_alias_domains", "$virtual_alias_maps", "Domains whose addresses are all aliases."),
    integer("virtual_alias_expansion_limit", "1000", "Addresses that one recipient may become.", low=1),
    words("virtual_alias_maps", "$virtual_maps", "Aliases of any recipient, local or not."),
    integer("virtual_alias_recursion_limit", "1000", "Aliases behind each other.", low=1),
    text("virtual_transport", "virtual", "transport:nexthop of mail to virtual_mailbox_domains.", low=1),
)
