"""How many connections and how fast: per client, as anvil(8) counts. Bounds: postconf(5) smtpd_client_*_limit.

Each smtpd worker counts what it sees; the kernel spreads a client's connections over the workers, so each enforces its
share of the limit, rounded up.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from gateway.config import Config

_TRACKED_CLIENTS = 100_000


class _Seen:
    __slots__ = ("connections", "messages", "recipients", "total", "window")

    def __init__(self) -> None:
        self.connections = self.total = self.messages = self.recipients = 0
        self.window = -1


class ClientLimits:
    """Counts of one process.

    Args:
        config: limits and anvil_rate_time_unit.
        workers: smtpd workers that share each limit.
        now: monotonic seconds.
    """

    def __init__(self, config: Config, *, workers: int = 1, now: Callable[[], float] = monotonic) -> None:
        def share(name: str) -> int:
            return -(-config.integer(name) // workers)

        self._concurrent = share("smtpd_client_connection_count_limit")
        self._connections = share("smtpd_client_connection_rate_limit")
        self._messages = share("smtpd_client_message_rate_limit")
        self._recipients = share("smtpd_client_recipient_rate_limit")
        self._unit_s = max(config.seconds("anvil_rate_time_unit"), 1.0)
        self._is_rated = bool(self._connections or self._messages or self._recipients)
        self._now = now
        self._seen: dict[str, _Seen] = {}

    def connected(self, address: str) -> str:
        """Count a connection; what the log says when it is one too many, else empty."""
        seen = self._entry(address)
        seen.connections += 1
        seen.total += 1
        if self._concurrent and seen.connections > self._concurrent:
            return f"Connection concurrency limit exceeded: {seen.connections}"
        if self._connections and seen.total > self._connections:
            return f"Connection rate limit exceeded: {seen.total}"
        return ""

    def disconnected(self, address: str) -> None:
        """Count the end of a connection that was counted."""
        seen = self._seen.get(address)
        if seen is None:
            return
        seen.connections -= 1
        if seen.connections <= 0 and not self._is_rated:
            del self._seen[address]

    def message(self, address: str) -> bool:
        """Count a MAIL; False when the rate is exceeded."""
        if not self._messages:
            return True
        seen = self._entry(address)
        seen.messages += 1
        return seen.messages <= self._messages

    def recipient(self, address: str) -> bool:
        """Count a RCPT; False when the rate is exceeded."""
        if not self._recipients:
            return True
        seen = self._entry(address)
        seen.recipients += 1
        return seen.recipients <= self._recipients

    def _entry(self, address: str) -> _Seen:
        seen = self._seen.get(address)
        if seen is None:
            if len(self._seen) >= _TRACKED_CLIENTS:
                self._forget()
            seen = self._seen[address] = _Seen()
        if self._is_rated:
            window = int(self._now() / self._unit_s)
            if window != seen.window:
                seen.window, seen.total, seen.messages, seen.recipients = window, 0, 0, 0
        return seen

    def _forget(self) -> None:
        """Drop clients without a connection; their rates start anew, which errs on the side of service."""
        self._seen = {address: seen for address, seen in self._seen.items() if seen.connections > 0}
