"""Settings of the SMTP and LMTP clients: Postfix's ``smtp_*`` or ``lmtp_*`` parameters, read once per (re)load."""

from __future__ import annotations

import socket

import msgspec

from gateway.config import Config
from gateway.model.errors import ConfigError
from gateway.proto.smtp_client import Verb

NO_LIMIT_S = 3600.0  # "0" means no limit in Postfix (lmtp_connect_timeout); every wait here has a deadline

_PORTS = {"smtp": 25, "lmtp": 24, "submission": 587, "smtps": 465, "submissions": 465}


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """See postconf(5) for each: the name is the parameter's, without ``smtp_`` or ``lmtp_``.

    ``timeouts`` are seconds by the verb whose reply is waited for; ``port`` is the default port; ``families`` follows
    ``inet_protocols``; ``own_interfaces`` and ``proxy_interfaces`` tell which mail exchangers are this host.
    """

    is_lmtp: bool
    myhostname: str
    helo_name: str
    port: int
    timeouts: dict[Verb, float]
    connect_timeout_s: float
    data_xfer_timeout_s: float
    min_data_rate: int
    families: tuple[str, ...]
    address_preference: str
    balance_inet_protocols: bool
    bind_address: str
    bind_address6: str
    bind_address_enforce: bool
    randomize_addresses: bool
    mx_session_limit: int
    mx_address_limit: int
    skip_5xx_greeting: bool
    skip_quit_response: bool
    always_send_ehlo: bool
    never_send_ehlo: bool
    discard_ehlo_keywords: frozenset[str]
    send_xforward_command: bool
    line_length_limit: int
    fallback_relay: str
    defer_if_no_mx_address_found: bool
    is_native_lookup: bool
    is_dns_lookup: bool
    connection_cache_on_demand: bool
    connection_cache_destinations: frozenset[str]
    connection_cache_time_limit_s: float
    connection_reuse_time_limit_s: float
    connection_reuse_count_limit: int
    own_interfaces: tuple[str, ...]
    proxy_interfaces: tuple[str, ...]
    queue_directory: str

    @classmethod
    def read(cls, config: Config, *, is_lmtp: bool = False) -> ClientSettings:
        """Take the settings of one client from the configuration. Raises ConfigError."""
        prefix = "lmtp" if is_lmtp else "smtp"

        def seconds(name: str) -> float:
            return config.seconds(f"{prefix}_{name}") or NO_LIMIT_S

        def boolean(name: str) -> bool:
            return config.boolean(f"{prefix}_{name}")

        def text(name: str) -> str:
            return config.text(f"{prefix}_{name}").strip()

        def words(name: str) -> tuple[str, ...]:
            return config.words(f"{prefix}_{name}")

        lookup = {word.lower() for word in words("host_lookup")}
        return cls(
            is_lmtp=is_lmtp,
            myhostname=config.text("myhostname"),
            helo_name=text("lhlo_name" if is_lmtp else "helo_name"),
            port=port_number(text("tcp_port"), f"{prefix}_tcp_port"),
            timeouts=_timeouts(config, prefix),
            connect_timeout_s=seconds("connect_timeout"),
            data_xfer_timeout_s=seconds("data_xfer_timeout"),
            min_data_rate=config.integer(f"{prefix}_min_data_rate"),
            families=_families(config.words("inet_protocols")),
            address_preference=text("address_preference"),
            balance_inet_protocols=boolean("balance_inet_protocols"),
            bind_address=text("bind_address"),
            bind_address6=text("bind_address6"),
            bind_address_enforce=boolean("bind_address_enforce"),
            randomize_addresses=boolean("randomize_addresses"),
            mx_session_limit=config.integer(f"{prefix}_mx_session_limit"),
            mx_address_limit=config.integer(f"{prefix}_mx_address_limit"),
            skip_5xx_greeting=boolean("skip_5xx_greeting"),
            skip_quit_response=boolean("skip_quit_response"),
            always_send_ehlo=is_lmtp or config.boolean("smtp_always_send_ehlo"),
            never_send_ehlo=not is_lmtp and config.boolean("smtp_never_send_ehlo"),
            discard_ehlo_keywords=frozenset(
                word.upper() for word in words("discard_lhlo_keywords" if is_lmtp else "discard_ehlo_keywords")
            ),
            send_xforward_command=boolean("send_xforward_command"),
            line_length_limit=config.integer(f"{prefix}_line_length_limit"),
            fallback_relay=text("fallback_relay"),
            defer_if_no_mx_address_found=boolean("defer_if_no_mx_address_found"),
            is_native_lookup="native" in lookup,
            is_dns_lookup="dns" in lookup,
            connection_cache_on_demand=boolean("connection_cache_on_demand"),
            connection_cache_destinations=frozenset(words("connection_cache_destinations")),
            connection_cache_time_limit_s=config.seconds(f"{prefix}_connection_cache_time_limit"),
            connection_reuse_time_limit_s=config.seconds(f"{prefix}_connection_reuse_time_limit"),
            connection_reuse_count_limit=config.integer(f"{prefix}_connection_reuse_count_limit"),
            own_interfaces=config.words("inet_interfaces"),
            proxy_interfaces=config.words("proxy_interfaces"),
            queue_directory=config.text("queue_directory"),
        )


def port_number(text: str, parameter: str = "") -> int:
    """A TCP port from its number or service name. Raises ConfigError."""
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    if text in _PORTS:
        return _PORTS[text]
    try:
        return socket.getservbyname(text, "tcp")
    except OSError:
        raise ConfigError(f"unknown TCP port or service: {text!r}", parameter=parameter) from None


def _timeouts(config: Config, prefix: str) -> dict[Verb, float]:
    hello = f"{prefix}_lhlo_timeout" if prefix == "lmtp" else f"{prefix}_helo_timeout"
    names = {
        Verb.CONNECT: hello,
        Verb.EHLO: hello,
        Verb.HELO: hello,
        Verb.LHLO: hello,
        Verb.XFORWARD: f"{prefix}_xforward_timeout",
        Verb.MAIL: f"{prefix}_mail_timeout",
        Verb.RCPT: f"{prefix}_rcpt_timeout",
        Verb.DATA: f"{prefix}_data_init_timeout",
        Verb.END: f"{prefix}_data_done_timeout",
        Verb.RSET: f"{prefix}_rset_timeout",
        Verb.QUIT: f"{prefix}_quit_timeout",
    }
    return {verb: config.seconds(name) or NO_LIMIT_S for verb, name in names.items()}


def _families(protocols: tuple[str, ...]) -> tuple[str, ...]:
    wanted = [word.lower() for word in protocols]
    if "all" in wanted or not wanted:
        return ("ipv4", "ipv6")
    return tuple(family for family in ("ipv4", "ipv6") if family in wanted)
