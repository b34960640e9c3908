"""What notifications say to people: subjects and the first part of the report.

The texts are our own; the form ``<address>: reason`` after them is what people and programs know from Postfix.
Source: bounce(5) for what each template is for.
"""

from __future__ import annotations

from enum import Enum


class Notice(Enum):
    """The kinds of notification, by the words of their log line and of ``notify_classes``."""

    FAILURE = "non-delivery notification"
    DELAY = "delay notification"
    SUCCESS = "delivery status notification"


SUBJECTS = {
    Notice.FAILURE: "Undelivered Mail Returned to Sender",
    Notice.DELAY: "Delayed Mail (still being retried)",
    Notice.SUCCESS: "Successful Mail Delivery Report",
}
POSTMASTER_SUBJECTS = {
    Notice.FAILURE: "Postmaster Copy: Undelivered Mail",
    Notice.DELAY: "Postmaster Warning: Delayed Mail",
    Notice.SUCCESS: "Postmaster Copy: Delivery Report",
}
_TEXTS = {
    Notice.FAILURE: """\
Mail server {host} writes to you because a message of yours could not
be delivered. The addresses below did not get it, each with the reason. No more
attempts will be made.

The message, or its header, follows at the end of this report. If you need help
with it, please write to the postmaster and include the whole report.
""",
    Notice.DELAY: """\
Mail server {host} writes to you because a message of yours is late.

THERE IS NOTHING YOU HAVE TO DO. DO NOT SEND THE MESSAGE AGAIN.

It has not been delivered for {waited} now. Delivery will be tried
until the message is {lifetime} old. The addresses below are still waiting, each
with the reason of the last attempt.
""",
    Notice.SUCCESS: """\
Mail server {host} writes to you because you asked to hear about the
delivery of a message. The addresses below have got it. If the next mail system
does not report on delivery, you will hear no more about the message.
""",
}


def span(seconds: float) -> str:
    """A time span in words: ``4 hours``, ``5 days``, ``90 minutes``."""
    minutes = max(round(seconds / 60), 1)
    size, unit = next((s, u) for s, u in ((1440, "day"), (60, "hour"), (1, "minute")) if not minutes % s)
    count = minutes // size
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def text_of(notice: Notice, host: str, *, waited_s: float, lifetime_s: float) -> str:
    """Words for the sender, CRLF line ends, with an empty line at the end."""
    text = _TEXTS[notice].format(host=host, waited=span(waited_s), lifetime=span(lifetime_s))
    return text.replace("\n", "\r\n") + "\r\n"
