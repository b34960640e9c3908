"""Where main.cf and master.cf name tables, and what each is asked for there.

Source: postconf(5) for each parameter; access(5), transport(5), canonical(5) for the keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto

import msgspec

from gateway.config import Config
from gateway.config.lines import BLANKS, split_outside_braces
from gateway.config.master_cf import split_options

MADE_OF_TABLES = ("pipemap", "unionmap")
OTHER_TYPES = frozenset({"dbm", "internal", "memcache", "nis", "sdbm"})
"""Types of Postfix that may be missing here: naming one is an error, not a word of a list."""

_SEPARATORS = "," + BLANKS
DEPTH_LIMIT = 20


class Lookup(Enum):
    """What kind of key a table is asked for."""

    CLIENT = auto()  # names and addresses of clients
    ADDRESS_ACCESS = auto()  # access(5) for senders and recipients
    HELO = auto()
    TRANSPORT = auto()
    SENDER = auto()  # user@domain and @domain only
    ADDRESS = auto()  # user@domain, user, @domain
    PARENT_DOMAIN = auto()  # domains, example.com standing for its subdomains
    DOMAIN = auto()
    ALIAS = auto()
    OTHER = auto()


class Use(msgspec.Struct, frozen=True):
    """One place where a table is named.

    Args:
        spec: ``type:name``, without ``proxy:``; or the path of a file with a list.
        parameter: that names it.
        file, line: where that is set.
        lookup: what it is asked for.
    """

    spec: str
    parameter: str
    file: str
    line: int
    lookup: Lookup


_KINDS: tuple[tuple[re.Pattern[str], Lookup | None], ...] = tuple(
    (re.compile(pattern), lookup)
    for pattern, lookup in (
        # Lists of what others name, and caches that their owners make.
        (r"proxy_(?:read|write)_maps|address_verify_map|postscreen_cache_map", None),
        (r"smtpd_.*_restrictions", Lookup.OTHER),  # each restriction says what
        (r"alias_(?:maps|database)", Lookup.ALIAS),
        (r"(?:address_verify_)?transport_maps", Lookup.TRANSPORT),
        (r"(?:address_verify_)?sender_dependent_.*_maps", Lookup.SENDER),
        (r"(?:(?:sender_|recipient_)?canonical|virtual_alias|relocated|(?:sender|recipient)_bcc)_maps", Lookup.ADDRESS),
        (r"(?:smtp|lmtp)_generic_maps", Lookup.ADDRESS),
        (r"relay_domains|fast_flush_domains", Lookup.PARENT_DOMAIN),
        (r"virtual_(?:alias|mailbox)_domains|mydestination", Lookup.DOMAIN),
        (r".*_maps|.*_reply_map|.*_checks|local_header_rewrite_clients|relay_clientcerts", Lookup.OTHER),
        (r".*_(?:networks|clients|hosts|exceptions|access_list|users|cache_destinations)", Lookup.OTHER),
        (r"mynetworks|debug_peer_list|.*_(?:reply|command|status|mechanism)_filter", Lookup.OTHER),
    )
)
_ONLY_TABLES = re.compile(r"_(?:maps|checks)$")
_ACCESS = re.compile(
    r"check_(?:(?P<client>(?:reverse_)?client_?\w*|\w+_(?:a|mx|ns))|(?P<helo>helo)|(?P<address>sender|recipient))_access"
)


def lookup_of(parameter: str) -> Lookup | None:
    """What the tables of a parameter are asked for; None when it names none."""
    return next((lookup for pattern, lookup in _KINDS if pattern.fullmatch(parameter)), None)


def table_uses(config: Config, types: Iterable[str]) -> list[Use]:
    """Every table that a setting of main.cf, or of a ``-o`` in master.cf, names.

    Args:
        config: checked.
        types: known table types.
    """
    known = frozenset(types) | OTHER_TYPES
    found: dict[Use, None] = {}
    for name, setting in config.settings.items():
        for use in _uses(config, name, setting.file, setting.line, known):
            found[use] = None
    for row in config.rows:
        overrides = split_options(row)[0]
        scope = config.scoped({**overrides, "service_name": row.fields[0]})
        for name in overrides:
            for use in _uses(scope, name, row.file, row.line, known):
                found[use] = None
    return list(found)


def _uses(config: Config, name: str, file: str, line: int, known: frozenset[str]) -> Iterator[Use]:
    is_class = name in config.words("smtpd_restriction_classes")
    lookup = Lookup.OTHER if is_class else lookup_of(name)
    if lookup is None:
        return
    words, _ = split_outside_braces(config.expanded(name) or "", _SEPARATORS)
    is_restrictions = is_class or name.endswith("_restrictions")
    named = (
        _in_restrictions(words, known)
        if is_restrictions
        else _in_list(words, None if _ONLY_TABLES.search(name) else known, lookup)
    )
    for spec, asked in named:
        yield Use(spec, name, file, line, asked)


def _in_list(
    words: Sequence[str], known: frozenset[str] | None, lookup: Lookup, depth: int = 0
) -> Iterator[tuple[str, Lookup]]:
    """Tables of a list, and files with more of it; ``known`` None: every word is a table."""
    for word in words:
        spec = word.lstrip("!")
        if spec.startswith("/") and known is not None:
            yield spec, lookup
            continue
        while spec.startswith("proxy:"):
            spec = spec.removeprefix("proxy:")
        kind, colon, name = spec.partition(":")
        is_socket = kind == "unix" and not name.endswith(".byname")
        if known is not None and (not colon or kind not in known or is_socket):
            continue
        yield spec, lookup
        if depth == DEPTH_LIMIT:
            continue
        if kind == "debug":
            yield from _in_list([name], None, lookup, depth + 1)
        if kind in MADE_OF_TABLES and name.startswith("{"):
            members, _ = split_outside_braces(name[1:-1], _SEPARATORS)
            asked = lookup if kind == "unionmap" else Lookup.OTHER  # a pipe's later tables get results
            yield from _in_list(members, None, asked, depth + 1)


def _in_restrictions(words: Sequence[str], known: frozenset[str], depth: int = 0) -> Iterator[tuple[str, Lookup]]:
    """Tables of a restriction list: what stands before one says what it is asked for."""
    lookup = Lookup.OTHER
    is_service = False
    for word in words:
        if word.startswith("{") and word.endswith("}") and depth < DEPTH_LIMIT:
            if not is_service:
                inside, _ = split_outside_braces(word[1:-1], _SEPARATORS)
                yield from ((spec, lookup) for spec, _ in _in_restrictions(inside, known, depth + 1))
        elif ":" in word:
            yield from (found for found in _in_list([word], known, lookup) if not is_service)
        is_service = word == "check_policy_service"
        lookup = _access_lookup(word)


def _access_lookup(word: str) -> Lookup:
    match = _ACCESS.fullmatch(word)
    if match is None:
        return Lookup.OTHER
    return Lookup.CLIENT if match["client"] else Lookup.HELO if match["helo"] else Lookup.ADDRESS_ACCESS
