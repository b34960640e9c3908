"""What every tool shares: messages on stderr and in the mail log, options, and finding the configuration."""

from __future__ import annotations

import getopt
import os
import sys

from gateway.config import Config, read
from gateway.model.errors import ConfigError, GatewayError

DEFAULT_DIRECTORY = "/etc/postgate"

EX_USAGE, EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE, EX_SOFTWARE, EX_TEMPFAIL, EX_NOPERM = 64, 65, 67, 69, 70, 75, 77
"""Exit statuses of sysexits.h."""


class Fatal(GatewayError):
    """The tool cannot do what was asked.

    Args:
        message: why. status: exit status.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Console:
    """Messages of one tool, ``postsuper: text`` on stderr; with a configuration also in the mail log."""

    def __init__(self, program: str, config: Config | None = None) -> None:
        self._program = program
        self._config = config

    def info(self, text: str) -> None:
        """Say what was done."""
        self._say("", text)

    def warning(self, text: str) -> None:
        """Say what is odd."""
        self._say("warning: ", text)

    def fatal(self, text: str) -> None:
        """Say why the tool ends; the caller ends it."""
        self._say("fatal: ", text)

    def _say(self, prefix: str, text: str) -> None:
        print(f"{self._program}: {prefix}{text}", file=sys.stderr)
        if self._config is not None:
            self._log(prefix + text)

    def _log(self, text: str) -> None:
        """Into the mail log where the caller may write it; a user's typing error is no business of syslog's."""
        from gateway.observe import MailLog

        assert self._config is not None
        path = self._config.text("maillog_file")
        if path.startswith("/dev/") or not (path or os.path.exists("/dev/log")):
            return
        try:
            log = MailLog.open(self._config)
        except ConfigError:
            return
        log.logger(self._program).info(text)
        log.close()


def options(arguments: list[str], letters: str, usage: str) -> tuple[dict[str, list[str]], list[str]]:
    """Split options from operands, as getopt(3) does.

    Args:
        letters: option letters, ``:`` after those that take a value.
    Returns:
        Values by option letter (an empty text for each use of one without value), and the operands.
    Raises:
        Fatal: an unknown option.
    """
    try:
        pairs, operands = getopt.getopt(arguments, letters)
    except getopt.GetoptError as exc:
        raise Fatal(f"{exc}; usage: {usage}", EX_USAGE) from exc
    found: dict[str, list[str]] = {}
    for option, value in pairs:
        found.setdefault(option[1:], []).append(value)
    return found, operands


def config_directory(chosen: str = "") -> str:
    """Absolute path of the configuration directory: option, MAIL_CONFIG, default (postfix(1) -c)."""
    return os.path.abspath(chosen or os.environ.get("MAIL_CONFIG", "") or DEFAULT_DIRECTORY)


def open_config(chosen: str = "") -> Config:
    """Read the configuration; tools look at few parameters and leave the check to ``postgate check``.

    Raises:
        ConfigError: it cannot be read.
    """
    return read(config_directory(chosen))
