"""What operators see: log lines in Postfix's form, and counters.

Owns the line's shape and its way to a file, ``/dev/stdout``, syslog or stderr. Never decides what is worth a line.
"""

from gateway.observe.counters import Counters
from gateway.observe.log import Logger, LogSettings, MailLog

__all__ = ["Counters", "LogSettings", "Logger", "MailLog"]
