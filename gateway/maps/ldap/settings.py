"""The parameters of an ``ldap:`` table: where to ask, as whom, for what. Source: ldap_table(5)."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable

import msgspec

from gateway.maps.client_file import ClientFile
from gateway.maps.ldap.text import BASE, ONE, SUBTREE, LdapUrl, is_ldap_url, parse_ldap_url
from gateway.maps.query_template import DomainFilter, QueryTemplate, ResultFormat
from gateway.maps.source import Surroundings

LONGEST_TIMEOUT_S = 90
_SCOPES = {"sub": SUBTREE, "one": ONE, "base": BASE}
_OBSOLETE = ("cache", "cache_expiry", "cache_size")
Warn = Callable[[str], None]
_SEPARATORS = re.compile(r"[\s,]+")


class Bind(enum.Enum):
    """How to say who is asking (``bind``)."""

    NONE = "none"
    SIMPLE = "simple"
    SASL = "sasl"


_BINDS = {"yes": Bind.SIMPLE, "simple": Bind.SIMPLE, "no": Bind.NONE, "none": Bind.NONE, "sasl": Bind.SASL}


class Access(msgspec.Struct, frozen=True):
    """All that makes a connection what it is: tables that agree in it share one.

    Args:
        servers: tried in this order.
        timeout_s: for each step: connecting, TLS, bind, search.
        version: of the protocol, 2 or 3.
        dereference: of aliases, 0 to 3.
        bind, bind_dn, bind_password: who is asking.
        sasl_mechanisms, sasl_realm, sasl_authorization, sasl_min_ssf: for :attr:`Bind.SASL`.
        start_tls: go over to TLS before anything else.
        tls_ca_file, tls_ca_directory, tls_certificate, tls_key, tls_random_file, tls_ciphers: as OpenLDAP takes them.
        tls_verifies: the server needs a certificate that names it and that we trust.
        debug_level: of OpenLDAP, written to standard error.
    """

    servers: tuple[LdapUrl, ...]
    timeout_s: int
    version: int = 3
    dereference: int = 0
    bind: Bind = Bind.SIMPLE
    bind_dn: str = ""
    bind_password: str = ""
    sasl_mechanisms: str = ""
    sasl_realm: str = ""
    sasl_authorization: str = ""
    sasl_min_ssf: int = 0
    start_tls: bool = False
    tls_ca_file: str = ""
    tls_ca_directory: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_random_file: str = ""
    tls_ciphers: str = ""
    tls_verifies: bool = False
    debug_level: int = 0


class Plan(msgspec.Struct, frozen=True):
    """What a table asks, and what it makes of the answers.

    Args:
        base, filter: ``search_base``, ``query_filter``.
        has_fixed_base: the base is the same for every key, so that a missing one is a mistake.
        scope: of the first search.
        terminal, leaf, ordinary, special: attributes of each role, in the order of the configuration.
        format: ``result_format``.
        expansion_limit: values of one lookup; 0: any number.
        size_limit: entries of one search; 0: any number.
        recursion_limit: depth of DNs and URLs.
        chases: follow referrals.
    """

    base: QueryTemplate
    filter: QueryTemplate
    has_fixed_base: bool
    scope: int
    terminal: tuple[str, ...]
    leaf: tuple[str, ...]
    ordinary: tuple[str, ...]
    special: tuple[str, ...]
    format: ResultFormat
    expansion_limit: int
    size_limit: int
    recursion_limit: int
    chases: bool

    @property
    def attributes(self) -> tuple[str, ...]:
        """All attributes asked for."""
        return self.terminal + self.leaf + self.ordinary + self.special


class LdapSettings(msgspec.Struct, frozen=True):
    """One table's configuration; ``domains`` is ``domain``."""

    access: Access
    plan: Plan
    domains: DomainFilter


def read_settings(spec: str, name: str, around: Surroundings) -> LdapSettings:
    """The settings of the table ``name``: a file, or main.cf parameters that start with ``name_``.

    Raises:
        ConfigError: something is wrong, with file, line and parameter.
    """
    file = ClientFile.open(spec, name, around)
    for obsolete in _OBSOLETE:
        if file.is_set(obsolete):
            around.warn(f"table {spec}: {obsolete} is not supported any more, and ignored")
    access, plan = _access(spec, file, around.warn), _plan(spec, file, around.warn)
    domains = file.checked("domain", lambda: DomainFilter(file.words("domain"), around))
    file.warn_unused()
    return LdapSettings(access, plan, domains)


def _is_fixed(template: QueryTemplate) -> bool:
    return len(template.pieces) == 1


def _utf8(file: ClientFile, name: str, default: str = "", *, low: int = 0) -> str:
    """A text that goes over the wire, where only UTF-8 may."""
    text = file.text(name, default, low=low)
    try:
        text.encode()
    except UnicodeEncodeError:
        file.fail(name, "is not UTF-8")
    if "\0" in text:
        file.fail(name, "has a NUL in it")
    return text


