"""ldap: against a real slapd, each lookup as Debian's ``postmap -q`` has it with the same file."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from peers.slapd import SUFFIX, Slapd
from peers.slapd_tree import BIG, LOGIN_DN, LOGIN_NAME, LOGIN_PASSWORD, ODD_NAMES, PEOPLE, tree
from peers.tables import surroundings

from gateway.maps.ldap.table import LdapTable
from gateway.model.errors import TableError

pytestmark = pytest.mark.peer("slapd", "postmap", "python-ldap")

FAILED = "temporary error"
FAILURES_A_CASE = 8
"""Keys without answer that postmap is asked about; each is a process that sleeps for a second."""
MAIL, LIST = {"query_filter": "mail=%s"}, {"query_filter": "mailacceptinggeneralid=%s"}
RECURSIVE = {**LIST, "special_result_attribute": "memberdn, memberreference"}
MEMBERS = {**RECURSIVE, "recursion_limit": "30"}  # loops take as many searches
ADDRESSES = {"result_attribute": "memberaddress", "leaf_result_attribute": "mail"}

HOSTILE = [
    "*", "**", "a*", "*@example.test", "user*@example.test", "(", ")", "()", "*)(uid=*", "*))(|(uid=*", "\\", "\\2a",
    "\\2A@example.test", "user1)(uid=user2", "user1\\", ",", "+", "user1,ou=people", "user1+sn=*", "=", "#", " ", "  user1 ",
    "user1@", "@", "@example.test", "@@", "user1@@example.net", "\t", "a\x01b@example.test", "\x7f", "%", "%s", "%%", "$mail",
    "é", "é@example.test", "ÄRGER@exämple.test", "Ärger@Exämple.test", "\udcff", "\udcff@example.test", "ou=people",
    "user1@example.net,user2@example.net", "a" * 3000, "a@" + "b." * 200 + "c", ".", "user1@.", "user1@example.net.",
]  # fmt: skip
PLAIN = [f"user{number}@{domain}" for number in (0, 1, 2, 3, 5, 14, 21, 39, 40) for domain in
         ("example.test", "example.net", "mail.example.org", "Example.COM", "nowhere.test")]  # fmt: skip
ODD = [f"{name}@example.test" for name in ODD_NAMES] + [*ODD_NAMES]
WORDS = [
    "user1",
    "USER2",
    "example.net",
    "mail.example.org",
    "example",
    "org",
    "nobody",
    "pointed",
    "user0@en.example.test",
]
LISTS = [f"{name}@lists.example.test" for name in ["flat", "mixed", "leafy", "nested", "deep", "deeper", "itself", "loop1", "loop2", "missing", "notdn", "emptydn", "byurl", "bothkinds", "urlattrs", "urlunwanted", "urloption", "urlbase", "urlbasefilter", "urlscope", "urlfilter", "urlempty", "urlgone", "urlencoded", "urlhost", "urlport", "urlbrackets", "urlupper", "urlextension", "urlmore", "urlchildren", "urlnofilter", "urlgroups", "urlbare", "chain0", "chain5", "chain12", "none"]]  # fmt: skip
FORMS = [f"{name}@example.test" for name in ("octets", "nul", "blanks", "nothing", "forms")] + ["alias0@example.test"]
EVERYTHING = [*PLAIN, *ODD, *WORDS, *HOSTILE, "many@example.test"]


class Case:
    """One table's file, and what both programs say of keys.

    Args:
        directory: its own. slapd: asked. settings: of the table. keys: looked up.
    """

    def __init__(self, directory: Path, slapd: Slapd, settings: Mapping[str, str], keys: Iterable[str]) -> None:
        self.directory, self.path = directory, directory / "table.cf"
        # Over TCP postmap waits 40 ms for each entry: Nagle's algorithm and delayed acknowledgements. Binds are tried there.
        told = {"server_host": slapd.unix_uri, "search_base": SUFFIX} | settings
        directory.mkdir()
        self.path.write_text("".join(f"{name} = {value}\n" for name, value in told.items()), "utf-8", "surrogateescape")
        (directory / "main.cf").write_text("compatibility_level = 3.6\n")
        self.ours = asyncio.run(self._ask(dict.fromkeys(keys)))
        self.failed = [key for key in self.ours if self.ours[key] == FAILED]
        self.answered = [key for key in self.ours if self.ours[key] != FAILED]

    async def _ask(self, keys: Iterable[str]) -> dict[str, str | None]:
        table = LdapTable(f"ldap:{self.path}", str(self.path), surroundings())
        said: dict[str, str | None] = {}
        for key in keys:
            try:
                said[key] = await table.find(key)
            except TableError as error:
                assert str(self.path) in str(error)
                said[key] = FAILED
        await table.close()
        return said

    def _postmap(self, key: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        arguments = ["/usr/sbin/postmap", "-c", str(self.directory), "-q", _raw(key), f"ldap:{self.path}"]
        return subprocess.run(arguments, input=stdin, capture_output=True, check=False, timeout=60)

    def compare_answered(self) -> list[str]:
        """What postmap says otherwise of keys that we have an answer for."""
        done = self._postmap("-", _raw("".join(f"{key}\n" for key in self.answered)))
        wanted = [_raw(f"{key}\t{self.ours[key]}") for key in self.answered if self.ours[key] is not None]
        wrong = [] if (lines := done.stdout.split(b"\n")[:-1]) == wanted else _unlike(wanted, lines)
        return [*wrong, f"postmap: {done.stderr!r}"] if b"fatal" in done.stderr else wrong

    def compare_failed(self, key: str) -> list[str]:
        """The same of a key that we have none for; one by one, for postmap ends there."""
        done = self._postmap(key)
        return [] if b"query error" in done.stderr else [f"{key!r}: failed, postmap {done.stdout!r} {done.stderr!r}"]


def _unlike(ours: list[bytes], theirs: list[bytes]) -> list[str]:
    return [f"only ours: {line!r}" for line in ours if line not in theirs] + [
        f"only postmap's: {line!r}" for line in theirs if line not in ours
    ]


def _raw(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


# What is asked, in which configurations.
QUERIES: dict[str, tuple[Mapping[str, str], list[str]]] = {
    "mail": (MAIL, EVERYTHING),
    "substring": (
        {"query_filter": "(mail=*%s*)", "result_attribute": "mail", "size_limit": "1"},
        [*HOSTILE, *ODD, "user10@"],
    ),
    "parentheses": ({"query_filter": "(&(objectClass=postfixaccount)(|(mail=%s)(uid=%s)))"}, EVERYTHING),
    "user": ({"query_filter": "(uid=%u)"}, EVERYTHING),
    "user and domain": ({"query_filter": "(&(uid=%u)(mail=*@%d))", "result_attribute": "mail"}, EVERYTHING),
    "labels": ({"query_filter": "(|(uid=%1)(uid=%3)(mail=%s))"}, EVERYTHING),
    "capitals": ({"query_filter": "(&(uid=%U)(mail=%S)(mail=*%D))"}, EVERYTHING),
    "percent": ({"query_filter": "(|(uid=100%%)(mail=%s))"}, PLAIN),
    "several attributes": ({**MAIL, "result_attribute": "maildrop, mail uid,sn"}, EVERYTHING),
    "option": ({**MAIL, "result_attribute": "mail;lang-en"}, PLAIN),
    "unknown attribute": ({**MAIL, "result_attribute": "nosuchattribute"}, PLAIN),
    "no attribute": ({**MAIL, "result_attribute": ""}, PLAIN),
    "domain in base": (
        {"search_base": f"ou=%d,{SUFFIX}", "query_filter": "(uid=%u)"},
        [*EVERYTHING, *(f"user1@{name}" for name in ODD_NAMES)],
    ),
    "key in base": (
        {"search_base": f"cn=%s,{PEOPLE}", "query_filter": "(objectClass=*)", "scope": "base"},
        [*ODD, *HOSTILE, *WORDS],
    ),
    "user in base": (
        {"search_base": f"cn=%u,{PEOPLE}", "query_filter": "(cn=*)", "scope": "base"},
        [*ODD, *HOSTILE, *PLAIN],
    ),
    "labels in base": ({"search_base": "ou=people,dc=%2,dc=%1", "query_filter": "(uid=%u)"}, [*PLAIN, *WORDS]),
    "one level": ({**MAIL, "scope": "one", "search_base": PEOPLE}, PLAIN),
    "one level above": ({**MAIL, "scope": "one"}, PLAIN[:10]),
    "base": ({**MAIL, "scope": "base"}, PLAIN[:10]),
    "odd scope": ({**MAIL, "scope": "everything"}, PLAIN[:10]),
    "missing base": ({**MAIL, "search_base": f"ou=none,{SUFFIX}"}, PLAIN[:4]),
    "no base": ({**MAIL, "search_base": ""}, PLAIN[:4]),
    "bad base": ({**MAIL, "search_base": "none"}, PLAIN[:4]),
    "bad filter": ({"query_filter": "(mail=%s"}, [*PLAIN[:4], "@", ""]),
    "two filters": ({"query_filter": "(mail=%s)(mail=%s)"}, PLAIN[:4]),
    "fixed filter": ({"query_filter": "(uid=user1)"}, [*PLAIN[:5], *HOSTILE]),
    "dereference": ({"query_filter": "(uid=%u)", "dereference": "3", "search_base": PEOPLE}, WORDS),
    "dereference searching": ({"query_filter": "(uid=%u)", "dereference": "1", "search_base": PEOPLE}, WORDS),
    "dereference finding": (
        {"query_filter": "(uid=%u)", "dereference": "2", "search_base": f"cn=pointer,{PEOPLE}"},
        WORDS,
    ),
    "domain": ({**MAIL, "domain": "example.test, EXAMPLE.NET"}, EVERYTHING),
    "domain table": ({**MAIL, "domain": "inline:{example.test=x}, !example.net, mail.example.org"}, EVERYTHING),
    "domain parent": ({**MAIL, "domain": ".example.org"}, EVERYTHING),
    "size limit": ({**MAIL, "size_limit": "24"}, ["many@example.test", *PLAIN[:4]]),
    "size limit reached": ({**MAIL, "size_limit": "25"}, ["many@example.test", *PLAIN[:4]]),
    "expansion limit": ({**MAIL, "expansion_limit": "1"}, [*PLAIN, "many@example.test"]),
    "expansion and size limit": (
        {**MAIL, "expansion_limit": "25", "size_limit": "0"},
        ["many@example.test", *PLAIN[:4]],
    ),
    "expansion limit reached": ({**MAIL, "expansion_limit": "25", "search_base": BIG}, ["many@example.test"]),
    "forms": ({**LIST, "result_attribute": "maildrop"}, FORMS),
    "forms of octets": ({**LIST, "result_attribute": "octets"}, FORMS),
    "default filter": ({}, [*LISTS, *FORMS, "alias0@example.test", "ALIAS3@example.com"]),
    "version 2": ({**MAIL, "version": "2"}, PLAIN[:8]),
    "version 4": ({**MAIL, "version": "4"}, PLAIN[:4]),
}
FORMATS = [
    "%s",
    "<%s>",
    "%u",
    "%d",
    "%u at %d",
    "smtp:[%d]",
    "%S",
    "%U|%D|%s",
    "%1 %2 %s",
    "100%% %s",
    "fixed",
    "%S %u@%D",
    "",
]
RESULTS: dict[str, Mapping[str, str]] = {
    "nothing special": {**LIST, **ADDRESSES},
    "unlimited": RECURSIVE,
    "special": {**MEMBERS, "result_attribute": "maildrop"},
    "special, addresses": {**MEMBERS, "result_attribute": "maildrop, memberaddress, mail"},
    "leaf": {**MEMBERS, **ADDRESSES},
    "leaf and terminal": {**MEMBERS, **ADDRESSES, "terminal_result_attribute": "maildrop"},
    "terminal only": {**MEMBERS, "result_attribute": "", "terminal_result_attribute": "maildrop"},
    "terminal and ordinary": {**MEMBERS, "result_attribute": "uid, memberaddress", "terminal_result_attribute": "sn"},
    "leaf only": {**MEMBERS, "result_attribute": "", "leaf_result_attribute": "mail maildrop"},
    "leaf without special": {**LIST, "result_attribute": "", "leaf_result_attribute": "maildrop"},
    "only DNs": {**LIST, "recursion_limit": "30", "special_result_attribute": "memberdn"},
    "only URLs": {**LIST, "special_result_attribute": "memberreference", "result_attribute": "mail"},
    "special is ordinary": {
        **LIST,
        "recursion_limit": "30",
        "special_result_attribute": "memberdn",
        "result_attribute": "memberdn, mail",
    },
    "options": {**MEMBERS, "result_attribute": "mail;lang-en, maildrop"},
    "recursion 1": {**MEMBERS, "recursion_limit": "1"},
    "recursion 2": {**MEMBERS, "recursion_limit": "2"},
    "recursion 3": {**MEMBERS, **ADDRESSES, "recursion_limit": "3"},
    "recursion 13": {**MEMBERS, **ADDRESSES, "recursion_limit": "13"},
    "recursion 14": {**MEMBERS, **ADDRESSES, "recursion_limit": "14"},
    "expansion 3": {**MEMBERS, "expansion_limit": "3", "size_limit": "0"},
    "expansion 6": {**MEMBERS, "expansion_limit": "6", "size_limit": "0"},
    "size 5": {**MEMBERS, "size_limit": "5"},
    "domain": {**MEMBERS, "domain": "lists.example.test"},
    "format": {**MEMBERS, "result_format": "%U: %u"},
    "format of addresses": {
        **MEMBERS,
        "result_attribute": "mail",
        "result_format": "%u (%d) via %D",
        "expansion_limit": "5",
    },
}


def _binds(slapd: Slapd) -> dict[str, Mapping[str, str]]:
    login = {"bind_dn": LOGIN_DN, "bind_pw": LOGIN_PASSWORD}
    sasl = {"bind": "sasl", "bind_dn": LOGIN_NAME, "bind_pw": LOGIN_PASSWORD}
    return {
        "none": {"bind": "no"},
        "simple": {"bind": "yes", **login},
        "wrong password": {"bind": "simple", **login, "bind_pw": "guess"},
        "no password": {**login, "bind_pw": ""},
        "unknown name": {**login, "bind_dn": f"cn=stranger,{SUFFIX}"},
        "no name": {**login, "bind_dn": "stranger"},
        "not asked for": {**login, "bind": "none", "bind_pw": "guess"},
        "version 2": {**login, "version": "2"},
        "unix socket": {"server_host": slapd.unix_uri, **login},
        "host and port": {"server_host": f"127.0.0.1:{slapd.port}", "server_port": "1"},
        "host": {"server_host": "127.0.0.1", "server_port": str(slapd.port)},
        "name": {"server_host": "localhost", "server_port": str(slapd.port)},
        "url with more": {"server_host": f"{slapd.uri}/{PEOPLE}??base"},
        "first is dead": {"server_host": f"ldap://127.0.0.1:1, 127.0.0.1:2 ldapi://%2Fnone {slapd.uri}"},
        "all are dead": {"server_host": "ldap://127.0.0.1:1 127.0.0.1:2"},
        "external": {"bind": "sasl", "sasl_mechs": "EXTERNAL", "server_host": slapd.unix_uri},
        "digest": {**sasl, "sasl_mechs": "DIGEST-MD5"},
        "digest, wrong password": {**sasl, "sasl_mechs": "DIGEST-MD5", "bind_pw": "guess"},
        "digest, minimum": {**sasl, "sasl_mechs": "DIGEST-MD5", "sasl_minssf": "56"},
        "cram": {**sasl, "sasl_mechs": "CRAM-MD5"},
        "two mechanisms": {**sasl, "sasl_mechs": "SCRAM-SHA-1 DIGEST-MD5"},
        "no mechanism": {**sasl, "sasl_mechs": "NONE"},
        "start TLS": {"start_tls": "yes"},
    }  # fmt: skip


def _random() -> Iterator[tuple[Mapping[str, str], list[str]]]:
    draw = random.Random("ldap")
    letters = '*()\\,+=#; "<>%@.abuser12é\t\x01'
    for _ in range(12):
        settings = {
            "query_filter": draw.choice(
                ["(mail=%s)", "uid=%u", "(|(mail=%s)(cn=%u)(uid=%s))", "(&(cn=*%u*)(!(mail=%s)))"]
            ),
            "search_base": draw.choice([SUFFIX, PEOPLE, f"cn=%u,{PEOPLE}", f"ou=%d,{SUFFIX}", f"cn=%s,{PEOPLE}"]),
            "result_attribute": draw.choice(["maildrop", "mail, maildrop", "cn", "uid sn"]),
            "result_format": draw.choice(["%s", "%S=%s", "%u"]),
            "size_limit": draw.choice(["5", "0", "0"]),
        }
        keys = ["".join(draw.choices(letters, k=draw.randint(1, 8))) for _ in range(60)]
        keys += [f"{draw.choice(ODD_NAMES)}{draw.choice(['', '@example.test', '@', '*'])}" for _ in range(20)]
        yield settings, keys


def _cases(slapd: Slapd) -> Iterator[tuple[str, Mapping[str, str], list[str]]]:
    for name, (settings, keys) in QUERIES.items():
        yield f"query: {name}", settings, keys
    for name, settings in RESULTS.items():
        yield f"result: {name}", settings, [*LISTS, *FORMS[:2]]
    for text in FORMATS:
        for name in ("result_format", "result_filter")[: 2 if text else 1]:
            settings = {"query_filter": "(|(mail=%s)(mailacceptinggeneralid=%s)(uid=%s))", name: text}
            yield f"{name} = {text}", settings, [*PLAIN[:12], *FORMS, *WORDS, ""]
    for name, settings in _binds(slapd).items():
        yield (
            f"bind: {name}",
            {**MAIL, "timeout": "5", "server_host": slapd.uri, **settings},
            [PLAIN[0], "nobody@x.test"],
        )
    for number, (settings, keys) in enumerate(_random()):
        yield f"random {number}", settings, keys


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, list[str]]]:
    """Of each case: keys compared, and what differs. All at a time: a postmap that fails sleeps for a second."""
    directory = tmp_path_factory.mktemp("ldap")
    found: dict[str, tuple[int, list[Future[list[str]]]]] = {}
    with Slapd(directory / "slapd", tree()) as slapd, ThreadPoolExecutor(100) as threads:
        for number, (name, settings, keys) in enumerate(_cases(slapd)):
            case = Case(directory / str(number), slapd, settings, keys)
            asked = [
                threads.submit(case.compare_answered),
                *(threads.submit(case.compare_failed, key) for key in case.failed[:FAILURES_A_CASE]),
            ]
            found[name] = len(case.answered) + len(asked) - 1, asked
        return {
            name: (count, [text for one in asked for text in one.result()]) for name, (count, asked) in found.items()
        }


def test_every_answer_is_postmaps(differences: dict[str, tuple[int, list[str]]]) -> None:
    assert {name: wrong for name, (_, wrong) in differences.items() if wrong} == {}


def test_enough_was_compared(differences: dict[str, tuple[int, list[str]]]) -> None:
    assert sum(count for count, _ in differences.values()) >= 4500
    assert len(differences) >= 100
