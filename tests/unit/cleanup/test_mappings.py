"""All mappings of a message together: their order, copies, duplicates, what is kept for notifications."""

from __future__ import annotations

import asyncio

import pytest

from gateway.cleanup.address_use import AddressUse
from gateway.cleanup.mappings import Mappings
from gateway.cleanup.virtual_aliases import EndlessAlias
from gateway.config import Config
from gateway.config.receive_options import receive_options
from gateway.maps import Tables
from gateway.maps.rewriting import Rewriting
from gateway.model.address import Address
from gateway.model.envelope import Envelope, Recipient
from gateway.model.errors import ConfigError, TableError

SETTINGS = {"myorigin": "o.example", "mydestination": "here.example", "recipient_delimiter": "+"}


def entries(**pairs: str) -> str:
    """``inline:`` with keys in x.example."""
    return "inline:{ " + ", ".join(f"{{ {key}@x.example = {value} }}" for key, value in pairs.items()) + " }"


class House:
    def __init__(self, **settings: str) -> None:
        config = Config.from_settings(SETTINGS | settings)
        self.warnings: list[str] = []
        options = receive_options(config)
        self.mappings = Mappings(config, Tables(config), Rewriting(config), self.warnings.append, options)

    def envelope(self, sender: str, *recipients: str | Recipient) -> Envelope:
        """What becomes of a message."""
        to = [Recipient(Address.of(each)) if isinstance(each, str) else each for each in recipients]
        envelope = Envelope("4jXWyY1RKyzM0rn7", Address.of(sender), to, arrival=1.0)
        self.reported = asyncio.run(self.mappings.map(envelope))
        return envelope

    def recipients(self, *recipients: str | Recipient, sender: str = "s@y.example") -> list[str]:
        """The addresses of :meth:`envelope`."""
        return [str(each.address) for each in self.envelope(sender, *recipients).recipients]

    def sender(self, sender: str) -> str:
        return str(self.envelope(sender).sender)

    def header(self, address: str, use: AddressUse = AddressUse.HEADER_SENDER) -> str:
        return asyncio.run(self.mappings.header(address, use))


def test_nothing_set_is_nothing_to_ask() -> None:
    assert not House().mappings
    assert not House(canonical_maps="static:a@b.example", receive_override_options="no_address_mappings").mappings
    assert not House(masquerade_exceptions="root", virtual_alias_domains="x.example").mappings


@pytest.mark.parametrize(
    "settings",
    [
        {"canonical_maps": "inline:{ a=b }"}, {"sender_canonical_maps": "inline:{ a=b }"}, {"always_bcc": "log"},
        {"virtual_alias_maps": "inline:{ a=b }"}, {"masquerade_domains": "x.example"},
        {"sender_bcc_maps": "inline:{ a=b }"}, {"recipient_bcc_maps": "inline:{ a=b }"},
        {"recipient_canonical_maps": "inline:{ a=b }"},
    ],
)  # fmt: skip
def test_each_of_them_is_something(settings: dict[str, str]) -> None:
    assert House(**settings).mappings


def test_the_special_table_comes_before_the_general_one() -> None:
    house = House(
        sender_canonical_maps=entries(a="sa@x.example", sb="never@x.example"),
        recipient_canonical_maps=entries(a="ra@x.example"),
        canonical_maps=entries(sa="sb@x.example", ra="rb@x.example"),
    )
    envelope = house.envelope("a@x.example", "a@x.example")
    assert str(envelope.sender) == "sb@x.example"
    assert [str(each.address) for each in envelope.recipients] == ["rb@x.example"]
    assert house.header("a@x.example") == "sb@x.example"
    assert house.header("a@x.example", AddressUse.HEADER_RECIPIENT) == "rb@x.example"


@pytest.mark.parametrize("use", AddressUse)
def test_classes_say_which_addresses_a_table_is_for(use: AddressUse) -> None:
    house = House(canonical_maps=entries(a="b@x.example"), canonical_classes=use.value)
    envelope = house.envelope("a@x.example", "a@x.example")
    found = {
        AddressUse.ENVELOPE_SENDER: str(envelope.sender),
        AddressUse.ENVELOPE_RECIPIENT: str(envelope.recipients[0].address),
        AddressUse.HEADER_SENDER: house.header("a@x.example"),
        AddressUse.HEADER_RECIPIENT: house.header("a@x.example", AddressUse.HEADER_RECIPIENT),
    }
    assert {each for each, address in found.items() if address == "b@x.example"} == {use}
    assert house.mappings.has_headers is use.value.startswith("header")


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("canonical_classes", "envelope_sender, header"), ("sender_canonical_classes", "envelope_recipient"),
        ("recipient_canonical_classes", "header_sender"), ("masquerade_classes", "all"),
    ],
)  # fmt: skip
def test_a_class_that_does_not_exist_stops_the_start(parameter: str, words: str) -> None:
    with pytest.raises(ConfigError, match=parameter):
        House(**{parameter: words})


