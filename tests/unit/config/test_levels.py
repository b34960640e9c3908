from __future__ import annotations

import pytest

from gateway.config.levels import parse_level


@pytest.mark.parametrize(
    ("text", "level"), [("0", (0, 0, 0)), ("2", (2, 0, 0)), ("3.6", (3, 6, 0)), ("3.7.11", (3, 7, 11))]
)
def test_levels(text: str, level: tuple[int, int, int]) -> None:
    assert parse_level(text) == level


def test_levels_are_no_decimals() -> None:
    assert parse_level("3.10") > parse_level("3.9")


@pytest.mark.parametrize("text", ["", "x", "3.", "3.6.1.2", "-1", "٣"])
def test_bad_levels(text: str) -> None:
    with pytest.raises(ValueError, match="bad compatibility level"):
        parse_level(text)
