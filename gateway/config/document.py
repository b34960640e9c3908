"""Writes docs/parameters.md from the registry: ``python -m gateway.config.document > docs/parameters.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from gateway.config.known import TOPICS, default_registry
from gateway.config.known.transport import SUFFIXES, TIME_LIMIT, TIME_LIMIT_DEFAULT
from gateway.config.parameter import Kind, Parameter

_INTRODUCTION = """\
# Parameters

<!-- Written by `make parameters-doc` from gateway/config/known: edit there. -->

Every parameter of main.cf: {postfix} of Postfix 3.7 with its names, types and defaults, and {ours} of ours. postconf(5)
says more about Postfix's; [configuration.md](configuration.md) says how values are written.

{working} of them do something. The others are accepted, so that a Postfix configuration loads as it is, and change
nothing; the reason stands over each group of them, and `postgate check` tells it for every one that main.cf or a `-o`
sets.

A bare number of a `time` counts seconds, or the unit that stands beside it. A default with `$` is expanded when it is
read.
"""
_TRANSPORTS = """
## For each transport of master.cf

`<name>` is the first column of a row whose program delivers mail. What main.cf does not set falls back to the default.

| name | default |
|---|---|
"""
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def render() -> str:
    """The whole document."""
    registry = default_registry()
    working = sum(not parameter.no_effect for parameter in registry)
    postfix = sum(parameter.origin == "postfix" for parameter in registry)
    parts = [_INTRODUCTION.format(postfix=postfix, ours=len(registry) - postfix, working=working)]
    for title, names in TOPICS.items():
        parameters = [parameter for parameter in registry if parameter.name in names]
        parts.append(f"\n## {title}\n")
        parts += _table(parameter for parameter in parameters if not parameter.no_effect)
        for reason in dict.fromkeys(parameter.no_effect for parameter in parameters if parameter.no_effect):
            parts.append(f"\n**Without effect**: {reason}.\n")
            parts += _table(parameter for parameter in parameters if parameter.no_effect == reason)
    parts.append(_transports())
    return "".join(parts)


def _table(parameters: Iterator[Parameter]) -> list[str]:
    rows = [
        f"| `{parameter.name}` | {_type(parameter)} | {_default(parameter.default)} | {_cell(parameter.doc)} |\n"
        for parameter in parameters
    ]
    return ["\n| name | type | default | |\n|---|---|---|---|\n", *rows] if rows else []


def _type(parameter: Parameter) -> str:
    match parameter.kind:
        case Kind.SECONDS:
            return "time" if parameter.unit == "s" else f"time, {_UNITS[parameter.unit]}"
        case Kind.SIZE:
            return "octets"
        case Kind.CHOICE:
            return "one of " + ", ".join(f"`{word}`" if word else "nothing" for word in parameter.choices)
        case Kind.INTEGER if parameter.maximum is not None:
            return f"integer, {parameter.minimum} to {parameter.maximum}"
        case _:
            return str(parameter.kind.value)


def _default(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _transports() -> str:
    names = sorted(f"| `<name>_{suffix}` | `${fallback}` |\n" for suffix, fallback in SUFFIXES.items())
    names.append(f"| `<name>_{TIME_LIMIT}` of pipe, spawn and plugins' rows | `${TIME_LIMIT_DEFAULT}` |\n")
    return _TRANSPORTS + "".join(names)


if __name__ == "__main__":
    sys.stdout.write(render())
