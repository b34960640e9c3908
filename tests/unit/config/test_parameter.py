from __future__ import annotations

from gateway.config.parameter import Kind, boolean, choice, integer, raw, seconds, size, text, words


def test_factories_set_kind_limits_and_choices() -> None:
    kinds = [
        (text("p"), Kind.TEXT),
        (raw("p"), Kind.RAW),
        (words("p"), Kind.WORDS),
        (boolean("p", "no"), Kind.BOOLEAN),
        (integer("p", "1"), Kind.INTEGER),
        (size("p", "1"), Kind.SIZE),
        (seconds("p", "1s"), Kind.SECONDS),
        (choice("p", "a", "a b"), Kind.CHOICE),
    ]
    assert [parameter.kind for parameter, _ in kinds] == [kind for _, kind in kinds]
    assert integer("p", "1", low=2, high=3).maximum == 3
    assert seconds("p", "1s", unit="d").unit == "d"
    assert seconds("p", "1s").minimum == 1
    assert choice("p", "", "a b", may_be_empty=True).choices == ("", "a", "b")
    assert text("p").no_effect == ""
