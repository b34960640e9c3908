from __future__ import annotations

from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.ldap.settings import Access, Bind, LdapSettings, read_settings
from gateway.maps.ldap.text import BASE, ONE, SUBTREE, LdapUrl
from gateway.model.errors import ConfigError

LOCAL = LdapUrl("ldap", "localhost", 389)


def read(path: Path, text: str, warnings: list[str] | None = None) -> LdapSettings:
    (path / "ldap.cf").write_bytes(text.encode("utf-8", "surrogateescape"))
    return read_settings("ldap:ldap.cf", "./ldap.cf", surroundings(directory=str(path), warnings=warnings))


def test_defaults(tmp_path: Path) -> None:
    warnings: list[str] = []
    settings = read(tmp_path, "search_base = dc=x\n", warnings)
    assert settings.access == Access((LOCAL,), 10)
    plan = settings.plan
    assert plan.filter.fill("k", str) == "(mailacceptinggeneralid=k)"
    assert (plan.scope, plan.has_fixed_base, plan.chases) == (SUBTREE, True, False)
    assert plan.attributes == plan.ordinary == ("maildrop",)
    assert (plan.expansion_limit, plan.size_limit, plan.recursion_limit) == (0, 0, 1000)
    assert warnings == []


def test_everything(tmp_path: Path) -> None:
    text = """server_host = ldap://a:1 b, c:2
 ldaps://[::1]/ ldapi://%2Frun%2Fs
server_port = 3
timeout = 7
search_base = ou=%d,dc=x
query_filter = (mail=%s)
result_attribute = a, b c
special_result_attribute = d
terminal_result_attribute = e
leaf_result_attribute = f
scope = ONE
bind = Simple
bind_dn = cn=x
bind_pw = y z
expansion_limit = 4
recursion_limit = 5
dereference = 3
chase_referrals = yes
tls_require_cert = yes
tls_ca_cert_file = /ca
tls_ca_cert_dir = /cas
tls_cert = /cert
tls_key = /key
tls_random_file = /random
tls_cipher_suite = NORMAL
sasl_mechs = EXTERNAL
sasl_realm = realm
sasl_authz_id = u:x
sasl_minssf = 1
debuglevel = 1
"""
    warnings: list[str] = []
    settings = read(tmp_path, text, warnings)
    assert warnings == []
    assert settings.access == Access(
        servers=(
            LdapUrl("ldap", "a", 1),
            LdapUrl("ldap", "b", 3),
            LdapUrl("ldap", "c", 2),
            LdapUrl("ldaps", "::1", 636),
            LdapUrl("ldapi", "/run/s", 0),
        ),
        timeout_s=7,
        dereference=3,
        bind=Bind.SIMPLE,
        bind_dn="cn=x",
        bind_password="y z",
        sasl_mechanisms="EXTERNAL",
        sasl_realm="realm",
        sasl_authorization="u:x",
        sasl_min_ssf=1,
        tls_ca_file="/ca",
        tls_ca_directory="/cas",
        tls_certificate="/cert",
        tls_key="/key",
        tls_random_file="/random",
        tls_ciphers="NORMAL",
        tls_verifies=True,
        debug_level=1,
    )
    plan = settings.plan
    assert plan.attributes == ("e", "f", "a", "b", "c", "d")
    assert (plan.terminal, plan.leaf, plan.special) == (("e",), ("f",), ("d",))
    assert (plan.scope, plan.has_fixed_base, plan.chases) == (ONE, False, True)
    assert (plan.expansion_limit, plan.size_limit, plan.recursion_limit) == (4, 4, 5)


@pytest.mark.parametrize(
    ("line", "parameter"),
    [
        ("server_host =", "server_host"),
        ("server_host = ,", "server_host"),
        ("server_host = ldap://h:x", "server_host"),
        ("server_host = http://h", "server_host"),
        ("server_port = 0", "server_port"),
        ("server_port = x", "server_port"),
        ("timeout = 0", "timeout"),
        ("timeout = 5s", "timeout"),
        ("bind = maybe", "bind"),
        ("version = x", "version"),
        ("scope =", "scope"),
        ("size_limit = -1", "size_limit"),
        ("expansion_limit = -1", "expansion_limit"),
        ("recursion_limit = 0", "recursion_limit"),
        ("start_tls = perhaps", "start_tls"),
        ("chase_referrals = 1", "chase_referrals"),
        ("query_filter = (mail=%x)", "query_filter"),
        ("search_base = ou=%", "search_base"),
        ("search_base = o=\udcff", "search_base"),
        ("bind_pw = \udcff", "bind_pw"),
        ("result_format = %m", "result_format"),
        ("result_filter =", "result_filter"),
        ("domain = nosuchtype:x", "domain"),
    ],
)
def test_a_wrong_parameter_is_told_with_its_place(line: str, parameter: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"# comment\n{line}\n")
    assert caught.value.parameter == parameter
    assert (Path(caught.value.file).name, caught.value.line) == ("ldap.cf", 2)


def test_start_tls_with_ldaps(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="from the start"):
        read(tmp_path, "server_host = ldaps://x\nstart_tls = yes\n")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("scope = near", "scope"),
        ("version = 4", "version"),
        ("dereference = 9", "dereference"),
        ("timeout = 100", "timeout"),
        ("cache = yes", "cache"),
        ("query_filter = (a=b)", "query_filter"),
        ("server_host = ldapi://x\nversion = 2", "version 3"),
        ("nosuchparameter = x", "nosuchparameter"),
    ],
)
def test_what_postfix_only_warns_of(text: str, warning: str, tmp_path: Path) -> None:
    warnings: list[str] = []
    settings = read(tmp_path, f"{text}\n", warnings)
    assert len(warnings) == 1
    assert warning in warnings[0]
    assert (settings.access.version, settings.access.dereference, settings.plan.scope) == (3, 0, SUBTREE)
    assert settings.access.timeout_s <= 90


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("result_format = <%s>\nresult_filter = [%s]", "<v>"),
        ("result_format =\nresult_filter = [%s]", "[v]"),
        ("", "v"),
    ],
)
def test_result_filter_is_the_older_name(text: str, result: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"{text}\n").plan.format.expand("k", ["v"]) == result


def test_parameters_in_main_cf() -> None:
    around = surroundings({"users_search_base": "dc=x", "users_scope": "base", "users_bind": "no"})
    settings = read_settings("ldap:users", "users", around)
    assert (settings.plan.scope, settings.access.bind) == (BASE, Bind.NONE)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_settings("ldap:/none", str(tmp_path / "none"), surroundings())
