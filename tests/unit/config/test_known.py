"""The tables of known parameters."""

from __future__ import annotations

import pathlib
import re

from gateway.config.config import Config
from gateway.config.known import default_registry
from gateway.config.known.transport import SUFFIXES, TIME_LIMIT_DEFAULT
from gateway.config.parameter import Kind

REGISTRY = default_registry()
ROOT = pathlib.Path(__file__).parents[3]


def test_all_parameters_of_postfix_and_ours_are_there() -> None:
    assert sum(parameter.origin == "postfix" for parameter in REGISTRY) == 831
    ours = {parameter.name for parameter in REGISTRY if parameter.origin == "postgate"}
    expected = """plugins plugin_timeout plugin_default_action plugin_breaker_failures plugin_breaker_reset plugin_threads
        smtpd_workers worker_cpu_affinity smtpd_session_limit content_memory_limit spool_commit_limit scheduler_start_timeout
        resolver_nameservers"""
    assert ours >= set(expected.split())


def test_every_default_is_legal() -> None:
    config = Config.from_settings({})
    assert all(isinstance(config.text(parameter.name), str) for parameter in REGISTRY)
    assert config.warnings == []


def test_every_parameter_is_documented_in_one_line() -> None:
    for parameter in REGISTRY:
        assert re.fullmatch(r"[^\n]{1,110}[.]", parameter.doc), parameter.name


def test_numbers_have_limits_and_choices_have_words() -> None:
    for parameter in REGISTRY:
        if parameter.kind in (Kind.INTEGER, Kind.SIZE, Kind.SECONDS):
            assert parameter.minimum is not None, parameter.name
        assert bool(parameter.choices) is (parameter.kind is Kind.CHOICE), parameter.name


def test_transports_fall_back_to_known_parameters() -> None:
    for fallback in (*SUFFIXES.values(), TIME_LIMIT_DEFAULT):
        assert fallback in REGISTRY


def test_a_few_defaults() -> None:
    config = Config.from_settings({"compatibility_level": "3.7", "myhostname": "mx.example.com"})
    assert config.integer("smtpd_hard_error_limit") == 20
    assert config.seconds("smtpd_timeout") == 300
    assert config.seconds("maximal_queue_lifetime") == 5 * 86400
    assert config.text("smtpd_forbid_bare_newline") == "reject"
    assert config.words("mydestination") == ("mx.example.com", "localhost.example.com", "localhost")
    assert config.words("smtpd_relay_restrictions") == (
        "permit_mynetworks",
        "permit_sasl_authenticated",
        "defer_unauth_destination",
    )
    assert config.text("relay_domains") == ""
    assert config.text("default_rbl_reply").endswith("${rbl_reason?; $rbl_reason}")
    stressed = config.overridden({"stress": "yes"})
    assert (stressed.integer("smtpd_hard_error_limit"), stressed.seconds("smtpd_timeout")) == (1, 10.0)


def test_files_we_install_are_right() -> None:
    from gateway.config import read

    config = read(str(ROOT / "etc"))
    config.check()
    assert config.warnings == []
    assert config.words("smtpd_relay_restrictions") == ("permit_mynetworks", "reject_unauth_destination")


def test_our_parameters_are_in_the_manual() -> None:
    manual = (ROOT / "docs" / "configuration.md").read_text()
    for parameter in REGISTRY:
        if parameter.origin == "postgate":
            assert f"| `{parameter.name}` | " in manual, parameter.name
            assert parameter.doc in manual, parameter.name
