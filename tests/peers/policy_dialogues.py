"""SMTP dialogues that make a mail system ask its policy server at every stage, and what that server answers.

Commands are sent as they stand; a ``BDAT`` carries its chunk.
"""

from __future__ import annotations

CLIENT = "XCLIENT ADDR=203.0.113.9 NAME=mail.client.example"
MESSAGE = "Subject: policy\r\n\r\nhello\r\n."


def bdat(text: str, last: str = "") -> str:
    """One chunk, whole lines."""
    size = len(text.encode())
    return f"BDAT {size}{last}\r\n{text}"


def mail(sender: str = "s@sender.example", *recipients: str) -> list[str]:
    """EHLO to the last RCPT."""
    return [
        "EHLO h.example",
        f"MAIL FROM:<{sender}>",
        *(f"RCPT TO:<{to}>" for to in recipients or ("u@local.example",)),
    ]


SENT = ["DATA", MESSAGE]

DIALOGUES: dict[str, list[str]] = {
    "one recipient": [*mail(), *SENT, "QUIT"],
    "HELO": ["HELO h.example", "MAIL FROM:<s@sender.example>", "RCPT TO:<u@local.example>", *SENT],
    "HELO, then EHLO": ["HELO h.example", *mail(), *SENT],
    "EHLO twice": ["EHLO one.example", *mail(), *SENT],
    "a HELO name that is none": ["EHLO a<b>c(d)\\e;f@g", *mail()[1:], *SENT],
    "an address literal as HELO name": ["EHLO [192.0.2.1]", *mail()[1:]],
    "several recipients": [*mail("s@sender.example", "u@local.example", "v@local.example", "w@relay.example"), *SENT],
    "the same recipient twice": [*mail("s@sender.example", "u@local.example", "u@local.example"), *SENT],
    "null sender": [*mail(""), *SENT],
    "null sender, two recipients": [*mail("", "u@local.example", "v@local.example"), *SENT],
    "SIZE": ["EHLO h.example", "MAIL FROM:<s@sender.example> SIZE=12345", "RCPT TO:<u@local.example>", *SENT],
    "SIZE and an empty message": ["EHLO h.example", "MAIL FROM:<s@sender.example> SIZE=500", *mail()[2:], "DATA", "."],
    "SIZE forgotten by the next MAIL": [
        "EHLO h.example", "MAIL FROM:<s@sender.example> SIZE=77", "RSET", *mail()[1:], *SENT,
    ],
    "dots at the beginning of lines": [*mail(), "DATA", "Subject: dots\r\n\r\n..one\r\n...two\r\n."],
    "BODY=8BITMIME": [
        "EHLO h.example", "MAIL FROM:<s@sender.example> BODY=8BITMIME", *mail()[2:], "DATA", "\r\nbjörn\r\n.",
    ],
    "BDAT in one piece": [*mail(), bdat("Subject: b\r\n\r\nhello\r\n", " LAST")],
    "BDAT in pieces": [*mail(), bdat("Subject: b\r\n"), bdat("\r\nhello\r\n"), "BDAT 0 LAST"],
    "BDAT, SIZE and two recipients": [
        "EHLO h.example", "MAIL FROM:<s@sender.example> SIZE=9", *mail("", "u@local.example", "v@local.example")[2:],
        bdat("Subject: b\r\n\r\n"), bdat("hello\r\n", " LAST"),
    ],
    "SMTPUTF8": ["EHLO h.example", "MAIL FROM:<jörg@bücher.example> SMTPUTF8", "RCPT TO:<élan@local.example>", *SENT],
    "quoted local parts": [*mail('"a b"@sender.example', '"u v"@local.example'), *SENT],
    "addresses without a domain": [*mail("joe", "u"), *SENT],
    "postmaster is not judged": [*mail("s@sender.example", "postmaster", "u@local.example"), *SENT],
    "address literals": [*mail("s@[192.0.2.7]", "u@[127.0.0.1]"), *SENT],
    "local routing": [*mail("s@sender.example", "u%relay.example@local.example", "relay.example!v@local.example")],
    "source routes": [*mail("@a.example,@b.example:s@sender.example", "@c.example:u@local.example"), *SENT],
    "DSN parameters": [
        "EHLO h.example", "MAIL FROM:<s@sender.example> RET=HDRS ENVID=x+20y",
        "RCPT TO:<u@local.example> NOTIFY=NEVER ORCPT=rfc822;o@local.example", *SENT,
    ],
    "VRFY": ["EHLO h.example", "VRFY u@local.example", "VRFY reject@local.example"],
    "VRFY before HELO": ["VRFY u@local.example"],
    "VRFY within a transaction": [*mail(), "VRFY v@local.example", *SENT],
    "RSET between two transactions": [*mail(), "RSET", *mail("t@sender.example")[1:], *SENT],
    "three messages": [*mail(), *SENT, *mail("t@sender.example")[1:], *SENT, *mail("")[1:], *SENT],
    "what is no command": [*mail(), "NOOP", "HELP", "FROBNICATE", *SENT],
    "XCLIENT": [CLIENT, *mail(), *SENT],
    "XCLIENT with IPv6": ["XCLIENT ADDR=IPV6:2001:db8::7 NAME=six.client.example PORT=4711", *mail(), *SENT],
    "XCLIENT without names": ["XCLIENT ADDR=203.0.113.9 NAME=[UNAVAILABLE] REVERSE_NAME=r.client.example", *mail()],
    "XCLIENT without an answer": ["XCLIENT ADDR=203.0.113.9 NAME=[TEMPUNAVAIL] REVERSE_NAME=[UNAVAILABLE] PORT=[UNAVAILABLE]", *mail()],
    "XCLIENT with a login": [
        "XCLIENT LOGIN=joe ADDR=203.0.113.9 NAME=x.example", *mail(), *SENT, *mail("t@sender.example")[1:], *SENT,
    ],
    "XCLIENT with both ends": [
        "XCLIENT ADDR=203.0.113.9 PORT=99 NAME=x.example REVERSE_NAME=y.example DESTADDR=198.51.100.7 DESTPORT=587",
        *mail(), *SENT,
    ],
    "XCLIENT with HELO and PROTO": ["XCLIENT HELO=told.example PROTO=ESMTP ADDR=203.0.113.9", *mail()[1:], *SENT],
    "XCLIENT forgets what the last one told": [
        "XCLIENT LOGIN=joe HELO=told.example PROTO=ESMTP ADDR=203.0.113.9 NAME=x.example PORT=7 DESTADDR=198.51.100.7",
        "XCLIENT NAME=y.example", *mail(), "RSET", "XCLIENT ADDR=203.0.113.8", *mail()[1:],
    ],
    "XCLIENT after a message": [*mail(), *SENT, CLIENT, *mail(), *SENT],
    "a client that is refused": ["XCLIENT ADDR=203.0.113.66 NAME=bad.client.example", *mail()],
    "a HELO that is refused": ["EHLO bad.example", *mail()[1:], *SENT],
    "a sender that is refused": [*mail("reject@sender.example"), *mail()[1:], *SENT],
    "recipients that are refused": [
        *mail("s@sender.example", "reject@local.example", "u@local.example", "busy@local.example", "v@local.example"),
        *SENT,
    ],
    "DATA that is refused": [*mail("nodata@sender.example"), "DATA", "RSET", *mail()[1:], *SENT],
    "BDAT that is refused": [*mail("nodata@sender.example"), bdat("Subject: b\r\n\r\n", " LAST"), "RSET", *mail()[1:], *SENT],
    "a message that is refused": [*mail("noend@sender.example"), *SENT, "RSET", *mail()[1:], *SENT],
    "actions": [
        *mail("s@sender.example", *(f"{local}@local.example" for local in (
            "ok", "dunno", "defer", "deferpermit", "hold", "prepend", "filter", "redirect", "bcc", "warn", "info",
            "code450", "code554", "number", "nothing", "text", "utf8", "badfilter", "list", "badlist",
        ))),
        *SENT,
    ],
    "OK does not open a relay": [*mail("s@sender.example", "ok@elsewhere.example", "u@elsewhere.example")],
    "DEFER_IF_REJECT": [*mail("s@sender.example", "deferreject@elsewhere.example", "deferreject@local.example")],
    "DISCARD": [*mail("s@sender.example", "discard@local.example", "u@local.example"), *SENT],
    "421 ends the session": [*mail("s@sender.example", "bye@local.example")],
}  # fmt: skip

