"""Log lines of deliveries, in exactly Postfix's form: log analysers (pflogsumm) read them.

Source: postconf(5) delay_logging_resolution_limit for the form of ``delay=`` and ``delays=``.
"""

from __future__ import annotations

from gateway.model.delivery import DeliveryReport, Status
from gateway.model.envelope import Envelope, Recipient
from gateway.observe import Logger


def _short(hundredths: int) -> str:
    """Below 1 s two decimals, below 10 s one, no trailing zeros: at most two significant digits."""
    text = f"{hundredths / 100:.2f}" if hundredths < 100 else f"{(hundredths + 5) // 10 / 10:.1f}"
    return text.rstrip("0").rstrip(".")


_SHORT = tuple(_short(hundredths) for hundredths in range(1000))


def format_delay(seconds: float) -> str:
    """``0``, ``0.02``, ``0.3``, ``1.2``, ``12``, ``3601``: what ``delay=`` has for a time span."""
    if seconds < 9.995:
        return _SHORT[int(seconds * 100 + 0.5)] if seconds > 0 else "0"
    return str(int(seconds + 0.5))


def format_delays(queued_s: float, waiting_s: float, connect_s: float, transfer_s: float) -> str:
    """``delays=a/b/c/d``: before the active queue, in it, getting a connection, sending."""
    return f"{format_delay(queued_s)}/{format_delay(waiting_s)}/{format_delay(connect_s)}/{format_delay(transfer_s)}"


def log_active(logger: Logger, envelope: Envelope) -> None:
    """A message entered the active queue."""
    logger.info(
        f"{envelope.queue_id}: from=<{envelope.sender.quoted}>, size={envelope.size_bytes}, "
        f"nrcpt={len(envelope.recipients)} (queue active)"
    )


def recipient_line(queue_id: str, recipient: Recipient, status: Status, delay: str, delays: str) -> str:
    """One recipient's result; the two delays already formatted, as all recipients of a delivery share them."""
    original = recipient.original
    address = recipient.address
    orig_to = f"orig_to=<{original}>, " if original and original != str(address) else ""
    return (
        f"{queue_id}: to=<{address.quoted}>, {orig_to}relay={status.relay}, delay={delay}, delays={delays}, "
        f"dsn={status.dsn}, status={status.outcome.value} ({status.text})"
    )


def log_report(
    logger: Logger,
    envelope: Envelope,
    recipients: list[Recipient],
    report: DeliveryReport,
    *,
    since: float,
    started: float,
    now: float,
) -> None:
    """All results of one delivery. Times are seconds since the epoch: active since, delivery started, now."""
    delays = format_delays(since - envelope.arrival, started - since, report.connect_seconds, report.transfer_seconds)
    delay = format_delay(now - envelope.arrival)
    for recipient, status in zip(recipients, report.statuses, strict=True):
        logger.info(recipient_line(envelope.queue_id, recipient, status, delay, delays))
