"""Which parameters are without effect, and why."""

from __future__ import annotations

import pytest

from gateway.config.known import default_registry, effects
from gateway.config.parameter import text


def test_every_reason_is_a_phrase() -> None:
    reasons = {parameter.no_effect for parameter in default_registry()} - {""}
    assert len(reasons) > 10
    assert not [reason for reason in reasons if reason.endswith(".") or len(reason) > 120]


def test_families_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "_WITHOUT_EFFECT", (("a cause", "tls_* one"),))
    marked = {
        parameter.name: parameter.no_effect for parameter in effects.with_effects(map(text, ["one", "tls_x", "b"]))
    }
    assert marked == {"one": "a cause", "tls_x": "a cause", "b": ""}


@pytest.mark.parametrize(
    ("names", "message"), [("nosuch", "no such parameter: nosuch"), ("one", "one is listed twice")]
)
def test_names_must_exist_and_stand_once(monkeypatch: pytest.MonkeyPatch, names: str, message: str) -> None:
    monkeypatch.setattr(effects, "_WITHOUT_EFFECT", (("a cause", "one"), ("another", names)))
    with pytest.raises(effects.UnknownName, match=message):
        list(effects.with_effects([text("one")]))