ANSWERS = {
    "reject": "REJECT go away",
    "busy": "450 4.2.1 busy",
    "ok": "OK",
    "defer": "DEFER 4.7.9 not now",
    "deferpermit": "DEFER_IF_PERMIT greylisted",
    "deferreject": "defer_if_reject perhaps",
    "hold": "HOLD look at it",
    "prepend": "PREPEND X-Policy: yes",
    "filter": "FILTER discard:there",
    "redirect": "REDIRECT other@local.example",
    "bcc": "BCC copy@local.example",
    "warn": "WARN odd",
    "info": "INFO seen",
    "code450": "450 wait",
    "code554": "554 5.7.0 no",
    "number": "550",
    "nothing": "",
    "text": "REJECT",
    "utf8": "REJECT grüß Gott",
    "badfilter": "FILTER nowhere",
    "list": "reject_non_fqdn_sender, defer",
    "badlist": "no_such_restriction",
    "discard": "DISCARD",
    "bye": "421 4.7.0 bye",
}


def decide(asked: dict[str, str]) -> str:
    """The action for one request: by the list that asks (policy_context) and what it is about."""
    where = asked["policy_context"]
    if where == "client":
        return "REJECT bad client" if asked["client_address"] == "203.0.113.66" else "DUNNO"
    if where == "helo":
        return "REJECT bad helo" if asked["helo_name"] == "bad.example" else "DUNNO"
    if where == "sender":
        return ANSWERS["reject"] if asked["sender"].startswith("reject@") else "DUNNO"
    if where == "data":
        return "DEFER no data" if asked["sender"].startswith("nodata@") else "DUNNO"
    if where == "end_of_data":
        return "REJECT no message" if asked["sender"].startswith("noend@") else "DUNNO"
    return ANSWERS.get(asked["recipient"].partition("@")[0], "DUNNO") if where == "recipient" else "DUNNO"
