"""A Postgate plugin that shows one of everything: parameters, a restriction, stage hooks, a subcommand.

Every hook is optional. The reference is docs/hooks.md of Postgate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.config import Config, Kind, Parameter, Registry
from gateway.hooks import Address, EditList, Message, Session, Verdict, hookimpl
from gateway.model.restriction import HELO, Restriction, RestrictionContext, RestrictionKind


class TemplatePlugin:
    """One instance is made at each (re)load; sessions that are open keep the old one."""

    def __init__(self) -> None:
        self._blocked: frozenset[str] = frozenset()
        self._stamp = ""

    # Register hooks: once per (re)load, sync. What is wrong here stops the start, not the mail.

    @hookimpl
    def parameters(self, registry: Registry) -> None:
        """`postconf` shows these, and checks their values."""
        registry.add(
            Parameter("template_blocked_domains", Kind.WORDS, "", "sender domains that are refused at RCPT TO")
        )
        registry.add(Parameter("template_stamp", Kind.TEXT, "checked", "value of the X-Template header"))

    @hookimpl
    def configure(self, config: Config) -> None:
        """Read settings once; hooks then only look at attributes."""
        self._blocked = frozenset(word.lower() for word in config.words("template_blocked_domains"))
        self._stamp = config.text("template_stamp")

    @hookimpl
    def restrictions(self, register: Callable[[str, Any], None]) -> None:
        """Makes `reject_numeric_helo` usable in every smtpd_*_restrictions."""
        register("reject_numeric_helo", RestrictionKind(numeric_helo))

    @hookimpl
    def commands(self, register: Callable[[str, Any], None]) -> None:
        """Adds `postgate template-blocked`."""
        register("template-blocked", show_blocked)

    # Stage hooks: sync or async. None is "no opinion"; the first final verdict ends the stage.

    @hookimpl
    def rcpt(self, session: Session, recipient: Address) -> Verdict | None:
        """Take only the arguments that are needed: `params` is left out here."""
        sender = session.sender
        if sender is not None and sender.domain in self._blocked:
            return Verdict.reject("Sender domain is not welcome here", reason=f"{sender.domain} is blocked")
        session.transaction_notes["template.recipients"] = len(session.recipients) + 1
        return None

    @hookimpl
    async def data(self, session: Session, message: Message, edits: EditList) -> Verdict | None:
        """The whole message, before the client gets its answer."""
        if message.header("Subject") is None:
            return Verdict.reject("A subject is required", code=550, enhanced="5.6.0")
        edits.add_header("X-Template", self._stamp)
        return None


def numeric_helo(context: RestrictionContext) -> Restriction:
    """Factory of the restriction: called once for each place that names it."""

    text = f"a bare address is no name ({context.name})"

    def check(session: Session) -> Verdict | None:
        if session.helo.replace(".", "").isdigit():
            return Verdict.reject(HELO.refusal(session, text), code=504, enhanced="5.5.2")
        return None

    return check


def show_blocked(_arguments: list[str], config: Config) -> int:
    """Print the blocked domains, one a line."""
    for word in config.words("template_blocked_domains"):
        print(word)
    return 0


__all__ = ["TemplatePlugin"]
