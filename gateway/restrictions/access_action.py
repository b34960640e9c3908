"""The right-hand side of access(5) tables, parsed: policy language that restrictions and other plugins share.

Owns the grammar and the reply texts; asks no table and knows no session state. Source: access(5), "ACCEPT ACTIONS" to
"ENHANCED STATUS CODES"; header_checks(5) has most of the same words.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

import msgspec

from gateway.model.restriction import RECIPIENT, SENDER, Subject
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions.replies import printable, refuse

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+(.*))?", re.DOTALL | re.ASCII)
_CODE = re.compile(r"[45]\d\d", re.ASCII)
_HEADER = re.compile(r"[!-9;-~]+[ \t]*:.*", re.DOTALL)
_MAILBOX = re.compile(r"[^@\s].*@[^@\s]+")


class Kind(Enum):
    """What the text asks for."""

    DUNNO = "DUNNO"
    OK = "OK"
    REFUSE = "REFUSE"
    NOTE = "NOTE"
    RESTRICTIONS = "RESTRICTIONS"


class AccessAction(msgspec.Struct, frozen=True):
    """One parsed action.

    Args:
        kind: how to go on.
        action: for REFUSE and NOTE, the verdict's.
        code: reply code that the text gives; 0 takes the configured one.
        enhanced: enhanced status code that the text gives, or the default.
        text: for the client or the log; empty takes a generic one.
        argument: operand of FILTER, REDIRECT, BCC, PREPEND; the list of RESTRICTIONS.
        problem: why the action is ignored, for a warning; the kind is DUNNO then.
    """

    kind: Kind
    action: Action = Action.OK
    code: int = 0
    enhanced: str = ""
    text: str = ""
    argument: str = ""
    problem: str = ""

    def verdict(self, subject: Subject, session: Session, *, reject_code: int, defer_code: int) -> Verdict | None:
        """What it decides about ``subject``; None for DUNNO, and for RESTRICTIONS, which the caller evaluates.

        Args:
            reject_code, defer_code: access_map_reject_code and access_map_defer_code.
        """
        if self.kind is Kind.OK:
            return Verdict(Action.OK, reason=self.text)
        if self.kind is Kind.REFUSE:
            return self._refusal(subject, session, reject_code, defer_code)
        if self.kind is Kind.NOTE:
            return Verdict(self.action, self._note_text(subject, session), argument=self.argument)
        return None

    def _refusal(self, subject: Subject, session: Session, reject_code: int, defer_code: int) -> Verdict:
        generic = "Service unavailable" if self.action in _CONDITIONAL else "Access denied"
        code = self.code or (reject_code if self.action is Action.REJECT else defer_code)
        enhanced = suited_enhanced(self.enhanced, subject)
        verdict = refuse(code, enhanced, subject.refusal(session, self.text or generic))
        if self.action in _CONDITIONAL:
            return msgspec.structs.replace(verdict, action=self.action)
        return verdict

    def _note_text(self, subject: Subject, session: Session) -> str:
        if self.action in (Action.WARN, Action.INFO):
            return printable(self.text)
        what = self.text or f"triggers {self.action.value} {self.argument or 'action'}"
        return printable(f"<{subject.name(session)}>: {subject.label} {what}")


_CONDITIONAL = frozenset({Action.DEFER_IF_PERMIT, Action.DEFER_IF_REJECT})
_DUNNO = AccessAction(Kind.DUNNO)

# A status that speaks of a recipient is wrong in a reply about a sender, and the reverse; about a host neither fits.
_FOR_SENDER = {"1": "7", "2": "8", "3": "7", "4": "7", "6": "7", "7": "7", "8": "8"}
_FOR_RECIPIENT = {"1": "1", "2": "2", "3": "3", "4": "4", "5": "5", "6": "6", "7": "3", "8": "2"}


def suited_enhanced(enhanced: str, subject: Subject) -> str:
    """The enhanced code as it fits what is judged. Source: access(5), "ENHANCED STATUS CODES"."""
    status_class, category, detail = enhanced.split(".")
    if category != "1":
        return enhanced
    if subject.label == SENDER.label:
        return f"{status_class}.1.{_FOR_SENDER.get(detail, '0')}"
    if subject.label == RECIPIENT.label:
        return f"{status_class}.1.{_FOR_RECIPIENT.get(detail, '0')}"
    return f"{status_class}.0.0"


def _split_enhanced(text: str, default: str) -> tuple[str, str]:
    match = _ENHANCED.fullmatch(text)
    return (match[1], match[2] or "") if match else (default, text)


def _refuse(action: Action, default: str, text: str, code: int = 0) -> AccessAction:
    enhanced, rest = _split_enhanced(text, default)
    return AccessAction(Kind.REFUSE, action, code, enhanced, rest)


def _with_argument(action: Action, argument: str) -> AccessAction:
    problem = ""
    if action is Action.FILTER and not argument:
        problem = "has FILTER entry without value"
    elif action is Action.FILTER and ":" not in argument:
        problem = "requires transport:destination"
    elif action is Action.PREPEND and not _HEADER.fullmatch(argument):
        problem = "requires header: text"
    elif action in (Action.REDIRECT, Action.BCC) and not _MAILBOX.fullmatch(argument):
        problem = "requires user@domain target"
    if problem:
        return AccessAction(Kind.DUNNO, problem=problem)
    return AccessAction(Kind.NOTE, action, argument=argument)


_REFUSALS = {
    "REJECT": (Action.REJECT, "5.7.1"),
    "DEFER": (Action.DEFER, "4.7.1"),
    "DEFER_IF_PERMIT": (Action.DEFER_IF_PERMIT, "4.7.1"),
    "DEFER_IF_REJECT": (Action.DEFER_IF_REJECT, "4.7.1"),
}
_TEXT_NOTES = {word: Action(word) for word in ("HOLD", "DISCARD", "WARN", "INFO")}
_ARGUMENT_NOTES = {word: Action(word) for word in ("FILTER", "REDIRECT", "BCC", "PREPEND")}


@lru_cache(maxsize=4096)
def parse_action(value: str) -> AccessAction:
    """Parse what a table gave.

    Never raises: text that is no action names restrictions, and a bad operand gives DUNNO with ``problem``. An
    all-numerical value, ``550`` included, is OK, as access(5) says.
    """
    words = value.strip().split(None, 1)
    if not words:
        return AccessAction(Kind.DUNNO, problem="has no value")
    keyword, text = words[0].upper(), words[1] if len(words) > 1 else ""
    if keyword == "DUNNO":
        return _DUNNO
    if keyword in ("OK", "RELAY"):
        return AccessAction(Kind.OK)
    if keyword in _REFUSALS:
        # "reject" in a list of restrictions is the same as REJECT alone; "reject, x" is not.
        return _refuse(*_REFUSALS[keyword], text)
    if keyword in _TEXT_NOTES:
        return AccessAction(Kind.NOTE, _TEXT_NOTES[keyword], text=text)
    if keyword in _ARGUMENT_NOTES:
        return _with_argument(_ARGUMENT_NOTES[keyword], text)
    if keyword.isascii() and keyword.isdigit() and not text:
        return AccessAction(Kind.OK, text="all-numerical result")
    if _CODE.fullmatch(keyword) and text:
        is_reject = keyword[0] == "5"
        action = Action.REJECT if is_reject else Action.DEFER
        return _refuse(action, "5.7.1" if is_reject else "4.7.1", text, int(keyword))
    return AccessAction(Kind.RESTRICTIONS, argument=value.strip())
