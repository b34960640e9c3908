"""The error classes of the house.

A :class:`GatewayError` is something that can happen in a healthy program: the environment failed, the configuration is
wrong, a peer misbehaved. Everything else (``AssertionError``, ``TypeError`` …) is a bug. Policy answers are values
(:class:`gateway.model.verdict.Verdict`), never exceptions.
"""


class GatewayError(Exception):
    """Base of every error that a caller may want to handle."""


class ConfigError(GatewayError):
    """The configuration is wrong: stops the start, never surfaces at the first message.

    Args:
        message: what is wrong and what would be right.
        file: configuration file, or empty.
        line: 1-based line in it, or 0.
        parameter: main.cf parameter name, or empty.
    """

    def __init__(self, message: str, *, file: str = "", line: int = 0, parameter: str = "") -> None:
        self.message, self.file, self.line, self.parameter = message, file, line, parameter
        where = f"{file}, line {line}: " if line else f"{file}: " if file else ""
        what = f"{parameter}: " if parameter else ""
        super().__init__(f"{where}{what}{message}")


class TableError(GatewayError):
    """A lookup table could not answer now: always a temporary error, never "not found".

    Args:
        table: the table as configured, e.g. ``texthash:/etc/postgate/access``.
        message: the cause, for the log.
    """

    def __init__(self, table: str, message: str) -> None:
        self.table, self.message = table, message
        super().__init__(f"table {table}: {message}")


class SpoolError(GatewayError):
    """The spool could not take or change a message; nothing half-written remains (451 4.3.0)."""


class SpoolFull(SpoolError):
    """The spool has no room (452 4.3.1): disk full, or below ``queue_minfree``."""


class SpoolUnavailable(SpoolError):
    """The process that owns the spool is not answering (451 4.3.0)."""


class ProtocolError(GatewayError):
    """Somebody spoke out of turn."""


class LocalProtocolError(ProtocolError):
    """Our own code asked a session for something that is not legal now: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol."""
