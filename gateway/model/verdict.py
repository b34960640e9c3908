"""What policy decided: one Verdict, one to one with access(5) actions.

A *final* verdict (OK, REJECT, DEFER, DISCARD) ends its stage. The others are noted on the transaction and the next
rule is asked, as access(5) says: a plugin that adds a header must not shield the mail from the plugin after it.
"None" everywhere means "no opinion" (DUNNO).
"""

from __future__ import annotations

from enum import Enum

import msgspec


class Action(Enum):
    """Actions of access(5) that survive parsing (DUNNO is ``None``; restriction lists are expanded before)."""

    OK = "OK"
    REJECT = "REJECT"
    DEFER = "DEFER"
    DISCARD = "DISCARD"
    DEFER_IF_REJECT = "DEFER_IF_REJECT"
    DEFER_IF_PERMIT = "DEFER_IF_PERMIT"
    HOLD = "HOLD"
    FILTER = "FILTER"
    REDIRECT = "REDIRECT"
    BCC = "BCC"
    PREPEND = "PREPEND"
    INFO = "INFO"
    WARN = "WARN"


FINAL = frozenset({Action.OK, Action.REJECT, Action.DEFER, Action.DISCARD})


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """A decision.

    Args:
        action: what to do.
        text: public text, sent to the client after the codes; for the log with INFO, WARN, HOLD, DISCARD.
        code: SMTP reply code for REJECT (5xx) and DEFER (4xx); 0 takes the stage's default (554 / 450).
        enhanced: enhanced status code such as ``5.7.1``; empty takes the default of the action.
        reason: private reason, for log and ledger only.
        argument: the action's operand: ``transport:nexthop`` (FILTER), address (REDIRECT, BCC), header line (PREPEND).
        close: close the connection after the reply (421 and 521 always do).
    """

    action: Action
    text: str = ""
    code: int = 0
    enhanced: str = ""
    reason: str = ""
    argument: str = ""
    close: bool = False

    @property
    def is_final(self) -> bool:
        """True when the verdict ends its stage."""
        return self.action in FINAL

    @property
    def is_refusal(self) -> bool:
        """True for REJECT and DEFER: the client gets a 4xx or 5xx."""
        return self.action is Action.REJECT or self.action is Action.DEFER

    @classmethod
    def ok(cls, reason: str = "") -> Verdict:
        """Permit, and ask no further rule of this stage."""
        return cls(Action.OK, reason=reason)

    @classmethod
    def reject(cls, text: str, *, code: int = 554, enhanced: str = "5.7.1", reason: str = "") -> Verdict:
        """Refuse for good (5xx)."""
        return cls(Action.REJECT, text, code, enhanced, reason)

    @classmethod
    def defer(cls, text: str, *, code: int = 450, enhanced: str = "4.7.1", reason: str = "") -> Verdict:
        """Refuse for now (4xx)."""
        return cls(Action.DEFER, text, code, enhanced, reason)

    @classmethod
    def hold(cls, reason: str = "") -> Verdict:
        """Accept the message into the hold queue."""
        return cls(Action.HOLD, reason, reason=reason)

    @classmethod
    def discard(cls, reason: str = "") -> Verdict:
        """Say 250 and deliver nothing."""
        return cls(Action.DISCARD, reason, reason=reason)

    @classmethod
    def filter(cls, destination: str) -> Verdict:
        """Send the whole message through ``transport:nexthop`` (access(5) FILTER)."""
        return cls(Action.FILTER, argument=destination)

    @classmethod
    def redirect(cls, address: str) -> Verdict:
        """Send to this address instead of all recipients."""
        return cls(Action.REDIRECT, argument=address)

    @classmethod
    def bcc(cls, address: str) -> Verdict:
        """Add a recipient without DSN and without a trace in the headers."""
        return cls(Action.BCC, argument=address)

    @classmethod
    def prepend(cls, header: str) -> Verdict:
        """Put a header line such as ``X-Checked: yes`` before the message."""
        return cls(Action.PREPEND, argument=header)
