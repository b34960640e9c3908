"""ldap: over TLS, and who we say we are there; nothing less than what is configured."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.ldap_tables import KEY, VALUE, error_of, table
from peers.slapd import Slapd
from peers.slapd_tree import LOGIN_DN, LOGIN_NAME, LOGIN_PASSWORD, tree

from gateway.model.errors import TableError

pytestmark = pytest.mark.peer("slapd", "python-ldap")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with Slapd(tmp_path_factory.mktemp("ldap") / "slapd", tree()) as slapd:
        yield slapd


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and a certificate for 127.0.0.1: server.pem, server.key."""
    directory = tmp_path_factory.mktemp("certificates")
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    for name, more in (
        ("ca", ["-subj", "/CN=Test CA"]),
        ("other", ["-subj", "/CN=Other CA"]),
        (
            "server",
            [
                "-subj",
                "/CN=ldap.example.test",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
            ],
        ),
    ):
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run([*new, *files, *more], cwd=directory, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Slapd]:
    options = f"TLSCertificateFile {certificates}/server.pem\nTLSCertificateKeyFile {certificates}/server.key\n"
    with Slapd(tmp_path_factory.mktemp("secure") / "slapd", tree(), options=options, is_tls=True) as slapd:
        yield slapd


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("bind", ["yes", "no", "sasl", "wrong"])
@pytest.mark.parametrize("way", ["ldaps", "start_tls"])
def test_tls(way: str, bind: str, secure: Slapd, certificates: Path, tmp_path: Path) -> None:
    server = secure.tls_uri if way == "ldaps" else secure.uri
    as_whom = {
        "yes": {"bind": "yes", "bind_dn": LOGIN_DN, "bind_pw": LOGIN_PASSWORD},
        "no": {"bind": "no"},
        "sasl": {"bind": "sasl", "bind_dn": LOGIN_NAME, "bind_pw": LOGIN_PASSWORD, "sasl_mechs": "DIGEST-MD5"},
        "wrong": {"bind": "yes", "bind_dn": LOGIN_DN, "bind_pw": "guess"},
    }[bind]
    common = {"start_tls": "yes" if way == "start_tls" else "no", **as_whom}

    async def ask(**tls: str) -> str | None:
        asked = table(tmp_path, server, **common, **tls)
        try:
            return await asked.find(KEY)
        except TableError as error:
            return error.message
        finally:
            await asked.close()

    async def all_of_them() -> list[str | None]:
        trusted = await ask(tls_require_cert="yes", tls_ca_cert_file=f"{certificates}/ca.pem")
        blind = await ask(tls_require_cert="no", tls_ca_cert_file=f"{certificates}/other.pem")
        strange = await ask(tls_require_cert="yes", tls_ca_cert_file=f"{certificates}/other.pem")
        return [trusted, blind, strange]

    trusted, blind, strange = asyncio.run(all_of_them())
    if bind == "wrong":
        assert "Invalid credentials" in str(trusted)
        assert "Invalid credentials" in str(blind)
    else:
        assert (trusted, blind) == (VALUE, VALUE)
    assert "certificate" in str(strange) or "Can't contact" in str(strange) or "Connect error" in str(strange)


@pytest.mark.peer("openssl")
def test_a_certificate_for_another_name_is_refused(secure: Slapd, certificates: Path, tmp_path: Path) -> None:
    async def ask(server: str, **settings: str) -> str:
        asked = table(tmp_path, server, tls_require_cert="yes", tls_ca_cert_file=f"{certificates}/ca.pem", **settings)
        return await error_of(asked)

    assert asyncio.run(ask(f"ldaps://localhost:{secure.tls_port}"))
    assert asyncio.run(ask(f"ldap://localhost:{secure.port}", start_tls="yes"))


def test_start_tls_that_the_server_does_not_know_is_no_plain_connection(shared: Slapd, tmp_path: Path) -> None:
    async def ask() -> str:
        return await error_of(table(tmp_path, shared.uri, start_tls="yes"))

    assert "ldap://" in asyncio.run(ask())


def test_a_security_layer_that_cannot_be_had_is_a_temporary_error(shared: Slapd, tmp_path: Path) -> None:
    """Postfix says "not found" here."""
    login = {"bind": "sasl", "bind_dn": LOGIN_NAME, "bind_pw": LOGIN_PASSWORD, "sasl_mechs": "DIGEST-MD5"}

    async def ask() -> str:
        return await error_of(table(tmp_path, shared.uri, **login, sasl_minssf="4000"))

    assert asyncio.run(ask())
