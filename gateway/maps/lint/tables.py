"""Every table that the configuration names, opened and looked at."""

from __future__ import annotations

import os
from collections.abc import Callable

from gateway.config import Config
from gateway.config.lines import LogicalLine, read_lines
from gateway.maps.lint import files
from gateway.maps.lint.findings import Report
from gateway.maps.lint.records import Style, lint_records
from gateway.maps.lint.rules import lint_expressions, lint_networks
from gateway.maps.lint.uses import Use, table_uses
from gateway.maps.match_list import Subdomains, subdomain_style
from gateway.maps.pattern.table import Flagged, PatternTable
from gateway.maps.source import rule_lines, unbraced, words_in
from gateway.maps.table import Table
from gateway.maps.tables import Tables
from gateway.model.errors import ConfigError

Progress = Callable[[str], None]
"""Told what is being looked at."""


def lint_tables(
    config: Config, tables: Tables, report: Report, *, trusted: frozenset[int], progress: Progress = lambda _text: None
) -> None:
    """Open every table and look at its files, records and rules; with the rights of ``mail_owner``.

    Args:
        config: checked.
        tables: opens them; its warnings go into the report.
        report: takes the findings.
        trusted: users that may own the files.
        progress: told before each table.
    """
    tables.on_warning = report.warn_of
    by_spec: dict[str, list[Use]] = {}
    for use in table_uses(config, tables.types):
        by_spec.setdefault(use.spec, []).append(use)
    seen: set[str] = set()
    for number, (spec, uses) in enumerate(by_spec.items(), 1):
        progress(f"table {number} of {len(by_spec)}: {spec}")
        if spec.startswith("/"):
            _lint_list(spec, report, trusted)
            continue
        table = _opened(spec, uses[0], tables, report)
        kind, _, name = spec.partition(":")
        source, made = files.files_of(kind, name, config.directory)
        for path in (source, *made):
            if path and path not in seen:
                seen.add(path)
                files.lint_file(path, report, trusted)
                if path != source or not made:  # nobody but postmap reads the source of a database
                    files.lint_readable(path, config.text("mail_owner"), report)
        if source and kind in files.CLIENT_TYPES:
            files.lint_secrets(source, report)
        elif source and (made or kind == "texthash"):
            style = _style(config, uses)
            lookups = list(dict.fromkeys(use.lookup for use in uses))
            lint_records(source, lookups, style, report, is_opened=kind == "texthash")
        if table is not None and kind in ("cidr", "pcre", "regexp"):
            _lint_rules(spec, table, source, report)


def _opened(spec: str, use: Use, tables: Tables, report: Report) -> Table | None:
    try:
        return tables.open(spec)
    except ConfigError as error:
        where = f", {use.file}, line {use.line}" if use.line else ""
        place = ConfigError(
            f"{error.message} ({use.parameter}{where})" if error.file else error.message,
            file=error.file or use.file,
            line=error.line if error.file else use.line,
            parameter="" if error.file else use.parameter,
        )
        report.fail(place, raised=error)
        return None


def _lint_list(path: str, report: Report, trusted: frozenset[int]) -> None:
    """A file with a part of a list."""
    if files.lint_file(path, report, trusted) is None:
        report.fail(ConfigError("cannot open: no such file", file=path))


def _style(config: Config, uses: list[Use]) -> Style:
    nulls = ("empty_address_relayhost_maps_lookup_key", "empty_address_default_transport_maps_lookup_key")
    parents = config.words("parent_domain_matches_subdomains")
    return Style(
        in_utf8=config.boolean("smtputf8_enable"),
        parent_access="smtpd_access_maps" in parents,
        parent_domains=all(subdomain_style(config, use.parameter) is Subdomains.PARENT for use in uses),
        null_keys=frozenset(config.text(name) for name in nulls),
    )


def _lint_rules(spec: str, table: Table, source: str, report: Report) -> None:
    name = spec.partition(":")[2]
    lines: list[LogicalLine]
    if source:
        lines = rule_lines(read_lines(source), source)
    else:
        lines = rule_lines([unbraced(rule) for rule in words_in(name, spec)], spec)
    if isinstance(table, PatternTable):
        empty: dict[Flagged, bool] = {}

        def matches_empty(pattern: Flagged) -> bool:
            if pattern not in empty:
                empty[pattern] = table.compile(pattern, needs_groups=False).matches(b"")
            return empty[pattern]

        lint_expressions(lines, source or spec, matches_empty, report)
    elif spec.startswith("cidr:"):
        lint_networks(lines, source or spec, report)


def lint_configuration_files(directory: str, report: Report, trusted: frozenset[int]) -> None:
    """Owner and mode of main.cf and master.cf."""
    for name in ("main.cf", "master.cf"):
        files.lint_file(os.path.join(directory, name), report, trusted)
