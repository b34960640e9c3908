"""``pcre:`` — Perl-compatible expressions to results, as libpcre2 matches them. Source: pcre_table(5).

Octets are matched, whatever ``smtputf8_enable`` says, as Postfix 3.7 does it: ``.`` is one octet, unless the expression
begins with ``(*UTF)``. Keys are not folded: matching ignores case unless the flag ``i`` turns that off.
"""

from __future__ import annotations

from gateway.maps.pattern import pcre2
from gateway.maps.pattern.literals import Syntax
from gateway.maps.pattern.table import Flagged, PatternTable
from gateway.maps.source import Surroundings
from gateway.model.errors import ConfigError

# Flag, option, on when the flag is not named.
_OPTIONS = (
    ("i", pcre2.CASELESS, True),
    ("m", pcre2.MULTILINE, False),
    ("s", pcre2.DOTALL, True),
    ("x", pcre2.EXTENDED, False),
    ("A", pcre2.ANCHORED, False),
    ("E", pcre2.DOLLAR_ENDONLY, False),
    ("U", pcre2.UNGREEDY, False),
)


class PcreTable(PatternTable):
    """Every key is matched whole, as it came.

    Raises:
        ConfigError: a rule is wrong, or the library is missing.
    """

    known_flags = "imsxAEUX"

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        try:
            pcre2.load()
        except OSError as error:
            raise ConfigError(f"table {spec}: {error}") from error
        super().__init__(spec, name, around)

    def compile(self, pattern: Flagged, *, needs_groups: bool) -> pcre2.PcrePattern:
        """See :meth:`PatternTable.compile`."""
        options = sum(option for flag, option, default in _OPTIONS if pattern.is_on(flag, default=default))
        return pcre2.PcrePattern(pattern.octets, options)

    def syntax(self, pattern: Flagged) -> Syntax | None:
        """See :meth:`PatternTable.syntax`."""
        return None if pattern.is_on("x") else Syntax.PCRE

    def oddity(self, pattern: Flagged) -> str:
        """See :meth:`PatternTable.oddity`."""
        return 'the flag "X" does nothing' if "X" in pattern.flags else ""
