"""What a service that takes mail in leaves out, since a filter or another service does it, or has done it.

Source: postconf(5) receive_override_options; FILTER_README.
"""

from __future__ import annotations

from enum import Flag
from typing import TYPE_CHECKING

from gateway.model.errors import ConfigError

if TYPE_CHECKING:
    from gateway.config.config import Config

_NAME = "receive_override_options"


class ReceiveOption(Flag):
    """One word of receive_override_options. The value of a member says nothing; its name is the word."""

    NO_UNKNOWN_RECIPIENT_CHECKS = 1  # smtpd_reject_unlisted_recipient = no
    NO_ADDRESS_MAPPINGS = 2  # neither canonical and virtual alias maps, nor masquerading, nor automatic copies
    NO_HEADER_BODY_CHECKS = 4
    NO_MILTERS = 8


def receive_options(config: Config) -> ReceiveOption:
    """What the service of this configuration leaves out.

    Args:
        config: of one row of master.cf, its overrides applied.

    Raises:
        ConfigError: an unknown word.
    """
    options = ReceiveOption(0)
    for word in config.words(_NAME):
        if word not in _WORDS:
            raise ConfigError(f'unknown option "{word}"; known: {", ".join(_WORDS)}', parameter=_NAME)
        options |= _WORDS[word]
    return options


_WORDS = {str(option.name).lower(): option for option in ReceiveOption}