def _access(spec: str, file: ClientFile, warn: Warn) -> Access:
    port = file.integer("server_port", 389, low=1, high=0xFFFF)
    servers = file.checked("server_host", lambda: _servers(_utf8(file, "server_host", "localhost", low=1), port))
    bind = _BINDS.get(file.text("bind", "yes").lower())
    if bind is None:
        file.fail("bind", f'"{file.text("bind")}" is none of {", ".join(_BINDS)}')
    start_tls = file.boolean("start_tls", False)
    if start_tls and any(server.scheme == "ldaps" for server in servers):
        file.fail("start_tls", "a server in server_host speaks TLS from the start (ldaps)")
    version = _known(spec, file, warn, "version", (3, 2))
    if version == 2 and (start_tls or bind is Bind.SASL or any(server.scheme != "ldap" for server in servers)):
        warn(f"table {spec}: TLS, SASL and UNIX-domain sockets need version 3, which is used")
        version = 3
    timeout_s = file.integer("timeout", 10, low=1)
    if timeout_s > LONGEST_TIMEOUT_S:
        warn(f"table {spec}: timeout: {timeout_s} is too long, {LONGEST_TIMEOUT_S} is used")
    return Access(
        servers=servers,
        timeout_s=min(timeout_s, LONGEST_TIMEOUT_S),
        version=version,
        dereference=_known(spec, file, warn, "dereference", (0, 1, 2, 3)),
        bind=bind,
        bind_dn=_utf8(file, "bind_dn"),
        bind_password=_utf8(file, "bind_pw"),
        sasl_mechanisms=_utf8(file, "sasl_mechs"),
        sasl_realm=_utf8(file, "sasl_realm"),
        sasl_authorization=_utf8(file, "sasl_authz_id"),
        sasl_min_ssf=file.integer("sasl_minssf", 0, low=0, high=4096),
        start_tls=start_tls,
        tls_ca_file=file.text("tls_ca_cert_file"),
        tls_ca_directory=file.text("tls_ca_cert_dir"),
        tls_certificate=file.text("tls_cert"),
        tls_key=file.text("tls_key"),
        tls_random_file=file.text("tls_random_file"),
        tls_ciphers=_utf8(file, "tls_cipher_suite"),
        tls_verifies=file.boolean("tls_require_cert", False),
        debug_level=file.integer("debuglevel", 0, low=0),
    )


def _servers(text: str, port: int) -> tuple[LdapUrl, ...]:
    """``server_host``: URLs, ``host``, ``host:port``, between blanks or commas."""
    servers: list[LdapUrl] = []
    for word in filter(None, _SEPARATORS.split(text)):
        url = word if is_ldap_url(word) else f"ldap://{word}" if ":" in word else f"ldap://{word}:{port}"
        try:
            server = parse_ldap_url(url)
        except ValueError as error:
            raise ValueError(f'"{word}" is no server: {error}') from error
        servers.append(LdapUrl(server.scheme, server.host, server.port))
    if not servers:
        raise ValueError("names no server")
    return tuple(servers)


def _known(spec: str, file: ClientFile, warn: Warn, name: str, known: tuple[int, ...]) -> int:
    """One of ``known``; anything else is the first of them, which is the default, and a warning, as with Postfix."""
    value = file.integer(name, known[0])
    if value in known:
        return value
    warn(f"table {spec}: {name}: {value} is not known, {known[0]} is used")
    return known[0]


def _scope(spec: str, file: ClientFile, warn: Warn) -> int:
    word = file.text("scope", "sub", low=1)
    if word.lower() not in _SCOPES:
        warn(f'table {spec}: scope: "{word}" is not known, sub is used')
    return _SCOPES.get(word.lower(), SUBTREE)


def _plan(spec: str, file: ClientFile, warn: Warn) -> Plan:
    base = file.checked("search_base", lambda: QueryTemplate(_utf8(file, "search_base"), "search_base"))
    query = file.checked(
        "query_filter",
        lambda: QueryTemplate(_utf8(file, "query_filter", "(mailacceptinggeneralid=%s)"), "query_filter"),
    )
    if _is_fixed(query):
        warn(f"table {spec}: query_filter is the same for every key, which is probably useless")
    # An empty result_format is none, as with Postfix; result_filter is its older name.
    has_format = bool(file.text("result_format"))
    name, low = ("result_format", 0) if has_format else ("result_filter", 1)
    expansion_limit = file.integer("expansion_limit", 0, low=0)
    return Plan(
        base=base,
        filter=query,
        has_fixed_base=_is_fixed(base),
        scope=_scope(spec, file, warn),
        terminal=_attributes(file, "terminal_result_attribute"),
        leaf=_attributes(file, "leaf_result_attribute"),
        ordinary=_attributes(file, "result_attribute", "maildrop"),
        special=_attributes(file, "special_result_attribute"),
        format=file.checked(name, lambda: ResultFormat(spec, file.text(name, "%s", low=low), parameter=name)),
        expansion_limit=expansion_limit,
        size_limit=file.integer("size_limit", expansion_limit, low=0, high=2**31 - 1),
        recursion_limit=file.integer("recursion_limit", 1000, low=1),
        chases=file.boolean("chase_referrals", False),
    )


def _attributes(file: ClientFile, name: str, default: str = "") -> tuple[str, ...]:
    return tuple(filter(None, _SEPARATORS.split(_utf8(file, name, default))))
