from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.ldap.expansion import Entry, LdapExpansion, Search
from gateway.maps.ldap.settings import Plan, read_settings
from gateway.maps.ldap.text import ANY_OBJECT, BASE, SUBTREE
from gateway.model.errors import TableError

ROOT = "dc=x"
Content = Mapping[str, list[Entry]]


def plan(path: Path, **settings: str) -> Plan:
    told = {"search_base": ROOT, "query_filter": "(mail=%s)"} | settings
    (path / "ldap.cf").write_text("".join(f"{name} = {value}\n" for name, value in told.items()))
    return read_settings("ldap:t", "./ldap.cf", surroundings(directory=str(path))).plan


class Walk:
    """A lookup in a directory that is a mapping of bases to the entries found there."""

    def __init__(self, plan: Plan, content: Content, key: str = "k@d.test") -> None:
        self.searches: list[Search] = []
        self.warnings: list[str] = []
        run = LdapExpansion("ldap:t", plan, key, self.warnings.append).run()
        try:
            search = next(run)
            while True:
                self.searches.append(search)
                search = run.send(content.get(search.base))
        except StopIteration as end:
            self.value: str | None = end.value


def test_the_first_search(tmp_path: Path) -> None:
    made = Walk(plan(tmp_path, search_base="ou=%u,dc=x", query_filter="(&(a=%s)(b=%1))"), {}, "(a)*,b@d.test")
    assert made.searches == [
        Search("ou=(a)*\\2Cb,dc=x", SUBTREE, "(&(a=\\28a\\29\\2A,b@d.test)(b=test))", ("maildrop",))
    ]
    assert made.value is None


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"query_filter": "(a=%d)"}, "k"),
        ({"query_filter": "(a=%u)"}, "@d"),
        ({"search_base": "ou=%3"}, "k@d.test"),
        ({"result_format": "%D"}, "k"),
        ({}, ""),
    ],
)
def test_a_key_without_the_parts_asked_for_is_not_searched(settings: dict[str, str], key: str, tmp_path: Path) -> None:
    made = Walk(plan(tmp_path, **settings), {ROOT: [{"maildrop": [b"v"]}]}, key)
    assert (made.searches, made.value) == ([], None)


def test_values_in_the_order_of_entries_and_attributes(tmp_path: Path) -> None:
    entries = [
        {"MAIL": [b"1", b""], "other": [b"x"], "maildrop;lang-en": [b"2"]},
        {"maildrop": [b"3", b"4"], "mail": []},
    ]
    assert Walk(plan(tmp_path, result_attribute="maildrop, mail"), {ROOT: entries}).value == "1,2,3,4"


def test_a_missing_base_is_a_mistake_unless_it_depends_on_the_key(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"ldap:t.*dc=x"):
        Walk(plan(tmp_path), {})
    assert Walk(plan(tmp_path, search_base="dc=%d"), {}).value is None


MEMBERS = {
    "special_result_attribute": "member",
    "leaf_result_attribute": "mail",
    "terminal_result_attribute": "drop",
    "result_attribute": "also",
}


def test_roles(tmp_path: Path) -> None:
    content: Content = {
        ROOT: [{"mail": [b"group"], "member": [b"cn=a", b"cn=b", b"cn=none"], "also": [b"plain"]}],
        "cn=a": [{"mail": [b"a"], "drop": [b""], "also": [b"a2"]}],
        "cn=b": [{"Drop": [b"stop"], "mail": [b"b"], "member": [b"cn=a"], "also": [b"b2"]}],
    }
    made = Walk(plan(tmp_path, **MEMBERS), content)
    assert made.value == "stop,plain"
    assert made.searches[1] == Search("cn=a", BASE, ANY_OBJECT, ("drop", "mail", "also", "member"))
    assert len(made.warnings) == 1
    assert "cn=none" in made.warnings[0]
    content = {**content, "cn=a": [{"mail": [b"a"], "also": [b"a2"]}]}
    assert Walk(plan(tmp_path, **MEMBERS), content).value == "a,a2,stop,plain"


