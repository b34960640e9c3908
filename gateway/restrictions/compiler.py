"""From the words of a restriction list to steps: classes expanded, arguments taken, names found or refused.

Everything that can be wrong is a ConfigError at (re)load, with the parameter and what would be right.
Source: postconf(5), smtpd_recipient_restrictions, smtpd_restriction_classes; RESTRICTION_CLASS_README.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from gateway.config.values import BadValue, split_words
from gateway.model.errors import ConfigError
from gateway.model.restriction import CLIENT, HELO, RECIPIENT, SENDER, RestrictionKind, Subject
from gateway.restrictions.names import BUILT_IN, NOT_YET, OF_PLUGINS, OLD_NAMES, STOPS_STRANGERS, WARN_IF_REJECT
from gateway.restrictions.place import Apply, BuiltIn, Materials, Place
from gateway.restrictions.step import Step

_ACCESS_CHECKS = {
    CLIENT: "check_client_access",
    HELO: "check_helo_access",
    SENDER: "check_sender_access",
    RECIPIENT: "check_recipient_access",
}


class Compiler:
    """Compiles the restriction lists of one configuration.

    Args:
        materials: what built-in restrictions use.
        registered: restrictions of plugins, a :class:`RestrictionKind` or a bare factory under each name.
        apply: evaluates the restrictions that a table gives.

    Raises:
        ConfigError: a plugin's name is taken, or a restriction class has no definition.
    """

    def __init__(self, materials: Materials, registered: Mapping[str, object], apply: Apply) -> None:
        self._materials, self._apply, self._is_checking = materials, apply, False
        self._timeout_s = materials.config.seconds("plugin_timeout")
        self._kinds: dict[str, BuiltIn | RestrictionKind] = dict(BUILT_IN)
        for name, kind in registered.items():
            if name in BUILT_IN or name in OLD_NAMES or name == WARN_IF_REJECT:
                raise ConfigError(f"a plugin registers the built-in restriction {name}", parameter="plugins")
            self._kinds[name] = known = _kind(name, kind)
            for parameter in known.tables:
                for spec in materials.config.words(parameter):
                    materials.tables.open(spec)
        self._classes: dict[str, tuple[str, ...]] = {}
        for name in materials.config.words("smtpd_restriction_classes"):
            if materials.config.raw(name) is None:
                raise ConfigError(f"restriction class {name} has no definition", parameter="smtpd_restriction_classes")
            self._classes[name] = materials.config.words(name)
        for name, words in self._classes.items():
            # A class that only a table names must be right, and have its tables open, before the first message.
            self._list(words, name, RECIPIENT, is_runtime=False, is_warning=False, path=(name,))

    def compile(
        self, words: Sequence[str], parameter: str, subject: Subject, *, is_runtime: bool = False
    ) -> list[Step]:
        """Compile one list.

        Args:
            words: names and arguments, in order.
            parameter: where they stand.
            subject: what the list judges.
            is_runtime: they come from a table: tables they name must be open already.

        Raises:
            ConfigError: unknown name, missing argument, classes that contain each other, a table that cannot be opened.
        """
        return self._list(words, parameter, subject, is_runtime=is_runtime, is_warning=False, path=())

    def _check(self, text: str, place: Place) -> None:
        """Compile what a setting names, and have its tables opened, for the time when it is needed."""
        if self._is_checking:
            return  # it names a restriction with a setting of that kind, maybe this one: checked where that stands
        self._is_checking = True
        try:
            self.compile(split_words(text), place.parameter, place.subject, is_runtime=place.is_runtime)
        except BadValue as error:
            raise ConfigError(f'"{text}": {error}', parameter=place.parameter) from error
        finally:
            self._is_checking = False

    def _list(
        self,
        words: Sequence[str],
        parameter: str,
        subject: Subject,
        *,
        is_runtime: bool,
        is_warning: bool,
        path: tuple[str, ...],
    ) -> list[Step]:
        steps: list[Step] = []
        warns_next = False
        rest = list(reversed(words))
        while rest:
            word = rest.pop()
            if word.lower() == WARN_IF_REJECT:
                warns_next = True
                if not rest:
                    raise ConfigError(f"nothing follows {word}", parameter=parameter)
                continue
            warns = is_warning or warns_next
            warns_next = False
            if word in self._classes:
                if word in path:
                    loop = " -> ".join((*path, word))
                    raise ConfigError(f"restriction classes contain each other: {loop}", parameter=parameter)
                steps += self._list(
                    self._classes[word],
                    parameter,
                    subject,
                    is_runtime=is_runtime,
                    is_warning=warns,
                    path=(*path, word),
                )
                continue
            steps.append(self._step(word, rest, parameter, subject, is_runtime=is_runtime, is_warning=warns))
            if steps[-1].name in ("permit", "reject", "defer") and not warns and rest and not path:
                self._materials.tables.warn_once(f'{parameter}: "{rest[-1]}" after "{word}" is never reached')
        return steps

    def _step(
        self, word: str, rest: list[str], parameter: str, subject: Subject, *, is_runtime: bool, is_warning: bool
    ) -> Step:
        name = OLD_NAMES.get(word.lower(), word.lower())
        if ":" in word and name not in self._kinds and subject in _ACCESS_CHECKS:
            rest.append(word)
            name = _ACCESS_CHECKS[subject]
            self._materials.tables.warn_once(f"{parameter}: write {name} before {word}; the bare form is deprecated")
        kind = self._kinds.get(name)
        if kind is None:
            raise ConfigError(self._unknown(name, word), parameter=parameter)
        if len(rest) < kind.arguments:
            raise ConfigError(f"{word} needs {kind.arguments} argument(s)", parameter=parameter)
        arguments = tuple(rest.pop() for _ in range(kind.arguments))
        place = Place(
            name, parameter, arguments=arguments, subject=subject, materials=self._materials, apply=self._apply,
            check=self._check, is_runtime=is_runtime,
        )  # fmt: skip
        try:
            restriction = kind.factory(place)
        except ConfigError as error:
            if error.parameter or error.file:
                raise
            raise ConfigError(f"{word}: {error.message}", parameter=parameter) from error
        return Step(name, restriction, is_warning, 0.0 if kind.is_bounded else self._timeout_s)

    def _unknown(self, name: str, word: str) -> str:
        if name in NOT_YET:
            return f"{name} is not available yet"
        for plugin, names in OF_PLUGINS.items():
            if name in names:
                return f"{name} is of the plugin {plugin}, which is not in main.cf's plugins"
        near = difflib.get_close_matches(name, [*self._kinds, *self._classes], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        if name.startswith("check_") and name.endswith("_access"):
            hint = "; the plugin that has it is not in main.cf's plugins" if not near else hint
        return f'unknown restriction "{word}"{hint}'


def _kind(name: str, given: object) -> RestrictionKind:
    if isinstance(given, RestrictionKind):
        return given
    if callable(given):
        return RestrictionKind(given)
    raise ConfigError(f"restriction {name}: expected a RestrictionKind or a factory", parameter="plugins")


def check_relay_safety(*lists: Sequence[Step]) -> None:
    """Refuse a configuration in which nothing stops strangers.

    Args:
        lists: relay and recipient restrictions.

    Raises:
        ConfigError: none of STOPS_STRANGERS is reached. Source: smtpd_relay_restrictions, "IMPORTANT".
    """
    for steps in lists:
        for step in steps:
            if step.name == "permit":
                break
            if step.name in STOPS_STRANGERS and not step.is_warning:
                return
    raise ConfigError(
        "this would be an open relay: specify in smtpd_relay_restrictions or smtpd_recipient_restrictions, without"
        f" warn_if_reject, one of {', '.join(sorted(STOPS_STRANGERS))}",
        parameter="smtpd_relay_restrictions",
    )
