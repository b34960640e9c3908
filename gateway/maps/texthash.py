"""``texthash:`` — a plain text file of ``key value`` lines, read into memory. Source: postmap(1), DATABASE_README."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.maps.database.aliases import alias_records
from gateway.maps.database.records import Record, record_blocks, shown
from gateway.maps.folding import Folding, decoded
from gateway.maps.source import RuleSource, Surroundings
from gateway.maps.table import MemoryTable
from gateway.model.errors import ConfigError

Records = dict[str, str]


class TexthashTable(MemoryTable):
    """Keys fold to lower case; of two records with one key the first counts, with a warning.

    A line that is no record is a warning, and is left out, as in Postfix.

    Args:
        spec: as configured.
        name: the file.
        around: directory, clock, warnings, ``smtputf8_enable``.
        is_aliases: its lines are those of aliases(5).

    Attributes:
        folding: how keys are spelt.
    """

    def __init__(self, spec: str, name: str, around: Surroundings, *, is_aliases: bool = False) -> None:
        super().__init__(spec)
        if name.startswith("{"):
            raise ConfigError(f"table {spec}: expected a file name")
        self.folding = Folding(around.config)
        self._source = _Source(spec, name, around, self.folding, is_aliases=is_aliases)

    def get(self, key: str) -> str | None:
        """The value under ``key``."""
        wanted = self.folding.text(key)
        return None if wanted is None else self._source.fresh().get(wanted)

    def keep_case(self) -> None:
        """Take keys as they are written (postmap -f)."""
        self.folding.folds = False
        self._source.read_again()

    def items(self) -> Iterator[tuple[str, str]]:
        """All records, in the order of the file."""
        yield from self._source.fresh().items()


class _Source(RuleSource[Records]):
    """Reads records where the tables of patterns read rules."""

    def __init__(self, spec: str, name: str, around: Surroundings, folding: Folding, *, is_aliases: bool) -> None:
        self._folding, self._is_aliases = folding, is_aliases
        super().__init__(spec, name, lambda _lines, _file: {}, around)

    def read_again(self) -> None:
        """Read the file now."""
        self.content = self._read()

    def _read(self) -> Records:
        found: Records = {}
        in_utf8, folds = self._folding.in_utf8, self._folding.folds
        try:
            with open(self.path, "rb") as file:
                if self._is_aliases:
                    self._add(found, alias_records(file, self._odd, in_utf8=in_utf8, folds=folds))
                else:
                    for block in record_blocks(file, self._odd, in_utf8=in_utf8, folds=folds):
                        self._add(found, block)
        except OSError as error:
            raise ConfigError(f"cannot read: {error.strerror}", file=self.path) from error
        return found

    def _add(self, found: Records, block: Iterable[Record]) -> None:
        for octets, value, line in block:
            key = decoded(octets)
            if key in found:
                self._odd(line, f'duplicate entry: "{shown(octets)}"')
            else:
                found[key] = decoded(value)

    def _odd(self, line: int, text: str) -> None:
        where = f"{self.path}, line {line}" if line else self.path
        self._around.warn(f"{where}: {text}")