def test_nesting_deeper_than_python_nests(tmp_path: Path) -> None:
    content: dict[str, list[Entry]] = {
        f"cn={number}": [{"member": [f"cn={number + 1}".encode()]}] for number in range(5000)
    }
    content |= {ROOT: [{"member": [b"cn=0"]}], "cn=5000": [{"mail": [b"end"]}]}
    assert Walk(plan(tmp_path, **MEMBERS, recursion_limit="5002"), content).value == "end"
    with pytest.raises(TableError, match="recursion_limit"):
        Walk(plan(tmp_path, **MEMBERS, recursion_limit="5001"), content)


def test_loops_end_at_the_limit(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="recursion_limit"):
        Walk(plan(tmp_path, **MEMBERS), {ROOT: [{"member": [b"dc=x", b"dc=x"]}]})


def test_urls(tmp_path: Path) -> None:
    urls = [b"ldap:///ou=1?mail,also,sn?one?(a=b)", b"ldap:///ou=2?sn", b"ldap:///ou=3", b"ldap:///ou=4?MAIL;x"]
    made = Walk(
        plan(tmp_path, **MEMBERS), {ROOT: [{"member": urls}], "ou=1": [{"mail": [b"m"]}], "ou=3": [], "ou=4": []}
    )
    assert [(search.base, search.scope, search.filter, search.attributes) for search in made.searches[1:]] == [
        ("ou=1", 1, "(a=b)", ("mail", "also")),
        ("ou=3", BASE, ANY_OBJECT, ("drop", "mail", "also", "member")),
        ("ou=4", BASE, ANY_OBJECT, ("MAIL;x",)),
    ]
    assert made.value == "m"
    with pytest.raises(TableError, match="malformed"):
        Walk(plan(tmp_path, **MEMBERS), {ROOT: [{"member": [b"ldap:///x??nowhere"]}]})


def test_limits(tmp_path: Path) -> None:
    entries: list[Entry] = [{"maildrop": [b"1", b"2"]}, {"maildrop": [b"3"]}]
    assert Walk(plan(tmp_path, expansion_limit="3"), {ROOT: entries}).value == "1,2,3"
    with pytest.raises(TableError, match="size_limit"):
        Walk(plan(tmp_path, size_limit="1"), {ROOT: entries})
    with pytest.raises(TableError, match="expansion_limit"):
        Walk(plan(tmp_path, expansion_limit="2"), {ROOT: entries})


def test_an_expansion_limit_ends_the_searches(tmp_path: Path) -> None:
    asked: list[str] = []
    content: Content = {
        ROOT: [{"member": [b"cn=1", b"cn=2", b"cn=3"]}],
        "cn=1": [{"mail": [b"1"]}],
        "cn=2": [{"mail": [b"2"]}],
    }
    run = LdapExpansion(
        "ldap:t", plan(tmp_path, **MEMBERS, expansion_limit="1", size_limit="0"), "k", asked.append
    ).run()
    search = next(run)
    with pytest.raises(TableError, match="expansion_limit"):
        while True:
            asked.append(search.base)
            search = run.send(content[search.base])
    assert asked == [ROOT, "cn=1", "cn=2"]


def test_octets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Walk(plan(tmp_path), {ROOT: [{"maildrop": [b"a\0b", b"\0", "ü".encode()]}]}).value == "a,ü"
    with pytest.raises(TableError, match="not UTF-8"):
        Walk(plan(tmp_path), {ROOT: [{"maildrop": [b"\xff"]}]})
    monkeypatch.setattr("gateway.maps.ldap.expansion.OCTETS_LIMIT", 3)
    with pytest.raises(TableError, match="octets"):
        Walk(plan(tmp_path), {ROOT: [{"maildrop": [b"ab", b"cd"]}]})
