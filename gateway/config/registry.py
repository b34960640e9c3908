"""The registry: every parameter that may stand in main.cf, Postfix's, ours and those of plugins."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from gateway.config.parameter import Parameter


class Registry:
    """Parameters by name. Plugins add theirs with :meth:`add` before the configuration is checked."""

    def __init__(self, parameters: Iterable[Parameter] = ()) -> None:
        self._parameters: dict[str, Parameter] = {}
        for parameter in parameters:
            self.add(parameter)

    def add(self, parameter: Parameter) -> None:
        """Make a parameter known.

        Raises:
            ValueError: the name is taken by another definition.
        """
        known = self._parameters.setdefault(parameter.name, parameter)
        if known is not parameter and known != parameter:
            raise ValueError(f"parameter {parameter.name} is already defined by {known.origin}")

    def get(self, name: str) -> Parameter | None:
        """The parameter, or None."""
        return self._parameters.get(name)

    def copy(self) -> Registry:
        """A registry with the same parameters that can grow on its own."""
        return Registry(self._parameters.values())

    def nearest(self, name: str, more: Iterable[str] = ()) -> str | None:
        """The known name that looks most like a misspelt one, None when nothing does."""
        close = difflib.get_close_matches(name, [*self._parameters, *more], n=1, cutoff=0.75)
        return close[0] if close else None

    def __contains__(self, name: object) -> bool:
        return name in self._parameters

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())

    def __len__(self) -> int:
        return len(self._parameters)
