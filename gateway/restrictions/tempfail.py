"""What a temporary error of a lookup does: ``defer_if_permit`` or ``defer``. Source: reject_tempfail_action."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.model.errors import ConfigError
from gateway.model.restriction import RestrictionContext
from gateway.model.verdict import Action, Verdict


def tempfail(place: RestrictionContext, parameter: str) -> Callable[[Verdict], Verdict]:
    """Turns a DEFER into what main.cf wants of it.

    Raises:
        ConfigError: the parameter has another value.
    """
    wanted = place.text(parameter).strip()
    if wanted == "defer":
        return lambda verdict: verdict
    if wanted == "defer_if_permit":
        return lambda verdict: msgspec.structs.replace(verdict, action=Action.DEFER_IF_PERMIT)
    raise ConfigError(f'"{wanted}": expected defer_if_permit or defer', parameter=parameter)
