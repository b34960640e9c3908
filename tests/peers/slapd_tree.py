"""A directory such as mail sites have, for a private slapd: people, groups of DNs and URLs, aliases, referrals, loops."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from peers.slapd import SUFFIX

PEOPLE, GROUPS, LOGINS, BIG = (f"ou={name},{SUFFIX}" for name in ("people", "groups", "logins", "big"))
LOGIN_DN, LOGIN_NAME, LOGIN_PASSWORD = f"cn=postfix,{LOGINS}", "postfix", "let me in"

# What a hostile or an unlucky address may hold, in DNs and in values.
ODD_NAMES = [
    "o'neill",
    "a+b",
    "c,d",
    "star*",
    "par(en)",
    "back\\slash",
    "#hash",
    'q"uote',
    "semi;colon",
    "l<g>t",
    "sp ace",
]


def _line(name: str, value: str | bytes) -> str:
    raw = value if isinstance(value, bytes) else value.encode()
    return f"{name}:: {base64.b64encode(raw).decode()}\n"


def entry(dn: str, classes: str, *values: tuple[str, str | bytes]) -> str:
    """One entry as LDIF. ``classes``: object classes between blanks; ``values``: attribute and value, in order."""
    lines = [_line("dn", dn), *(_line("objectClass", name) for name in classes.split())]
    # slapadd makes two attributes of the same name when their values do not stand together.
    names = list(dict.fromkeys(name for name, _ in values))
    return (
        "".join(lines + [_line(name, value) for name, value in sorted(values, key=lambda v: names.index(v[0]))]) + "\n"
    )


def dn_value(text: str) -> str:
    """Text as the value of an RDN."""
    return "".join(f"\\{ord(char):02X}" if char in ' \t"#+,;<>\\' else char for char in text)


def account(name: str, *values: tuple[str, str | bytes], base: str = PEOPLE) -> str:
    return entry(f"cn={dn_value(name)},{base}", "postfixaccount", *values)


def unit(name: str, base: str = SUFFIX) -> str:
    return entry(f"ou={dn_value(name)},{base}", "organizationalUnit")


def _people() -> Iterable[str]:
    for number in range(40):
        domain = ("example.test", "example.net", "mail.example.org", "Example.COM")[number % 4]
        values: list[tuple[str, str | bytes]] = [("mail", f"User{number}@{domain}"), ("maildrop", f"box{number}")]
        if number % 3 == 0:
            values += [
                ("maildrop", f"copy{number}@archive.example"),
                ("mailacceptinggeneralid", f"alias{number}@{domain}"),
            ]
        if number % 5 == 0:
            values += [("mail", f"user{number}.second@{domain}"), ("mail;lang-en", f"user{number}@en.example.test")]
        if number % 7 == 0:
            values += [("memberaddress", f"extern{number}@far.example"), ("description", "")]
        values += [("uid", f"user{number}"), ("sn", ("true", "false", "007", "-1")[number % 4])]
        yield account(f"user{number}", *(value for value in values if value[1]))
    for name in ODD_NAMES:
        yield account(name, ("mail", f"{name}@example.test"), ("maildrop", f"odd:{name}"), ("uid", name))
    yield account("ärger", ("mailacceptinggeneralid", "Ärger@Exämple.test"), ("maildrop", "böx"))
    yield account(
        "octets", ("mailacceptinggeneralid", "octets@example.test"), ("octets", b"\xff\xfe"), ("maildrop", "fine")
    )
    yield account(
        "nul", ("mailacceptinggeneralid", "nul@example.test"), ("octets", b"before\0after"), ("octets", b"\0")
    )
    yield account(
        "blanks", ("mailacceptinggeneralid", "blanks@example.test"), ("maildrop", " a , b "), ("maildrop", "a,b")
    )
    yield account("nothing", ("mailacceptinggeneralid", "nothing@example.test"))
    yield account(
        "forms",
        ("mailacceptinggeneralid", "forms@example.test"),
        *(("maildrop", form) for form in ("@only.domain", "local@", "plain", "two@at@signs", "user@domain.example")),
    )
    yield entry(f"cn=pointer,{PEOPLE}", "alias extensibleObject", ("aliasedObjectName", f"cn=nobody,{LOGINS}"))
    yield entry(f"dc=example.net,{PEOPLE}", "domain", ("description", "domain entry"))


def _groups() -> Iterable[str]:
    def person(number: int) -> str:
        return f"cn=user{number},{PEOPLE}"

    def group(name: str, *values: tuple[str, str]) -> str:
        return account(name, ("mailacceptinggeneralid", f"{name}@lists.example.test"), *values, base=GROUPS)

    below = f"{PEOPLE}?"
    yield group("flat", *(("memberdn", person(number)) for number in range(4)))
    yield group("mixed", ("memberdn", person(1)), ("memberaddress", "guest@far.example"), ("maildrop", "keeper"))
    yield group("leafy", ("mail", "leafy@lists.example.test"), ("memberdn", person(2)), ("memberdn", person(3)))
    yield group(
        "nested", ("memberdn", f"cn=flat,{GROUPS}"), ("memberdn", f"cn=mixed,{GROUPS}"), ("memberdn", person(9))
    )
    yield group("deep", ("memberdn", f"cn=nested,{GROUPS}"))
    yield group("deeper", ("memberdn", f"cn=deep,{GROUPS}"))
    yield group("itself", ("memberdn", f"cn=itself,{GROUPS}"), ("maildrop", "me"))
    yield group("loop1", ("memberdn", f"cn=loop2,{GROUPS}"), ("maildrop", "one"))
    yield group("loop2", ("memberdn", f"cn=loop1,{GROUPS}"), ("maildrop", "two"))
    yield group("missing", ("memberdn", f"cn=gone,{PEOPLE}"), ("memberdn", person(5)))
    yield group("notdn", ("memberreference", "this is no DN"), ("maildrop", "x"))
    yield group("emptydn", ("memberreference", ","), ("maildrop", "x"))
    yield group("byurl", ("memberreference", f"ldap:///{below}?one?(uid=user1*)"))
    yield group(
        "bothkinds", ("memberreference", f"ldap:///{below}mail?one?(uid=user2)"), ("memberreference", person(3))
    )
    urls = {
        "urlattrs": f"ldap:///{below}mail,sn,maildrop?sub?(uid=user10)",
        "urlunwanted": f"ldap:///{below}sn?sub?(uid=user10)",
        "urloption": f"ldap:///{below}mail;lang-en?sub?(uid=user10)",
        "urlbase": f"ldap:///cn=user3,{PEOPLE}",
        "urlbasefilter": f"ldap:///cn=user3,{PEOPLE}???(uid=user4)",
        "urlscope": f"ldap:///{below}?sideways?(uid=user1)",
        "urlfilter": f"ldap:///{below}?sub?(uid=",
        "urlempty": f"ldap:///{below}?sub?(uid=nobody)",
        "urlgone": "ldap:///ou=nowhere?mail?sub?(uid=user1)",
        "urlencoded": f"ldap:///{PEOPLE.replace('=', '%3D')}??sub?%28uid%3Duser11%29",
        "urlhost": f"ldap://127.0.0.1:1/{below}?sub?(uid=user12)",
        "urlport": f"ldap://127.0.0.1:x/{below}?sub?(uid=user12)",
        "urlbrackets": f"<URL:ldap:///{below}?sub?(uid=user13)>",
        "urlupper": f"LDAP:///{below}MAIL,MailDrop?SUB?(UID=USER14)",
        "urlextension": f"ldap:///{below}?sub?(uid=user15)?!x-critical",
        "urlmore": f"ldap:///{below}?sub?(uid=user15)?x?y",
        "urlchildren": f"ldap:///{below}?children?(uid=user16)",
        "urlnofilter": f"ldap:///cn=user17,{PEOPLE}??sub",
        "urlgroups": f"ldap:///{GROUPS}??one?(|(cn=flat)(cn=byurl))",
        "urlbare": "ldap:///",
    }
    for name, url in urls.items():
        yield group(name, ("memberreference", url))
    for number in range(12):
        yield group(
            f"chain{number}", ("memberdn", f"cn=chain{number + 1},{GROUPS}"), ("memberaddress", f"link{number}")
        )
    yield group("chain12", ("memberaddress", "end"))


def tree(*more: str) -> str:
    """The whole directory as LDIF; ``more`` entries come last."""
    parts = [
        entry(SUFFIX, "dcObject organization", ("o", "Example")),
        *map(unit, ("people", "groups", "logins", "big")),
    ]
    parts += [*_people(), *_groups()]
    parts += [
        account(f"many{number}", ("mail", "many@example.test"), ("maildrop", f"m{number}"), base=BIG)
        for number in range(25)
    ]
    parts.append(account(LOGIN_NAME, ("userPassword", LOGIN_PASSWORD), base=LOGINS))
    parts.append(
        account("nobody", ("uid", "pointed"), ("mail", "pointed@example.test"), ("maildrop", "at"), base=LOGINS)
    )
    for name in ("example.test", "example.net"):
        parts += [
            unit(name),
            account(f"in {name}", ("uid", "user1"), ("maildrop", f"of {name}"), base=f"ou={name},{SUFFIX}"),
        ]
    for name in ODD_NAMES:
        parts += [
            unit(name),
            account("only", ("uid", "user1"), ("maildrop", f"below {name}"), base=f"ou={dn_value(name)},{SUFFIX}"),
        ]
    return "".join([*parts, *more])