def test_canonical_addresses_are_looked_up_again_but_not_for_ever() -> None:
    house = House(
        canonical_maps=entries(a="b@x.example", b="a@x.example", c="C@x.example", m="n@x.example, o@x.example")
    )
    assert house.sender("a@x.example") == "a@x.example"
    assert house.warnings == ["unreasonable canonical_maps map nesting for a@x.example"]
    assert house.sender("c+e@x.example") == "C+e@x.example"
    assert house.sender("m@x.example") == "n@x.example"
    assert house.warnings[1:] == ["multi-valued canonical_maps entry for m@x.example"]
    assert house.sender("") == ""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("u@a.b.x.example", "u@x.example"), ("u@A.X.Example", "u@x.example"), ("u@x.example", "u@x.example"),
        ("u@no.x.example", "u@no.x.example"), ("u@a.no.x.example", "u@a.no.x.example"),
        ("u@xx.example", "u@xx.example"),
        ("root@a.x.example", "root@a.x.example"), ("ROOT@a.x.example", "ROOT@a.x.example"),
        ("root+e@a.x.example", "root+e@x.example"), ('"a b"@a.x.example', '"a b"@x.example'), ("u", "u"),
        ("u@a.y.example", "u@y.example"), ("u@both.y.example", "u@y.example"),
    ],
)  # fmt: skip
def test_masquerading(address: str, expected: str) -> None:
    domains = "!no.x.example, X.example y.example !both.y.example !"
    house = House(masquerade_domains=domains, masquerade_exceptions="Root, postmaster")
    assert house.header(address) == expected


def test_masquerading_leaves_recipients_alone_unless_told() -> None:
    assert House(masquerade_domains="x.example").recipients("u@a.x.example") == ["u@a.x.example"]
    house = House(masquerade_domains="x.example", masquerade_classes="envelope_recipient")
    assert house.recipients("u@a.x.example") == ["u@x.example"]
    assert house.sender("u@a.x.example") == "u@a.x.example"


def test_aliases_are_expanded_as_far_as_they_go() -> None:
    house = House(
        virtual_alias_maps=entries(a="b@x.example, c@x.example", b="d@x.example", c="c@x.example, e@y.example")
    )
    assert house.recipients("a@x.example") == ["d@x.example", "c@x.example", "e@y.example"]
    assert house.recipients("d@x.example", "b@x.example") == ["d@x.example", "d@x.example"]
    assert house.recipients("b@x.example", "B@x.example") == ["d@x.example"]


def test_without_originals_addresses_alone_make_duplicates() -> None:
    house = House(virtual_alias_maps=entries(b="d@x.example"), enable_original_recipient="no")
    again = Recipient(Address.of("D@x.example"), orcpt="rfc822;x@y", notify=("NEVER",))
    assert house.recipients("d@x.example", "b@x.example", again) == ["d@x.example"]


def test_duplicates_behind_the_limit_stay() -> None:
    house = House(always_bcc="log", duplicate_filter_limit="1")
    asked = ["a@y.example", "b@y.example", "b@y.example"]
    assert house.recipients(*asked) == [*asked, "log@o.example"]


@pytest.mark.parametrize(
    ("settings", "address", "complaint"),
    [
        ({}, "loop@x.example", "map nesting for"),
        ({"virtual_alias_recursion_limit": "1"}, "b@x.example", "map nesting for d@x.example"),
        ({"virtual_alias_expansion_limit": "1"}, "a@x.example", "map expansion size for a@x.example"),
        ({"virtual_alias_address_length_limit": "10"}, "b@x.example", "result d@x.example"),
        ({}, "grow@x.example", "result grow"),
    ],
)
def test_aliases_have_limits(settings: dict[str, str], address: str, complaint: str) -> None:
    table = entries(
        a="b@y.example, c@y.example",
        b="d@x.example",
        loop="pool@x.example",
        pool="loop@x.example",
        grow="grow+x@x.example",
    )
    with pytest.raises(EndlessAlias, match=complaint):
        House(virtual_alias_maps=table, **settings).recipients(address)


