"""What may stand between the braces of a table made of tables."""

from __future__ import annotations

import pytest
from peers.tables import surroundings

from gateway.maps.members import braced_words, in_memory, members
from gateway.model.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{a:b}", ("a:b",)),
        ("{ a:b, c:d\te:f,,}", ("a:b", "c:d", "e:f")),
        ("{inline:{a=1,b=2} static:{x y}}", ("inline:{a=1,b=2}", "static:{x y}")),
        ("{{x y}}", ("{x y}",)),
        ("{a{,}b}", ("a{,}b",)),
    ],
)
def test_words(name: str, words: tuple[str, ...]) -> None:
    assert braced_words("randmap:x", name, "value") == words


@pytest.mark.parametrize(
    "name", ["", "{", "}", "{}", "{ , }", "a", "{a", "a}", "{a}b", "{a}{b}", "{{a}", "{a}}", "{a} "]
)
def test_what_is_no_list(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^table randmap:x: expected randmap:\{value, \.\.\.\}$"):
        braced_words("randmap:x", name, "value")


@pytest.mark.parametrize(
    ("name", "words"),
    [("{noname}", "expected type:name"), ("{nosuch:x}", 'unknown type "nosuch"'), ("{{fail:x}}", "{fail")],
)
def test_a_member_that_cannot_be_opened_stops_the_start(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        members("unionmap:x", name, surroundings())
    assert words in str(caught.value)


def test_one_member_that_waits_makes_all_wait() -> None:
    around = surroundings()
    kept = members("unionmap:x", "{static:x, inline:{a=b}}", around)
    assert in_memory(kept) == kept
    assert in_memory(members("unionmap:x", "{static:x, unix:passwd.byname}", around)) == ()
