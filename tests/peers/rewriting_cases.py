"""Configurations, tables and messages for comparisons of cleanup with Postfix's.

All of it is made up from fixed seeds: tables over few names, so that results are keys again, aliases meet, and circles
close; messages whose addresses are in the tables in every form that a table may have them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mx.here.example",
    "mydomain": "here.example",
    "mydestination": "local.example, here.example",
    "myorigin": "Origin.example",
    "append_dot_mydomain": "yes",
    "message_drop_headers": "",
    "virtual_alias_domains": "",
    "remote_header_rewrite_domain": "remote.invalid",
}
_LOCALS = ("a", "b", "c", "User", "list", "root", "Fred", "x.y")
_DOMAINS = ("far.example", "sub.far.example", "Deep.Sub.far.example", "local.example", "alias.example")
_ODD = (
    "plain", "a%far.example", "far.example!b", "c@sub", '"a b"@far.example', '"c,x+y"@alias.example', "mailer-daemon",
    "Mailer-Daemon@far.example", "u@[192.0.2.1]", "a+@far.example", "+a@far.example", "list-request@local.example",
    "owner-list+x@alias.example", "double-bounce@local.example",
)  # fmt: skip
_SENDERS = (b"From", b"Sender", b"Reply-To", b"Errors-To", b"Return-Path", b"Mail-Followup-To", b"Resent-From")
_RECIPIENTS = (b"To", b"Cc", b"Bcc", b"Resent-To", b"Resent-Reply-To", b"Apparently-To")


@dataclass(frozen=True)
class Asked:
    """One RCPT: address without brackets, NOTIFY and ORCPT."""

    address: str
    notify: tuple[str, ...] = ()
    orcpt: str = ""

    def __str__(self) -> str:
        parameters = f" NOTIFY={','.join(self.notify)}" if self.notify else ""
        return f"{self.address}>{parameters}{f' ORCPT={self.orcpt}' if self.orcpt else ''}"


@dataclass(frozen=True)
class Message:
    """One transaction; the sender as on the wire, without brackets."""

    sender: str
    recipients: list[Asked]
    head: bytes


@dataclass(frozen=True)
class Setup:
    """One configuration.

    Args:
        settings: main.cf, in which ``{dir}`` is the directory of the tables.
        tables: texts of ``texthash`` tables by name.
        messages: what is sent through it.
    """

    settings: dict[str, str]
    tables: dict[str, str]
    messages: list[Message]


def address(chance: random.Random) -> str:
    """An address, with an extension at times."""
    if chance.random() < 0.12:
        return chance.choice(_ODD)
    extension = chance.choice(("", "", "", "+x", "+Y", "=z", "+x+y"))
    return f"{chance.choice(_LOCALS)}{extension}@{chance.choice(_DOMAINS)}"


def _key(chance: random.Random) -> str:
    local, domain = chance.choice(_LOCALS), chance.choice(_DOMAINS)
    forms = (f"{local}@{domain}", f"{local}@{domain}", f"{local}@{domain}", f"{local}+x@{domain}", local, f"@{domain}")
    return chance.choice(forms).lower()


def _one_result(chance: random.Random) -> str:
    found = address(chance)
    return chance.choice((found, found, found, found, f"Some Name <{found}>", f"{found} (in words)", f"<{found}>"))


def _results(chance: random.Random) -> str:
    if chance.random() < 0.12:
        return f"@{chance.choice(_DOMAINS)}"
    if chance.random() < 0.04:
        return "<>"
    count = chance.choice((1, 1, 1, 2, 3))
    return chance.choice((", ", ",", " , ")).join(_one_result(chance) for _ in range(count))


def _table(chance: random.Random, result: Callable[[random.Random], str], size: int) -> str:
    entries = {_key(chance): result(chance) for _ in range(size)}
    return "".join(f"{key}    {value}\n" for key, value in entries.items())


def _head(chance: random.Random) -> bytes:
    lines = [b"Date: Sun, 22 Nov 2026 10:00:00 +0000", b"Message-Id: <1@a.example>", b"From: f@elsewhere.example"]
    lines += [b"Resent-Date: Sun, 22 Nov 2026 10:00:00 +0000", b"Resent-Message-Id: <2@a.example>"]
    lines += [b"Resent-From: f@elsewhere.example"]
    for name in chance.sample((*_SENDERS, *_RECIPIENTS), 4):
        glue = chance.choice((", ", ",", ",\r\n "))
        value = glue.join(_one_result(chance) for _ in range(chance.randint(1, 4)))
        lines.append(name + b": " + value.encode())
    return b"".join(line + b"\r\n" for line in lines)


def _asked(chance: random.Random) -> Asked:
    notify = chance.choice(((), (), (), ("NEVER",), ("FAILURE", "DELAY")))
    return Asked(address(chance), notify, chance.choice(("", "", "", "rfc822;someone@else.example")))


def _message(chance: random.Random) -> Message:
    sender = "" if chance.random() < 0.08 else address(chance)
    recipients = [_asked(chance) for _ in range(chance.choice((1, 1, 2, 3, 6)))]
    if chance.random() < 0.2:
        recipients.append(recipients[0])
    return Message(sender, recipients, _head(chance))


_MAPS = {
    "canonical": {"canonical_maps": "texthash:{dir}/canonical", "local_header_rewrite_clients": "static:all"},
    "both": {
        "sender_canonical_maps": "texthash:{dir}/sender",
        "recipient_canonical_maps": "texthash:{dir}/recipient",
        "local_header_rewrite_clients": "static:all",
    },
    "virtual": {"virtual_alias_maps": "texthash:{dir}/virtual"},
    "bcc": {
        "always_bcc": "archive",
        "sender_bcc_maps": "texthash:{dir}/senderbcc",
        "recipient_bcc_maps": "texthash:{dir}/recipientbcc",
    },
    "mask": {"masquerade_domains": "!Deep.Sub.far.example far.example", "masquerade_exceptions": "ROOT, fred"},
}  # fmt: skip
_CONFIGURATIONS: tuple[dict[str, str], ...] = (
    {},
    _MAPS["canonical"],
    _MAPS["canonical"] | {"propagate_unmatched_extensions": "virtual"},
    _MAPS["canonical"] | {"canonical_classes": "envelope_sender, header_recipient", "local_header_rewrite_clients": ""},
    _MAPS["both"],
    _MAPS["both"] | _MAPS["canonical"] | {"sender_canonical_classes": "header_sender", "recipient_delimiter": "+="},
    _MAPS["virtual"],
    _MAPS["virtual"] | {"enable_original_recipient": "no", "propagate_unmatched_extensions": ""},
    _MAPS["virtual"] | {"virtual_alias_recursion_limit": "3", "virtual_alias_expansion_limit": "3"},
    _MAPS["virtual"] | {"virtual_alias_address_length_limit": "22", "recipient_delimiter": ""},
    _MAPS["mask"] | {"local_header_rewrite_clients": "static:all"},
    _MAPS["mask"] | {"masquerade_classes": "envelope_recipient", "masquerade_exceptions": ""},
    _MAPS["bcc"],
    _MAPS["bcc"] | _MAPS["virtual"],
    _MAPS["bcc"] | _MAPS["virtual"] | _MAPS["canonical"] | _MAPS["mask"],
    _MAPS["bcc"] | _MAPS["virtual"] | _MAPS["both"] | _MAPS["mask"] | {"owner_request_special": "no"},
    _MAPS["bcc"] | _MAPS["virtual"] | _MAPS["canonical"] | {"receive_override_options": "no_address_mappings"},
    _MAPS["virtual"] | _MAPS["canonical"] | {"remote_header_rewrite_domain": "", "local_header_rewrite_clients": ""},
)
_TABLES: dict[str, tuple[Callable[[random.Random], str], int]] = {
    "canonical": (_results, 22),
    "sender": (_one_result, 22),
    "recipient": (_one_result, 22),
    "virtual": (_results, 22),
    "senderbcc": (address, 15),
    "recipientbcc": (address, 15),
}


def setups(messages_each: int) -> list[Setup]:
    """All configurations, the same in each run."""
    made = []
    for seed, settings in enumerate(_CONFIGURATIONS):
        chance = random.Random(seed)
        used = [name for name in _TABLES if any(f"/{name}" in value for value in settings.values())]
        tables = {f"{name}{seed}": _table(chance, *_TABLES[name]) for name in used}
        own = {name: f"{value}{seed}" if "{dir}" in value else value for name, value in settings.items()}
        messages = [_message(chance) for _ in range(messages_each)]
        made.append(Setup({"recipient_delimiter": "+", **own}, tables, messages))
    return made
