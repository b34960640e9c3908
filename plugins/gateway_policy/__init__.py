"""check_policy_service: ask a policy server, and do what it says.

Built in, and loaded like any stranger's plugin. A server that fails, whichever way, is never an answer: what holds then
is the default action, a temporary error unless main.cf says otherwise. Source: SMTPD_POLICY_README; postconf(5),
check_policy_service and smtpd_policy_service_*.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable

import msgspec

from gateway.hooks import hookimpl
from gateway.model.restriction import Restriction, RestrictionContext, RestrictionKind
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions.access_action import Kind, parse_action
from gateway_policy.client import PolicyClient, PolicyFailure
from gateway_policy.question import instance_of, question
from gateway_policy.settings import ServerSettings


class Policy:
    """The plugin: one client for each server and its settings, however many lists and services name it."""

    def __init__(self) -> None:
        # Those that a table's result names live as long as the engine keeps that result.
        self._clients: weakref.WeakValueDictionary[ServerSettings, PolicyClient] = weakref.WeakValueDictionary()
        self._count = itertools.count()

    @hookimpl
    def restrictions(self, register: Callable[[str, RestrictionKind], None]) -> None:
        """Add the check."""
        register("check_policy_service", RestrictionKind(self.check_policy_service, arguments=1, is_bounded=True))

    def check_policy_service(self, context: RestrictionContext) -> Restriction:
        """``inet:host:port``, ``unix:path``, or one of these in braces with settings of its own."""
        settings = ServerSettings.of(context.arguments[0], context)
        client = self._clients.get(settings)
        if client is None:
            client = self._clients[settings] = PolicyClient(settings)
        judge, stress = _Judge(context, settings), context.text("stress")

        async def check(session: Session) -> Verdict | None:
            asker = instance_of(session, self._count)
            request = question(session, asker, stress=stress, policy_context=settings.policy_context)
            try:
                action = await client.ask(request.to_wire(), asker)
            except PolicyFailure as failure:
                text = f"problem talking to server {settings.server}: {failure}"
                context.report(f"policy server {settings.server}", text)
                return await judge(session, settings.default_action, text)
            return await judge(session, action)

        return check


class _Judge:
    """Turns an action into a verdict about what its list judges."""

    def __init__(self, context: RestrictionContext, settings: ServerSettings) -> None:
        self._context, self._server = context, settings.server
        self._reject_code = context.integer("access_map_reject_code")
        self._defer_code = context.integer("access_map_defer_code")
        self._is_after_content = context.parameter == "smtpd_end_of_data_restrictions"

    async def __call__(self, session: Session, value: str, failure: str = "") -> Verdict | None:
        """What ``value`` decides; ``failure`` is why it is the default action, for the log."""
        context, action = self._context, parse_action(value)
        if action.kind is Kind.RESTRICTIONS:
            return await context.apply(action.argument, session, context.subject)
        if action.problem:
            context.warn(f"policy server {self._server}: {action.problem}")
        if self._is_after_content and action.action is Action.PREPEND:
            context.warn(f"policy server {self._server}: PREPEND comes too late in smtpd_end_of_data_restrictions")
            return None
        verdict = action.verdict(context.subject, session, reject_code=self._reject_code, defer_code=self._defer_code)
        if verdict is None or not (verdict.is_refusal or failure):
            return verdict
        return msgspec.structs.replace(verdict, reason=failure or f"{context.name} {self._server}")
