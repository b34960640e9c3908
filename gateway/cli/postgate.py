"""``postgate``: start, stop and look at the mail system; ``postgate NAME`` runs a tool. Source: postfix(1)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import gateway
from gateway.cli import FACES
from gateway.cli import run as run_face
from gateway.cli.console import EX_USAGE, Console, Fatal, config_directory, open_config, options

USAGE = "postgate [-c config_dir] [-v] {start|start-fg|stop|reload|status|check|flush|plugins|version} [--json]"
"""Every face is a subcommand too, for where only one program is installed: ``postgate sendmail -t``."""


def main(arguments: list[str]) -> int:
    """Run one subcommand."""
    found, operands = options(arguments, "c:vh", USAGE)
    if "h" in found or not operands:
        print(f"usage: {USAGE}")
        return 0 if "h" in found else EX_USAGE
    command, rest = operands[0], operands[1:]
    directory = config_directory(found.get("c", [""])[-1])
    if command in FACES and command != "postgate":
        os.environ["MAIL_CONFIG"] = directory
        return run_face(command, rest)
    run = COMMANDS.get(command)
    if run is None:
        return _plugin_command(command, rest, directory)
    if set(rest) - {"--json"}:
        raise Fatal(f"{command} takes no {rest[0]!r}; usage: {USAGE}", EX_USAGE)
    return run(directory, is_verbose="v" in found, is_json="--json" in rest)


def _start(directory: str, **how: bool) -> int:
    from gateway.cli import lifecycle

    return lifecycle.start(directory, is_verbose=how["is_verbose"])


def _start_fg(directory: str, **how: bool) -> int:
    from gateway.cli import lifecycle

    return lifecycle.start_fg(directory, is_verbose=how["is_verbose"])


def _stop(directory: str, **_: bool) -> int:
    from gateway.cli import lifecycle

    return lifecycle.stop(directory)


def _reload(directory: str, **_: bool) -> int:
    from gateway.cli import lifecycle

    return lifecycle.reload(directory)


def _status(directory: str, **how: bool) -> int:
    from gateway.cli import status

    return status.show(directory, is_json=how["is_json"])


def _check(directory: str, **how: bool) -> int:
    from gateway.cli import check

    return check.run(directory, is_json=how["is_json"])


def _plugins(directory: str, **how: bool) -> int:
    from gateway.cli import plugins

    return plugins.show(directory, is_json=how["is_json"])


def _flush(directory: str, **_: bool) -> int:
    from gateway.cli import postqueue
    from gateway.cli.queue_source import Queue

    postqueue.flush(Queue(open_config(directory), Console("postgate")))
    return 0


def _version(directory: str, **_: bool) -> int:
    print(f"postgate {gateway.__version__}")
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "start": _start,
    "start-fg": _start_fg,
    "stop": _stop,
    "reload": _reload,
    "status": _status,
    "check": _check,
    "flush": _flush,
    "plugins": _plugins,
    "version": _version,
}


def _plugin_command(command: str, arguments: list[str], directory: str) -> int:
    """A subcommand that a plugin of main.cf registered."""
    from gateway.master.settings import admit_plugins

    config = open_config(directory)
    plugins = admit_plugins(config)
    registered: dict[str, Any] = plugins.registered("commands")
    if command not in registered:
        known = ", ".join([*COMMANDS, *sorted(registered)])
        raise Fatal(f"unknown command {command!r}; there are: {known}", EX_USAGE)
    plugins.configure(config)
    return int(registered[command](arguments, config) or 0)
