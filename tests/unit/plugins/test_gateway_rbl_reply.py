"""What a client on a block list is told."""

from __future__ import annotations

import asyncio
import re

import pytest
from gateway_rbl.reply import filter_table

from gateway.config import Config
from gateway.hooks.manager import PluginManager
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.errors import ConfigError
from gateway.model.session import Session
from gateway.restrictions import RestrictionEngine
from gateway.testing.fake_dns import FakeDns

LISTED = "9.113.0.203.bl.example"


def told(
    template: str, *, sender: str = "a b@sender.example", reason: str = "", name: str = "bl.example", **settings: str
) -> tuple[str, list[str]]:
    """The reply to a listed client, and the warnings; an empty template is main.cf's default."""
    if template:
        settings["default_rbl_reply"] = template
    config = Config.from_settings(
        {"compatibility_level": "3.6", "mydestination": "local.example", "myhostname": "mx.local.example"}
        | {"smtpd_recipient_restrictions": f"reject_rbl_client {name}", "maps_rbl_reject_code": "553"}
        | settings
    )
    tables = Tables(config)
    dns = FakeDns(hosts={LISTED: ["127.0.0.2"]}, texts={LISTED: [reason]} if reason else {})
    registered = PluginManager(config.words("plugins")).registered("restrictions")
    engine = RestrictionEngine(config, tables, dns, registered)
    session = Session(Client("203.0.113.9", "4711", "mail.client.example", "ptr.client.example", 2, 2))
    session.helo, session.sender = "Helo.example", Address.of(sender)
    session.recipient = Address("r", "local.example")
    verdict = asyncio.run(engine.at_rcpt(session))
    assert verdict is not None
    return f"{verdict.code} {verdict.enhanced} {verdict.text}", tables.warnings


@pytest.mark.parametrize(
    ("template", "reply"),
    [
        ("", "553 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using bl.example"),
        ("$rbl_code 5.7.1 $rbl_class $rbl_what", "553 5.7.1 Client host 203.0.113.9"),
        ("550 $client $client_address $client_port", "550 5.7.1 mail.client.example[203.0.113.9] 203.0.113.9 4711"),
        ("550 $client_name $reverse_client_name", "550 5.7.1 mail.client.example ptr.client.example"),
        ("550 $helo_name $server_name", "550 5.7.1 Helo.example mx.local.example"),
        ("550 $sender|$sender_name|$sender_domain", "550 5.7.1 a b@sender.example|a b|sender.example"),
        ("550 $recipient|$recipient_name|$recipient_domain", "550 5.7.1 r@local.example|r|local.example"),
        ("550 ${rbl_domain} $(rbl_domain) $$rbl_domain", "550 5.7.1 bl.example bl.example $rbl_domain"),
        ("550 no${rbl_reason?; $rbl_reason}${rbl_txt:, why?}", "550 5.7.1 no, why?"),
        ("550 ${rbl_reason?{a}:{b $rbl_domain}}", "550 5.7.1 b bl.example"),
        ("550 ${{$rbl_code} == {553} ? {yes} : {no}}", "550 5.7.1 yes"),
        ("450 later", "450 4.7.1 later"),
        ("450 5.7.1 the code's class counts", "450 4.7.1 the code's class counts"),
        ("550 5.1.8 of no sender", "550 5.0.0 of no sender"),
        ("550 5.7.1", "550 5.7.1 Service unavailable"),
        ("550  5.7.1  blanks", "550 5.7.1 blanks"),
        ("550 5.7.1x y", "550 5.7.1 5.7.1x y"),
        ("550 a\tb\x01c", "550 5.7.1 a b c"),
        ("421 bye", "421 4.7.1 bye"),
    ],
)
def test_templates(template: str, reply: str) -> None:
    assert told(template) == (reply, [])


def test_addresses_that_are_not_there() -> None:
    assert told("550 $sender $sender_name $sender_domain.", sender="")[0] == "550 5.7.1 <> <> ."
    assert told("550 $sender $sender_name $sender_domain.", sender="root")[0] == "550 5.7.1 root root ."


