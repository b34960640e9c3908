from __future__ import annotations

import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import __version__
from gateway.config import Config, Kind, Parameter, default_registry, read
from gateway.model.errors import ConfigError

MASTER = """
smtp inet n - n - - smtpd -o smtpd_timeout=5 -o { smtpd_banner = $myhostname hello  there }
relay unix - - n - 7 smtp -o syslog_name=postfix/$service_name
lists unix - n n - - pipe argv=/bin/true
"""


def make(services: str = "", **values: str) -> Config:
    return Config.from_settings({"myhostname": "mx.example.com", **values}, services)


def error(services: str = "", **values: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        make(services, **values)
    return caught.value


def write(directory: pathlib.Path, main: str, master: str | None = None) -> Config:
    (directory / "main.cf").write_bytes(main.encode("utf-8", "surrogateescape"))
    if master is not None:
        (directory / "master.cf").write_text(master)
    return read(str(directory))


# -- typed access ------------------------------------------------------------------------------------------------------


def test_values_have_the_types_of_their_parameters() -> None:
    config = make(
        message_size_limit="1000", smtpd_helo_required="YES", queue_run_delay="5m", smtpd_noop_commands="A, B"
    )
    assert config.size("message_size_limit") == config.integer("message_size_limit") == 1000
    assert config.boolean("smtpd_helo_required") is True
    assert config.seconds("queue_run_delay") == 300.0
    assert config.words("smtpd_noop_commands") == ("A", "B")
    assert config.text("message_size_limit") == "1000"
    assert config.words("smtpd_banner") == ("mx.example.com", "ESMTP", "Postfix")
    assert config.text("smtpd_forbid_bare_newline") == "reject"


def test_a_bare_number_counts_in_the_unit_of_its_parameter() -> None:
    config = make(delay_warning_time="4", maximal_queue_lifetime="2", smtpd_timeout="7")
    assert [config.seconds(name) for name in ("delay_warning_time", "maximal_queue_lifetime", "smtpd_timeout")] == [
        14400,
        172800,
        7,
    ]


def test_references_are_followed_and_raw_text_is_left() -> None:
    config = make(
        mydomain="example.org",
        mydestination="$mydomain, ${undefined_one}$mine",
        mine="x $$ y",
        default_rbl_reply="$rbl_code $mydomain",
    )
    assert config.text("mydestination") == "example.org, x $ y"
    assert config.text("default_rbl_reply") == "$rbl_code $mydomain"
    assert config.text("mine") == "x $ y"
    assert config.raw("mydestination") == "$mydomain, ${undefined_one}$mine"
    assert config.raw("myorigin") is None
    assert (config.is_set("mine"), config.is_set("myorigin")) == (True, False)
    assert config.expand("${mydomain}:$smtp_tcp_port") == "example.org:smtp"


def test_a_name_that_nobody_knows_is_a_bug() -> None:
    config = make()
    with pytest.raises(LookupError, match="no_such_thing is neither a known parameter nor set"):
        config.text("no_such_thing")
    assert config.expanded("no_such_thing") is None
    with pytest.raises(KeyError):
        config.integer("myhostname")


def test_values_can_be_asked_for_before_the_check() -> None:
    registry = default_registry()
    config = Config({}, registry=registry)
    assert "access" in config.words("plugins")
    registry.add(Parameter("lights_delay", Kind.SECONDS, "2m", "How long.", origin="lights"))
    config.check()
    assert config.seconds("lights_delay") == 120.0


def test_computed_defaults() -> None:
    config = make()
    assert config.text("mydomain") == "example.com"
    assert config.text("mail_version") == __version__
    assert config.text("config_directory") == "/etc/postgate"
    assert "127.0.0.0/8" in config.text("mynetworks")
    level = make(compatibility_level="3.7")
    assert "127.0.0.1/32" in level.words("mynetworks")
    assert (
        Config.from_settings({"mydomain": "example.org", "myhostname": "$mydomain"}).text("myhostname") == "example.org"
    )
    assert int(config.text("process_id")) > 0


def test_the_origin_may_be_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "mailname").write_text("example.net\n")
    assert make(myorigin=str(tmp_path / "mailname")).text("myorigin") == "example.net"
    assert error(myorigin="/nonexistent").file == "/nonexistent"


# -- transports --------------------------------------------------------------------------------------------------------


def test_transport_parameters_fall_back() -> None:
    config = make(
        MASTER,
        relay_destination_concurrency_limit="3",
        relay_destination_rate_delay="2m",
        default_destination_recipient_limit="9",
        other_initial_destination_concurrency="8",
        lists_time_limit="1h",
    )
    assert config.transport_integer("relay", "destination_concurrency_limit") == 3
    assert config.transport_integer("smtp", "destination_concurrency_limit") == 20
    assert config.transport_integer("local", "destination_concurrency_limit") == 2
    assert config.transport_integer("lists", "destination_recipient_limit") == 9
    assert config.transport_seconds("relay", "destination_rate_delay") == 120.0
    assert config.transport_seconds("smtp", "destination_rate_delay") == 0.0
    assert config.transport_seconds("lists", "time_limit") == 3600.0
    assert config.transport_text("relay", "destination_concurrency_positive_feedback") == "1"
    assert config.transport_integer("other", "initial_destination_concurrency") == 8
    assert config.transport_integer("relay", "initial_destination_concurrency") == 5
    assert config.integer("other_initial_destination_concurrency") == 8


