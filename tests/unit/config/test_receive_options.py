"""The words of receive_override_options."""

from __future__ import annotations

import pytest

from gateway.config import Config
from gateway.config.receive_options import ReceiveOption, receive_options
from gateway.model.errors import ConfigError


def test_nothing_is_left_out_by_default() -> None:
    assert receive_options(Config.from_settings({})) == ReceiveOption(0)


@pytest.mark.parametrize("option", list(ReceiveOption), ids=lambda option: str(option.name))
def test_each_word_is_an_option(option: ReceiveOption) -> None:
    assert receive_options(Config.from_settings({"receive_override_options": str(option.name).lower()})) is option


def test_words_are_separated_by_commas_and_blanks_and_may_be_repeated() -> None:
    config = Config.from_settings({"receive_override_options": "no_milters, no_address_mappings\tno_milters"})
    assert receive_options(config) == ReceiveOption.NO_MILTERS | ReceiveOption.NO_ADDRESS_MAPPINGS


@pytest.mark.parametrize("text", ["no_milter", "NO_MILTERS", "no_milters;no_address_mappings"])
def test_an_unknown_word_is_an_error_that_names_the_known_ones(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown option .*no_unknown_recipient_checks, no_address_mappings"
    ) as caught:
        receive_options(Config.from_settings({"receive_override_options": text}))
    assert caught.value.parameter == "receive_override_options"


def test_a_service_has_its_own() -> None:
    row = "10025 inet n - n - - smtpd -o receive_override_options=no_header_body_checks"
    config = Config.from_settings({"receive_override_options": "no_address_mappings"}, row)
    assert receive_options(config.for_service(config.services[0])) is ReceiveOption.NO_HEADER_BODY_CHECKS