def test_the_time_of_day() -> None:
    assert re.fullmatch(r"550 5\.7\.1 [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d", told("550 $localtime")[0])


def test_a_strangers_text_names_nothing_and_is_filtered() -> None:
    assert told("550 $rbl_reason", reason="$client ${x} \udcff\r\n250 ok")[0] == "550 5.7.1 $client ${x}    250 ok"
    assert told("550 $sender", sender="üx@sender.example")[0] == "550 5.7.1 __x@sender.example"
    assert told("550 $rbl_reason", reason="first reason", smtpd_expansion_filter=r"\tabcdef")[0] == (
        "550 5.7.1 f______ea___"
    )
    assert len(told("", reason="x" * 2000)[0]) == len("553 5.7.1 ") + 480


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("550 $nope", r"unknown name \$nope; there are client, "),
        ("550 ${rbl_reason?$myhostname}", r"unknown name \$myhostname"),
        ("550 ${rbl_reason", "never closed"),
        ("550 $ y", 'without a name'),
        ("blocked", "must begin with a reply code"),
        ("250 ok", "must begin with a reply code"),
        ("5500 x", "must begin with a reply code"),
        ("550-x", "must begin with a reply code"),
        ("550", "must begin with a reply code"),
    ],
)  # fmt: skip
def test_mistakes_stop_the_start(template: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        told(template)
    assert caught.value.parameter == "default_rbl_reply"
    with pytest.raises(ConfigError, match="must begin with a reply code"):
        told("", maps_rbl_reject_code="250")


def test_templates_of_tables() -> None:
    tables = (
        "inline:{{bl.example = 550 5.7.1 $$rbl_domain is for $$client_name}}, inline:{{BL.example=127.0.0.2 = 450 x}}"
    )
    assert told("", rbl_reply_maps=tables)[0] == "550 5.7.1 bl.example is for mail.client.example"
    default = "553 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using bl.example"
    # The key is what main.cf says, filter and all; only the case does not matter.
    assert told("", rbl_reply_maps=tables, name="bl.example=127.0.0.[2]")[0] == default
    assert told("", rbl_reply_maps="static:{550 for all}", name="BL.example")[0] == "550 5.7.1 for all"


@pytest.mark.parametrize("template", ["550 $nope", "550 $(rbl_reason", "550 ${{a} ! {b}?x}"])
def test_a_bad_template_of_a_table_gives_way_to_the_default(template: str) -> None:
    reply, warnings = told("$rbl_code default", rbl_reply_maps=f"static:{{{template.replace('$', '$$')}}}")
    assert reply == "553 5.7.1 default"
    assert warnings == [f"rbl_reply_maps: bad template for bl.example: {template}"]


def test_a_name_that_there_is_not_may_be_asked_whether_it_is() -> None:
    assert told("", rbl_reply_maps="static:{550 a$${nope?b}$${nope:c}}") == ("550 5.7.1 ac", [])


def test_a_reply_without_a_code() -> None:
    reply, warnings = told("", rbl_reply_maps="static:nocode")
    assert reply == "450 4.7.1 Service unavailable"
    assert warnings == ["rbl response code configuration error: nocode"]


def test_a_table_that_fails_defers() -> None:
    assert told("", rbl_reply_maps="fail:x")[0] == "451 4.3.5 Server configuration error"
    assert told("", rbl_reply_maps="inline:{bl.example=}")[0] == "451 4.3.5 Server configuration error"


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (r"\t\40!\\]", b"\t !\\]"), (r"a\zb\8\377\0", b"azb8\xff\0"), ("end\\", b"end"), (r"\1234", b"S4"),
        ("ä", b"\xc3\xa4"), ("\udcff", b"\xff"),
    ],
)  # fmt: skip
def test_the_expansion_filter(text: str, octets: bytes) -> None:
    table = filter_table(text)
    assert bytes(each for each in range(256) if table[each] == each and each != ord("_")) == bytes(sorted(octets))
    assert set(table) == {*octets, ord("_")}