def test_transport_parameters_are_checked_too() -> None:
    wrong = error(MASTER, relay_destination_recipient_limit="many")
    assert wrong.parameter == "relay_destination_recipient_limit"
    assert "not a whole number" in wrong.message


# -- services ----------------------------------------------------------------------------------------------------------


def test_services_and_their_overrides() -> None:
    config = make(MASTER)
    smtp, relay, lists = config.services
    assert smtp.overrides == {"smtpd_timeout": "5", "smtpd_banner": "$myhostname hello  there"}
    assert (relay.maxproc, lists.maxproc) == (7, None)
    seen = config.for_service(smtp)
    assert seen.seconds("smtpd_timeout") == 5.0
    assert seen.text("smtpd_banner") == "mx.example.com hello  there"
    assert config.seconds("smtpd_timeout") == 300.0
    assert config.for_service(relay).text("syslog_name") == "postfix/relay"


def test_the_default_of_chroot_depends_on_the_level() -> None:
    assert make("smtp inet n - - - - smtpd").services[0].chroot is True
    assert make("smtp inet n - - - - smtpd", compatibility_level="2").services[0].chroot is False


def test_overrides_are_checked() -> None:
    config = make()
    with pytest.raises(ConfigError, match=r'-o: smtpd_timeout: bad value "soon": not a time'):
        config.overridden({"smtpd_timeout": "soon"})


# -- errors ------------------------------------------------------------------------------------------------------------


def test_a_bad_value_names_file_line_parameter_value_and_cure(tmp_path: pathlib.Path) -> None:
    config = write(tmp_path, "# c\nmyhostname = mx.example\n\nsmtpd_helo_required =\n   maybe\n")
    with pytest.raises(ConfigError) as caught:
        config.check()
    assert (
        str(caught.value) == f'{tmp_path}/main.cf, line 4: smtpd_helo_required: bad value "maybe": expected yes or no'
    )


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("smtpd_timeout", "soon", "whole number"),
        ("smtpd_timeout", "0", "less than the minimum 1s"),
        ("smtpd_recipient_limit", "-3", "less than the minimum 1"),
        ("message_size_limit", "10M", "not a whole number"),
        ("reject_code", "99", "less than the minimum 200"),
        ("smtp_address_preference", "both", "expected one of: any, ipv4, ipv6"),
        ("relay_domains", "a {b", 'has no "}"'),
        ("mail_owner", "$nothing", "must not be empty"),
        ("smtpd_timeout", "", "must not be empty"),
        ("mynetworks_style", "", "expected one of: class, subnet, host"),
    ],
)
def test_bad_values(name: str, value: str, cure: str) -> None:
    wrong = error(**{name: value})
    assert wrong.parameter == name
    assert f'bad value "{value.removeprefix("$nothing")}"' in wrong.message
    assert cure in wrong.message


def test_a_bad_value_is_charged_to_the_one_that_was_written() -> None:
    assert error(smtpd_client_connection_count_limit="x").parameter == "smtpd_client_connection_count_limit"


def test_loops_name_their_way() -> None:
    wrong = error(mynetworks="$foo", foo="${bar}", bar="a ${foo}")
    assert "refers to itself: foo -> bar -> foo" in wrong.message
    assert error(myorigin="$myorigin").parameter == "myorigin"


def test_bad_expansion_names_the_parameter_with_the_text() -> None:
    wrong = error(mydestination="$mine", mine="${oops")
    assert wrong.parameter == "mine"
    assert "never closed" in wrong.message
    with pytest.raises(ConfigError, match="cannot expand"):
        make().expand("${")


def test_missing_and_broken_files(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"main\.cf: cannot read"):
        read(str(tmp_path))
    assert write(tmp_path, "myhostname = a.b\n").services == ()
    with pytest.raises(ConfigError, match=r"master\.cf, line 2: 1 columns"):
        write(tmp_path, "myhostname = a.b\n", "\nsmtp\n")


def test_octets_survive(tmp_path: pathlib.Path) -> None:
    config = write(tmp_path, "smtpd_banner = \udcff\n")
    config.check()
    assert config.text("smtpd_banner").encode("utf-8", "surrogateescape") == b"\xff"


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        ["smtpd_timeout", "mynetworks", "message_size_limit", "smtpd_banner", "soft_bounce", "compatibility_level"]
    ),
    st.text(alphabet=st.sampled_from("${}()?:= <>!019amyno,\udcff"), max_size=20),
)
def test_any_value_is_taken_or_refused_with_its_name(name: str, value: str) -> None:
    try:
        config = make(**{name: value})
    except ConfigError as wrong:
        assert wrong.parameter
        return
    assert isinstance(config.text(name), str)


@pytest.mark.peer("postfix")
def test_the_main_cf_of_debian_is_right(tmp_path: pathlib.Path) -> None:
    stock = pathlib.Path("/usr/share/postfix")
    config = write(tmp_path, (stock / "main.cf.debian").read_text(), (stock / "master.cf.dist").read_text())
    config.check()
    assert config.warnings == []
    assert config.text("smtpd_banner").endswith("ESMTP Postfix (Debian/GNU)")
    assert len(config.services) > 30
