"""main.cf's limits and switches of an SMTP server session, as the session wants them."""

from __future__ import annotations

import re

from gateway.config import Config
from gateway.model.errors import ConfigError
from gateway.proto.smtp_settings import BareNewline, SmtpdSettings

_REGEXP_ENTRY = re.compile(r"\{/(.*)/([a-z]*)\s+\S.*\}", re.IGNORECASE)


def session_settings(config: Config) -> SmtpdSettings:
    """Read the settings of one listener.

    Raises:
        ConfigError: smtpd_forbidden_commands has a table that is no inline regexp.
    """
    words, pattern = _forbidden_commands(config.words("smtpd_forbidden_commands"))
    try:
        bare_newline = BareNewline.of(config.text("smtpd_forbid_bare_newline"))
    except ValueError as exc:
        raise ConfigError(
            f"{exc}: want no, yes, normalize, reject or note", parameter="smtpd_forbid_bare_newline"
        ) from None
    return SmtpdSettings(
        hostname=config.text("myhostname"),
        line_length_limit=config.integer("line_length_limit"),
        message_size_limit=config.integer("message_size_limit"),
        recipient_limit=config.integer("smtpd_recipient_limit"),
        recipient_overshoot_limit=config.integer("smtpd_recipient_overshoot_limit"),
        soft_error_limit=config.integer("smtpd_soft_error_limit"),
        hard_error_limit=config.integer("smtpd_hard_error_limit"),
        error_sleep_s=config.seconds("smtpd_error_sleep_time"),
        junk_command_limit=config.integer("smtpd_junk_command_limit"),
        noop_commands=frozenset(word.upper() for word in config.words("smtpd_noop_commands")),
        forbidden_commands=words,
        forbidden_pattern=pattern,
        discard_ehlo_keywords=frozenset(word.lower() for word in config.words("smtpd_discard_ehlo_keywords")),
        disable_vrfy=config.boolean("disable_vrfy_command"),
        helo_required=config.boolean("smtpd_helo_required"),
        forbid_bare_newline=bare_newline,
        forbid_bare_newline_reject_code=config.integer("smtpd_forbid_bare_newline_reject_code"),
        forbid_unauth_pipelining=config.boolean("smtpd_forbid_unauth_pipelining"),
        strict_rfc821_envelopes=config.boolean("strict_rfc821_envelopes"),
        allow_min_user=config.boolean("allow_min_user"),
        smtputf8_enable=config.boolean("smtputf8_enable"),
        strict_smtputf8=config.boolean("strict_smtputf8"),
    )


def _forbidden_commands(entries: tuple[str, ...]) -> tuple[frozenset[str], re.Pattern[str] | None]:
    """Words, and the inline regexp of Postfix's default ``regexp:{{/^[^A-Z]/ Thrash}}``."""
    words: set[str] = set()
    patterns: list[str] = []
    for entry in entries:
        if not entry.startswith(("regexp:", "pcre:")):
            words.add(entry.upper())
            continue
        body = entry.partition(":")[2].strip()
        match = _REGEXP_ENTRY.fullmatch(body[1:-1].strip()) if body.startswith("{") and body.endswith("}") else None
        if match is None:
            raise ConfigError(
                f"{entry}: only words and inline regexp:{{{{/pattern/ text}}}} are taken",
                parameter="smtpd_forbidden_commands",
            )
        patterns.append(match[1])
    return frozenset(words), re.compile("|".join(patterns), re.IGNORECASE) if patterns else None
