"""The Received header and the headers a local message may lack. Source: RFC 5321 §4.4, RFC 5322 §3.6; cleanup(8)."""

from __future__ import annotations

import time

from gateway.model.envelope import Envelope


class HeaderDate:
    """RFC 5322 date-time text, formatted once a second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second, self._text = -1, ""

    def text(self, now: float) -> str:
        """``Sun, 22 Nov 2026 13:08:54 +0000 (UTC)`` in local time."""
        second = int(now)
        if second != self._second:
            local = time.localtime(second)
            day, month = _DAYS[local.tm_wday], _MONTHS[local.tm_mon - 1]
            self._text = (
                f"{day}, {local.tm_mday} {month} {local.tm_year:04d} "
                f"{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d} "
                f"{time.strftime('%z', local)} ({local.tm_zone})"
            )
            self._second = second
        return self._text


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def received_header(
    envelope: Envelope, *, recipient: str, hostname: str, mail_name: str, protocol: str, date: str
) -> bytes:
    """Compose the trace header of a message that came over SMTP or LMTP.

    Args:
        envelope: with client and queue ID.
        recipient: for the ``for`` clause, in external form, as the client gave it; empty leaves the clause out.
        hostname: myhostname.
        mail_name: mail_name.
        protocol: with-protocol, such as ``ESMTP``.
        date: from :class:`HeaderDate`.
    """
    client = envelope.client
    address = f"IPv6:{client.address}" if ":" in client.address else client.address
    helo = client.helo or "unknown"
    with_type = (
        f"UTF8{protocol.removeprefix('E')}" if envelope.is_smtputf8 and protocol.startswith("ESMTP") else protocol
    )
    for_line = f"\r\n\tfor <{recipient}>; {date}" if recipient else f";\r\n\t{date}"
    text = (
        f"Received: from {helo} ({client.name} [{address}])\r\n"
        f"\tby {hostname} ({mail_name}) with {with_type} id {envelope.queue_id}{for_line}\r\n"
    )
    return text.encode("utf-8", "surrogateescape")


def received_local(envelope: Envelope, *, hostname: str, mail_name: str, uid: int, date: str) -> bytes:
    """Compose the trace header of a message that came through ``sendmail``."""
    text = f"Received: by {hostname} ({mail_name}, from userid {uid})\r\n\tid {envelope.queue_id}; {date}\r\n"
    return text.encode("ascii", "replace")