def test_copies_follow_whom_they_are_for_and_are_expanded_but_not_copied() -> None:
    house = House(
        always_bcc="log",
        sender_bcc_maps="inline:{ { s@y.example = boss } }",
        recipient_bcc_maps=entries(a="store@x.example", store="never@x.example"),
        virtual_alias_maps=entries(a="real@z.example", store="one@z.example, two@z.example"),
        recipient_canonical_maps=entries(old="a@x.example"),
    )
    envelope = house.envelope("s+e@y.example", "old@x.example", "b@z.example")
    assert [(str(each.address), each.original, each.notify) for each in envelope.recipients] == [
        ("boss@o.example", "", ("NEVER",)),
        ("real@z.example", "old@x.example", ()),
        ("one@z.example", "store@x.example", ("NEVER",)),
        ("two@z.example", "store@x.example", ("NEVER",)),
        ("b@z.example", "", ()),
        ("log@o.example", "", ("NEVER",)),
    ]


def test_a_copy_is_for_one_address_whatever_the_table_says() -> None:
    house = House(sender_bcc_maps="inline:{ { s@y.example = a@x.example, b@x.example } }")
    assert house.recipients() == ["a@x.example, b@x.example"]
    assert house.recipients(sender="") == []


def test_notifications_know_whom_the_sender_meant() -> None:
    house = House(virtual_alias_maps=entries(a="b@z.example, c@z.example"))
    asked = Recipient(Address.of("a+e@x.example"), notify=("FAILURE",))
    envelope = house.envelope("s@y.example", asked, Recipient(Address.of("a@x.example"), orcpt="rfc822;w@w.example"))
    assert [(each.original, each.orcpt, each.notify) for each in envelope.recipients] == [
        ("a+e@x.example", "rfc822;a+e@x.example", ("FAILURE",)),
        ("a+e@x.example", "rfc822;a+e@x.example", ("FAILURE",)),
        ("a@x.example", "rfc822;w@w.example", ()),
        ("a@x.example", "rfc822;w@w.example", ()),
    ]
    assert str(asked.address) == "a+e@x.example"  # what the session knows stays as it was


def test_success_of_an_alias_is_its_expansion() -> None:
    """RFC 3461 §5.2.7: who stands for it must not report success too."""
    house = House(
        virtual_alias_maps=entries(a="b@z.example", self="self@x.example"),
        canonical_maps=entries(old="new@x.example"),
    )
    words = {"a": ("SUCCESS", "DELAY"), "a+e": ("SUCCESS",), "self": ("SUCCESS",), "old": ("SUCCESS",), "a+f": ()}
    asked = [Recipient(Address(local, "x.example"), notify=notify) for local, notify in words.items()]
    envelope = house.envelope("s@y.example", *asked)
    assert [(str(each.address), each.notify) for each in envelope.recipients] == [
        ("b@z.example", ("DELAY",)), ("b+e@z.example", ("NEVER",)), ("self@x.example", ("SUCCESS",)),
        ("new@x.example", ("SUCCESS",)), ("b+f@z.example", ()),
    ]  # fmt: skip
    assert [str(each.address) for each in house.reported] == ["a@x.example", "a+e@x.example"]


def test_added_recipients_are_mapped_without_copies_and_those_before_are_not_mapped_again() -> None:
    house = House(virtual_alias_maps=entries(a="b@x.example", b="c@x.example, b@x.example"), always_bcc="log")
    already = [Recipient(Address.of("a@x.example"))]
    envelope = Envelope("4jXWyY1RKyzM0rn7", Address.NULL, [*already, Recipient(Address.of("a@x.example"))], arrival=1.0)
    asyncio.run(house.mappings.map_added(envelope, already))
    assert [str(each.address) for each in envelope.recipients] == ["a@x.example", "c@x.example", "b@x.example"]


@pytest.mark.parametrize(
    "settings",
    [
        {"canonical_maps": "fail:x"}, {"virtual_alias_maps": "fail:x"}, {"sender_bcc_maps": "fail:x"},
        {"recipient_bcc_maps": "fail:x"}, {"masquerade_domains": "z.example", "masquerade_exceptions": "fail:x"},
        {"mydestination": "fail:x", "canonical_maps": "inline:{ a=b }"},
        {"canonical_maps": "inline:{ { s@y.example = (nobody) } }"},
    ],
)  # fmt: skip
def test_a_table_without_an_answer_stops_the_message(settings: dict[str, str]) -> None:
    with pytest.raises(TableError):
        House(**settings).envelope("s@y.example", "r@y.example")
