"""``texthash:`` — a plain text file of ``key value`` lines, read into memory. Source: postmap(1), DATABASE_README."""

from __future__ import annotations

import re
from functools import partial

from gateway.config.lines import LogicalLine
from gateway.maps.source import RuleSource, Surroundings
from gateway.maps.table import MemoryTable
from gateway.model.errors import ConfigError

# White space inside double quotes belongs to the key: "john smith"@example.com
_RECORD = re.compile(r'((?:"(?:\\.|[^"\\])*"|\S)+)\s+(\S.*)', re.DOTALL)


class TexthashTable(MemoryTable):
    """Keys fold to lower case; of two records with one key the first counts, with a warning."""

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        super().__init__(spec)
        self._source: RuleSource[dict[str, str]] = RuleSource(spec, name, partial(_parse, around), around)

    def get(self, key: str) -> str | None:
        """The value under ``key``."""
        return self._source.fresh().get(key.lower())


def _parse(around: Surroundings, lines: list[LogicalLine], file: str) -> dict[str, str]:
    records: dict[str, str] = {}
    for line in lines:
        match = _RECORD.fullmatch(line.text)
        if match is None:
            raise ConfigError("expected: key, white space, value", file=file, line=line.first)
        key, value = match[1].lower(), match[2]
        if key in records:
            around.warn(f'{file}, line {line.first}: duplicate entry: "{key}"')
        else:
            records[key] = value
    return records
