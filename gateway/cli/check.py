"""``postgate check``: everything that is wrong with the configuration, before it is used.

Parameters and services are checked here; plugins, tables and transports are built by a child process with the rights
of mail_owner, as no check may run a plugin as root.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Callable

import msgspec

from gateway.cli.console import Console
from gateway.config import Config, read
from gateway.master.directories import problems as directory_problems
from gateway.master.listening import endpoints
from gateway.master.privileges import drop, owner
from gateway.master.settings import admit_plugins
from gateway.model.errors import ConfigError, GatewayError
from gateway.observe import MailLog


class Findings(msgspec.Struct):
    """What a check found, one line each."""

    errors: list[str] = []
    warnings: list[str] = []

    def attempt(self, what: Callable[[], object]) -> bool:
        """Do something; note the error when it fails. True when it did not."""
        try:
            what()
        except (GatewayError, OSError) as exc:
            if str(exc) not in self.errors:
                self.errors.append(str(exc))
            return False
        return True


def run(directory: str, *, is_json: bool) -> int:
    """Print every problem; returns 1 when one of them is an error."""
    findings = check(directory)
    if is_json:
        print(json.dumps(msgspec.to_builtins(findings), ensure_ascii=False))
    else:
        console = Console("postgate")
        for warning in findings.warnings:
            console.warning(warning)
        for error in findings.errors:
            console.fatal(error)
    return 1 if findings.errors else 0


def check(directory: str) -> Findings:
    """Check the configuration in a directory."""
    findings = Findings()
    try:
        config = read(directory)
    except ConfigError as exc:
        findings.errors.append(str(exc))
        return findings
    # One by one, as Config.check would stop at the first.
    for name in [*config.settings, *(parameter.name for parameter in config.registry)]:
        if config.definition(name) is not None:
            findings.attempt(lambda name=name: config.text(name))  # type: ignore[misc]
    findings.attempt(lambda: config.services)
    if findings.errors:
        return findings
    findings.attempt(lambda: owner(config))
    findings.attempt(lambda: MailLog.open(config).close())
    findings.attempt(lambda: endpoints(config))
    if os.path.isdir(config.text("queue_directory")):
        findings.warnings += directory_problems(config)
    built = _in_child(config)
    findings.errors += built.errors
    findings.warnings += built.warnings
    return findings


def _in_child(config: Config) -> Findings:
    """Build everything in a child process that has given up its privileges."""
    reports, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reports)
        try:
            os.write(theirs, msgspec.msgpack.encode(_build(config)))
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
        return Findings([f"the check itself failed with status {os.waitstatus_to_exitcode(status)}"])
    return msgspec.msgpack.decode(data, type=Findings)


def _build(config: Config) -> Findings:
    from gateway.master.checking import problems

    findings = Findings()
    if findings.attempt(lambda: drop(config)) and findings.attempt(lambda: admit_plugins(config)):

        async def build() -> None:
            findings.errors += problems(config, MailLog.memory())

        asyncio.run(build())
    findings.warnings += config.warnings
    return findings
