"""``postgate check``: everything that is wrong with the configuration, before it is used.

Parameters and services are checked here; plugins, tables and transports are built, and tables looked through, by a
child process with the rights of mail_owner, as no check may run a plugin as root. What is accepted without effect is
told.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import traceback
from collections.abc import Callable

import msgspec

from gateway.cli.console import Console
from gateway.config import Config, read
from gateway.config.master_cf import split_options
from gateway.maps.lint.findings import Finding, Report, Severity
from gateway.master.directories import problems as directory_problems
from gateway.master.listening import endpoints
from gateway.master.privileges import drop, owner
from gateway.master.settings import admit_plugins
from gateway.model.errors import ConfigError, GatewayError
from gateway.observe import MailLog

PROGRESS_AFTER_S = 1.0
"""A check that takes longer says what it is at."""


class Findings(msgspec.Struct):
    """What a check found."""

    found: list[Finding] = []

    @property
    def errors(self) -> list[str]:
        """What stops the start, one line each."""
        return [str(finding) for finding in self.found if finding.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[str]:
        """What is odd, one line each."""
        return [str(finding) for finding in self.found if finding.severity is Severity.WARNING]


def run(directory: str, *, is_json: bool) -> int:
    """Print every problem; returns 1 when one of them is an error."""
    findings = check(directory)
    if is_json:
        shown = {"errors": findings.errors, "warnings": findings.warnings, "findings": findings.found}
        print(json.dumps(msgspec.to_builtins(shown), ensure_ascii=False))
    else:
        console = Console("postgate")
        for warning in findings.warnings:
            console.warning(warning)
        for error in findings.errors:
            console.fatal(error)
    return 1 if findings.errors else 0


def check(directory: str) -> Findings:
    """Check the configuration in a directory."""
    report = Report()
    trusted = frozenset((0, os.geteuid()))
    try:
        config = read(directory)
    except ConfigError as exc:
        report.fail(exc)
        return Findings(report.findings)
    # One by one, as Config.check would stop at the first.
    for name in [*config.settings, *(parameter.name for parameter in config.registry)]:
        if config.definition(name) is not None:
            _attempt(report, lambda name=name: config.text(name))  # type: ignore[misc]
    _attempt(report, lambda: config.services)
    if report.findings:
        return Findings(report.findings)
    _attempt(report, lambda: owner(config))
    _attempt(report, lambda: MailLog.open(config).close())
    _attempt(report, lambda: endpoints(config))
    if os.path.isdir(config.text("queue_directory")):
        for problem in directory_problems(config):
            report.warn_of(problem)
    for finding in [*_in_child(config, trusted), *_without_effect(config)]:
        report.add(finding)
    return Findings(report.findings)


def _attempt(report: Report, what: Callable[[], object]) -> bool:
    """Do something; note the error when it fails. True when it did not."""
    try:
        what()
    except (GatewayError, OSError) as exc:
        report.fail(exc)
        return False
    return True


def _without_effect(config: Config) -> list[Finding]:
    """What main.cf and ``-o`` set although nothing here reads it, each with the reason."""
    set_here = [(name, setting.file, setting.line) for name, setting in config.settings.items()]
    for row in config.rows:
        set_here += [(name, row.file, row.line) for name in split_options(row)[0]]
    return [
        Finding(Severity.WARNING, f"accepted without effect: {parameter.no_effect}", file, line, name)
        for name, file, line in set_here
        if (parameter := config.definition(name)) is not None and parameter.no_effect
    ]


def _in_child(config: Config, trusted: frozenset[int]) -> list[Finding]:
    """Build everything in a child process that has given up its privileges."""
    reports, theirs = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reports)
        try:
            with os.fdopen(theirs, "wb") as pipe:
                pipe.write(msgspec.msgpack.encode(_build(config, trusted)))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(0)
    os.close(theirs)
    with os.fdopen(reports, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not data:
        text = f"the check itself failed with status {os.waitstatus_to_exitcode(status)}"
        return [Finding(Severity.ERROR, text)]
    return msgspec.msgpack.decode(data, type=list[Finding])


def _build(config: Config, trusted: frozenset[int]) -> list[Finding]:
    from gateway.maps import Tables
    from gateway.maps.lint import lint_configuration_files, lint_tables
    from gateway.master.checking import lost_filters, problems, unserved

    report = Report()
    try:
        drop(config)
        plugins = admit_plugins(config)
    except (GatewayError, OSError) as exc:
        report.fail(exc)
    else:
        file = config.rows[0].file if config.rows else ""
        for row, text in (*unserved(config, plugins.registered("transports")), *lost_filters(config)):
            report.warn(f"{row.name}/{row.type}: {text}", file, row.line)
        if asking := [row for row in config.services if row.chroot]:
            names = ", ".join(f"{row.name}/{row.type}" for row in asking[:3]) + (", …" if len(asking) > 3 else "")
            report.warn(f"chroot is not carried out; {len(asking)} rows ask for it: {names}", file, asking[0].line)
        lint_configuration_files(config.directory, report, trusted)
        tables = Tables(config, types=plugins.registered("lookup_tables"))
        lint_tables(config, tables, report, trusted=trusted, progress=_progress())

        async def build() -> None:
            for problem in problems(config, MailLog.memory()):
                report.fail(problem)

        asyncio.run(build())
    for warning in config.warnings:
        report.warn_of(warning)
    return report.findings


def _progress() -> Callable[[str], None]:
    """Tells what is being looked at, once the check has taken a while."""
    start = time.monotonic()

    def tell(text: str) -> None:
        if time.monotonic() - start > PROGRESS_AFTER_S:
            print(f"postgate: checking {text}", file=sys.stderr, flush=True)

    return tell
