"""The restriction engine: ``smtpd_*_restrictions`` and restriction classes, compiled once; access(5) actions.

Decides; never writes to the wire, never touches the message.
"""

from gateway.restrictions.engine import RestrictionEngine

__all__ = ["RestrictionEngine"]
