"""Every table of a configuration, opened and looked at."""

from __future__ import annotations

import os
import pathlib

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.lint import lint_configuration_files, lint_tables
from gateway.maps.lint.findings import Report

ME = frozenset({os.geteuid()})


def findings(directory: pathlib.Path, services: str = "", **settings: str) -> list[str]:
    config = Config.from_settings({"mail_owner": "root", **settings}, services, directory=str(directory))
    report = Report()
    asked: list[str] = []
    lint_tables(config, Tables(config), report, trusted=ME, progress=asked.append)
    assert len(asked) <= 1 or asked[0].startswith("table 1 of ")
    return [f"{found.severity.value} {found}".replace(f"{directory}/", "") for found in report.findings]


def write(directory: pathlib.Path, **files: str) -> None:
    for name, text in files.items():
        (directory / name).write_text(text)


def test_good_tables_have_no_findings(tmp_path: pathlib.Path) -> None:
    write(tmp_path, a="example.com OK\n", c="10.0.0.0/8 OK\n::/0 x\n", r="/a/ b\n/c/ d\n", more="10.0.0.0/8\n")
    assert (
        findings(
            tmp_path,
            smtpd_client_restrictions="check_client_access texthash:a, check_client_access cidr:c, reject",
            smtpd_helo_restrictions="check_helo_access regexp:r",
            mynetworks=f"{tmp_path}/more",
        )
        == []
    )


def test_a_table_that_cannot_be_opened_is_told_with_who_names_it(tmp_path: pathlib.Path) -> None:
    write(tmp_path, bad="/(/ x\n")
    assert findings(tmp_path, virtual_alias_maps="texthash:none", transport_maps="regexp:bad nosuch:y") == [
        "error none: table texthash:none: cannot open: No such file or directory (virtual_alias_maps)",
        r"error bad, line 1: Unmatched ( or \( (transport_maps)",
        'error transport_maps: table nosuch:y: unknown type "nosuch"; known: ' + ", ".join(Tables(Config({})).types),
    ]


def test_warnings_of_opening_and_of_looking(tmp_path: pathlib.Path) -> None:
    write(tmp_path, a="x.org y\nx.org z\n@x.org u\n", r="/a/ b\n/a/ c\n", c="::/0 x\n::1 y\n")
    (tmp_path / "a").chmod(0o666)
    found = findings(
        tmp_path,
        "smtp inet n - n - - smtpd -o smtpd_client_restrictions=check_client_access,cidr:c",
        transport_maps="texthash:a",
        header_checks="regexp:r",
        smtpd_data_restrictions="check_client_access cidr:{ {10.0.0.0/8 x}, {10.1.1.1 y} }",
    )
    assert found == [
        'warning a, line 2: duplicate entry: "x.org"',
        "warning a: everybody may write to it",
        'warning a, line 3: "@x.org" is never asked for: write x.org without @',
        "warning r, line 2: is never reached: line 1 has the same pattern",
        "warning cidr:{ {10.0.0.0/8 x}, {10.1.1.1 y} }, line 2: is never reached: line 1 has the whole network",
        "warning c, line 2: is never reached: line 1 has the whole network",
    ]


def test_the_source_of_a_database_is_read_too(tmp_path: pathlib.Path) -> None:
    write(tmp_path, **{"m": "a x\nA y\nnovalue\n", "m.cdb": ""})
    found = findings(tmp_path, canonical_maps="cdb:m")
    assert found[0].startswith("error m.cdb: table cdb:m: ")
    assert found[1:] == [
        'warning m, line 2: "a" stands in line 1 already; that one counts',
        "warning m, line 3: expected format: key whitespace value",
    ]


def test_a_list_file_that_is_missing(tmp_path: pathlib.Path) -> None:
    assert findings(tmp_path, mydestination=f"{tmp_path}/none") == ["error none: cannot open: no such file"]


def test_a_password_for_everybody(tmp_path: pathlib.Path) -> None:
    write(tmp_path, **{"p.cf": "dbname = d\nquery = SELECT 1\npassword = x\n"})
    found = findings(tmp_path, virtual_alias_maps=f"pgsql:{tmp_path}/p.cf")
    assert found[-1] == "warning p.cf, line 3: holds a password, and everybody may read it"


def test_the_configuration_files_themselves(tmp_path: pathlib.Path) -> None:
    report = Report()
    write(tmp_path, **{"main.cf": "", "master.cf": ""})
    (tmp_path / "main.cf").chmod(0o664)
    lint_configuration_files(str(tmp_path), report, ME)
    assert [str(found) for found in report.findings] == [f"{tmp_path}/main.cf: its group may write to it"]
