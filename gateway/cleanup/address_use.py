"""Where an address stands, as the ``*_classes`` parameters name it.

Source: postconf(5) canonical_classes, sender_canonical_classes, recipient_canonical_classes, masquerade_classes.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from gateway.config import Config
from gateway.model.errors import ConfigError


class AddressUse(Enum):
    """What an address is of a message."""

    ENVELOPE_SENDER = "envelope_sender"
    ENVELOPE_RECIPIENT = "envelope_recipient"
    HEADER_SENDER = "header_sender"
    HEADER_RECIPIENT = "header_recipient"


SENDERS = frozenset((AddressUse.ENVELOPE_SENDER, AddressUse.HEADER_SENDER))
RECIPIENTS = frozenset((AddressUse.ENVELOPE_RECIPIENT, AddressUse.HEADER_RECIPIENT))


class Step(Protocol):
    """One kind of rewriting."""

    @property
    def uses(self) -> frozenset[AddressUse]:
        """Which addresses it is for."""
        ...

    async def rewritten(self, address: str) -> str:
        """The address, both in internal form, after this step.

        Raises:
            TableError: a table has no answer now, or one without any address.
        """
        ...


def uses_of(config: Config, parameter: str, allowed: frozenset[AddressUse]) -> frozenset[AddressUse]:
    """The classes that a parameter lists.

    Args:
        config: checked configuration.
        parameter: such as ``canonical_classes``.
        allowed: which it may have.

    Raises:
        ConfigError: it has another.
    """
    known = {use.value: use for use in AddressUse if use in allowed}
    words = config.words(parameter)
    for word in words:
        if word not in known:
            raise ConfigError(f'unknown class "{word}"; known: {", ".join(known)}', parameter=parameter)
    return frozenset(known[word] for word in words)
