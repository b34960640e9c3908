"""Addresses parse, canonicalise and resolve as in Debian's Postfix: its trivial-rewrite(8) is asked for each.

Some 2,000 addresses, hand-made and generated with a fixed seed, under six configurations; 300 recipients and senders
through transport and sender-dependent tables. What is left out differs on purpose: docs/postfix-differences.md.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator
from itertools import product

import pytest
from peers.postfix import PostfixInstance
from peers.trivial_rewrite import Flags, Resolution, TrivialRewrite

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.address_class import AddressClasses
from gateway.maps.destination import AddressClass
from gateway.maps.rewriting import Rewriting
from gateway.model.address import Address
from gateway.model.errors import TableError
from gateway.rfc.address.quoting import address_of
from gateway.scheduler.router import Router

pytestmark = pytest.mark.peer("postfix")

BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mx.dom.example",
    "mydomain": "dom.example",
    "myorigin": "Origin.example",
    "mydestination": "local.example",
    "virtual_alias_domains": "alias.example",
    "virtual_mailbox_domains": "box.example",
    "relay_domains": "relay.example",
    "recipient_delimiter": "+",
    "remote_header_rewrite_domain": "remote.invalid",
    "smtputf8_enable": "yes",
    "inet_interfaces": "127.0.0.1",
}
CONFIGURATIONS: dict[str, dict[str, str]] = {
    "plain": {},
    "dotted": {"append_dot_mydomain": "yes"},
    "bare": {"append_at_myorigin": "no", "swap_bangpath": "no", "allow_percent_hack": "no"},
    "percent": {"swap_bangpath": "no", "allow_min_user": "yes"},
    "bang": {"allow_percent_hack": "no", "append_dot_mydomain": "yes", "empty_address_recipient": "nobody"},
    "lenient": {"resolve_null_domain": "yes", "resolve_numeric_domain": "yes", "resolve_dequoted_address": "no"},
}
HAND_MADE = r"""
a|a b|"a b"|a"b"c|"a\"b"|"a\b"|a\b|a\ b|a\@b|(c)a@b|a(c)@b|a@b(c)|a@(c)b|a@b (c|a@b (c (d) e|(\))a|()|[192.0.2.1]
a@[192.0.2.1|a@[192.\0]|a@[x\]y]|<a@b>|a <b@c>|x y <b@c>|a@b@c|a.b.|.a|a..b|a . b @ c|@|@@|a@|@b|"|"a|a"|"a b|""|""@x
"a@b"|"a@b c"|"a@b"@c|a@"b c"|a@b c|a "b c" d|"a"b|(a)|<>|a@b.c.|a@b.|a@.|a@..|a@b..|a@.b|a@b..c|a,b|a;b|a:b|g:a;|g: a, b;
@a:b@c|@a,@b:c@d|@a:|@a:b|a]b|a)b|a>b|a<b|a[b]c|a!b|a%b|a!|%a|a%|a%@b|a@%b|a!b!c|a%b%c|a!b%c|a%b!c|a!b@c|a%b@c|a@b!c
'a|#$&'*+-/=?^_`{|}~|a@xn--9ca.example|a@ö.example|ä@ö.example|"ä b"@c|a@far.example|a@FAR.Example|A@local.example
a@LOCAL.Example|a@local.example.|a@local.example..|a@[127.0.0.1]|a@[192.0.2.1]|a@[IPv6:2001:DB8::1]|a@[ipv6:::1]|a@[::1]
a@[IPv6:192.0.2.1]|a@[300.0.0.1]|a@[192.0.2]|a@[x]|a@[]|a@[192.0.2.1].x|a@192.0.2.1|a@127.0.0.1|a@192.0.2|a@123|a@-b|a@b-|a@b-.c
a@b.-c|a@_b.c|a@b_c|a@a*b|a@a/b|a@a b|a@*|-a@b.c|-a|a@alias.example|a@box.example|a@relay.example|a@x.relay.example
a@x.box.example|a%far.example@local.example|a%box.example@local.example|a%alias.example@local.example|a%far.example@far.example
far.example!a@local.example|a%b%far.example@local.example|b!a%c@local.example|a%b!c@local.example|a@far.example@local.example
a@local.example@local.example|a@@local.example|a%@local.example|%a@local.example|a!@local.example|@local.example|@far.example
a b%c@local.example|a b!c@local.example|a b%c!d@local.example|a"b%c@local.example|a,b%c@local.example|a(b)%c@local.example
"a%b"@local.example|"a@b"@local.example|"a!b"@local.example|a\@b@local.example|a%[192.0.2.1]@local.example|a%192.0.2.1@local.example
a%127.0.0.1@local.example|a%[127.0.0.1]@local.example|a%far.example@[127.0.0.1]|a%-x@local.example|a%.x@local.example
a%x.@local.example|a%local.example%local.example@local.example|local.example!local.example!a|far.example!local.example!a
a%far.example%local.example|MAILER-DAEMON|postmaster|a+b@c.d|a+b%c@local.example|a@dom.example|a@mx|a@mx.dom.example
"""


def addresses() -> list[str]:
    """2,000 different ones: by hand, of parts that belong together, of parts that do not."""
    made = dict.fromkeys(HAND_MADE.strip().replace("\n", "|").split("|"))
    made |= dict.fromkeys(
        ("a\tb", "a\x01b", "a\x7fb", "a\nb", "a\r\nb@c", '"a\nb"', "[a\nb]@c", "a\xa0b@c", '"\udcff"', "|@b.c")
    )
    random_ = random.Random(5322)
    locals_ = [
        "a",
        "a.b",
        '"a b"',
        "a%h",
        "h!a",
        "a%far.example",
        "relay.example!a",
        "a+x",
        '"a@h"',
        '"a%h"',
        "a..b",
        "é",
    ]
    domains = [
        "h",
        "far.example",
        "far.example.",
        "local.example",
        "[127.0.0.1]",
        "Box.example",
        "x.relay.example",
        "",
        "é.example",
    ]
    routes = ["", "@r:", "@r.example,@s:"]
    plausible = [f"{route}{local}@{domain}" for route, local, domain in product(routes, locals_, domains)]
    made |= dict.fromkeys(random_.sample(plausible, 250))
    parts = [
        "a", "b", "foo", "x.y", "host", "far.example", "local.example", "@local.example", "%local.example", "@", "@", "@", "%", "%",
        "!", "!", ".", "-", '"', "\\", " ", "\t", "(", ")", "[", "]", "<", ">", ",", ";", ":", "ä", '"x@y"', '"p%q"', '""', "1.2.3.4",
        "[192.0.2.1]", "[127.0.0.1]", "+",
    ]  # fmt: skip
    while len(made) < 2000:
        made.setdefault("".join(random_.choice(parts) for _ in range(random_.randint(1, 9))))
    return [text for text in made if text.strip(" \t\r\n") and not _differs(text.strip(" \t\r\n"))]


def _differs(text: str) -> bool:
    """Bang paths whose first host is empty: what stands behind is run together by Postfix."""
    return text.startswith("!") and not re.fullmatch(r"[!\w.]+", text)


ADDRESSES = addresses()
ROUTING_SETTINGS: dict[str, dict[str, str]] = {
    "maps": {"transport_maps": "texthash:{dir}/conf/transport"},
    "hub": {
        "transport_maps": "texthash:{dir}/conf/transport",
        "relayhost": "[hub]:26",
        "default_transport": "dt:[dtn]",
        "local_transport": "lt",
        "virtual_transport": "lmtp:unix:/x",
        "relay_transport": "rt:",
    },
    "senders": {
        "relayhost": "[hub]:26",
        "sender_dependent_relayhost_maps": "texthash:{dir}/conf/relayhosts",
        "sender_dependent_default_transport_maps": "texthash:{dir}/conf/transports",
    },
    "all": {
        "transport_maps": "texthash:{dir}/conf/wild",
        "parent_domain_matches_subdomains": "transport_maps, relay_domains",
        "relocated_maps": "texthash:{dir}/conf/relocated",
        "sender_dependent_relayhost_maps": "texthash:{dir}/conf/relayhosts",
        "empty_address_relayhost_maps_lookup_key": "nobody",
    },
}
FILES = {
    "transport": """\
e0.example slow:
e1.example slow:[nh]:25
e2.example :nh
e3.example :
e4.example slow
e5.example error:5.1.2 no mail: here
e6.example error:
e7.example retry:
e8.example x:a,b
user@e9.example slow:full
user+x@e9.example slow:extended
e9.example slow:domain
.e10.example slow:below
local.example slow:
u@alias.example slow:alias
alias.example slow:alias
box.example :box
"a b"@e11.example slow:quoted
a b@e12.example slow:internal
""",
    "wild": "* slow:wild\ne0.example :\ne1.example x:\nparent.example below:\n.dotted.example dotted:\nu@e2.example error:5.7.1 no\n",
    "relayhosts": """\
s@a.example [sa]
@b.example [b]:2
dunno@a.example DUNNO
<> [null]
nobody [nobody]
local [local]
u+x@a.example [extended]
u@a.example [user]
""",
    "transports": "t@a.example tt\ntn@a.example tt:[ttn]\n@b.example bt:\ndunno@a.example dunno\nnull@a.example :[n]\n<> nt:\n",
    "relocated": "u@e4.example e4@new.example\nu+y@e4.example y\nlocal room 5\n@moved.example elsewhere\nu@alias.example nowhere\n",
}
SENDERS = [
    "s@a.example", "x@b.example", "dunno@a.example", "", "t@a.example", "tn@a.example", "null@a.example", "u+x@a.example",
    "u+z@a.example", "local@local.example", "local@origin.example", "S@A.example", "other@a.example",
]  # fmt: skip
RECIPIENTS = [
    *(f"{local}@e{n}.example" for n in range(13) for local in ("u", "user", "user+x", "user+y", "a b")), "u@x.e10.example",
    "u@x.e9.example", "u@local.example", "u@alias.example", "w@alias.example", "u@box.example", "u@relay.example", "u@x.relay.example",
    "u@far.example", "u%e9.example@local.example", "e1.example!u@local.example", "u", "", "u@parent.example", "u@x.parent.example",
    "u@dotted.example", "u@x.dotted.example", "u+y@e4.example", "u+z@e4.example", "local@local.example", "local@origin.example",
    "u@moved.example", "u%moved.example@local.example", "u@1.2.3.4", "u@[192.0.2.1]", "u@..",
]  # fmt: skip


@pytest.fixture(scope="module")
def postfix() -> Iterator[PostfixInstance]:
    services = []
    for name, settings in {**CONFIGURATIONS, **ROUTING_SETTINGS}.items():
        options = " ".join(f"-o {{ {parameter} = {value} }}" for parameter, value in settings.items())
        services.append(f"{name} unix - - n - - trivial-rewrite {options}")
    with PostfixInstance(BASE | {"inet_protocols": "all"}, services=services, files=FILES) as instance:
        yield instance


def config(settings: dict[str, str], postfix: PostfixInstance | None = None) -> Config:
    directory = str(postfix.directory) if postfix else ""
    return Config.from_settings(
        BASE | {parameter: value.replace("{dir}", directory) for parameter, value in settings.items()}
    )


def test_there_are_enough_addresses() -> None:
    assert len(ADDRESSES) > 1900


@pytest.mark.parametrize("rule", ["local", "remote"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_canonical_form(postfix: PostfixInstance, name: str, rule: str) -> None:
    rules = Rewriting(config(CONFIGURATIONS[name]), is_remote=rule == "remote")
    with TrivialRewrite(postfix, name) as oracle:
        theirs = {text: oracle.rewrite(text, rule) for text in ADDRESSES}
    assert {text: rules.external(text) for text in ADDRESSES} == theirs


_FLAGS = {
    AddressClass.LOCAL: Flags.LOCAL,
    AddressClass.VIRTUAL_ALIAS: Flags.ALIAS,
    AddressClass.VIRTUAL_MAILBOX: Flags.VIRTUAL,
    AddressClass.RELAY: Flags.RELAY,
    AddressClass.DEFAULT: Flags.DEFAULT,
}


def _resolvable(text: str) -> bool:
    """Canonical addresses, which alone are resolved, never look like a source route."""
    return not ((text.startswith("@") and ":" in text) or any(ord(char) < 32 or char == "\x7f" for char in text))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_resolution(postfix: PostfixInstance, name: str) -> None:
    settings = config(CONFIGURATIONS[name])
    classes = AddressClasses(settings, Tables(settings))

    async def ours(text: str) -> tuple[str, Flags]:
        found = await classes.destination(address_of(text))
        flags = _FLAGS[found.address_class] if found.is_valid else Flags.ERROR
        recipient = found.recipient
        return f"{recipient.local}@{recipient.domain}", flags | (Flags.ROUTED if found.is_routed else Flags(0))

    def reduced(answer: Resolution) -> tuple[str, Flags]:
        local, _, domain = answer.recipient.rpartition("@")
        flags = answer.flags
        if Flags.ERROR in flags:  # Postfix looks no further then
            routed = Flags.ROUTED if set(local) & set("@!%") else Flags(0)
            flags = Flags.ERROR | routed
        return f"{local}@{domain.lower()}", flags

    texts = [text for text in ADDRESSES if _resolvable(text)]
    assert len(texts) > 1200
    with TrivialRewrite(postfix, name) as oracle:
        theirs = {text: reduced(oracle.resolve(text)) for text in texts}

    async def all_of_ours() -> dict[str, tuple[str, Flags]]:
        return {text: await ours(text) for text in texts}

    assert asyncio.run(all_of_ours()) == theirs


@pytest.mark.parametrize("name", ROUTING_SETTINGS)
def test_transport_and_next_hop(postfix: PostfixInstance, name: str) -> None:
    settings = config(ROUTING_SETTINGS[name], postfix)
    router = Router(settings, Tables(settings))
    senders = SENDERS if "sender_dependent_relayhost_maps" in ROUTING_SETTINGS[name] else SENDERS[:1]
    pairs = list(product(RECIPIENTS, senders))

    async def ours(recipient: str, sender: str) -> tuple[str, str, str]:
        address = address_of(recipient)
        try:
            route = await router.resolve(address, address_of(sender))
        except TableError:
            return "FAIL", "", ""
        return route.transport, route.nexthop, str(route.recipient or address)

    async def all_of_ours() -> dict[tuple[str, str], tuple[str, str, str]]:
        return {pair: await ours(*pair) for pair in pairs}

    def reduced(answer: Resolution, recipient: str) -> tuple[str, str, str]:
        if Flags.FAIL in answer.flags:
            return "FAIL", "", ""
        if Flags.ERROR in answer.flags:
            return "error", "5.1.3 bad address syntax", str(address_of(recipient))
        return answer.transport, answer.nexthop, answer.recipient

    with TrivialRewrite(postfix, name) as oracle:
        theirs = {pair: reduced(oracle.resolve(*pair), pair[0]) for pair in pairs}
    assert asyncio.run(all_of_ours()) == theirs


def test_what_differs_on_purpose_leads_nobody_elsewhere(postfix: PostfixInstance) -> None:
    """The forms that are left out above: neither their words nor their routes make a stranger's mail relayed."""
    settings = config({})
    classes = AddressClasses(settings, Tables(settings))
    texts = ["!a b", "!far.example!a[", "@far.example[:::1]@local.example", "!!a,b@relay.example"]
    for text in texts:
        resolved = asyncio.run(classes.resolve(address_of(text)))
        assert not resolved.is_authorized, text
    with TrivialRewrite(postfix, "lenient") as oracle:
        assert oracle.resolve("a@::1").recipient == "a@[::1]"
    numeric = config(CONFIGURATIONS["lenient"])
    found = asyncio.run(AddressClasses(numeric, Tables(numeric)).destination(Address("a", "::1")))
    assert str(found.recipient) == "a@[ipv6:::1]"
