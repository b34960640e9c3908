"""postgate check on filters behind the queue: options and tables that are wrong, transports that are not there."""

from __future__ import annotations

import pathlib

import pytest
from peers.site import site

from gateway.cli.check import check

pytestmark = pytest.mark.peer("root")

ROWS = """\
127.0.0.1:0 inet n - n - - smtpd
127.0.0.2:0 inet n - n - - smtpd -o content_filter=
filter unix - - n - 2 smtp
"""


def test_a_filter_with_all_that_belongs_to_it(tmp_path: pathlib.Path) -> None:
    options = "no_unknown_recipient_checks,no_header_body_checks,no_milters,no_address_mappings"
    found = check(site(tmp_path, ROWS, content_filter="filter:[127.0.0.1]:10024", receive_override_options=options))
    assert (found.errors, found.warnings) == ([], [])


@pytest.mark.parametrize(
    "row", ["127.0.0.3:0 inet n - n - - smtpd -o", "pickup unix n - n 60 1 pickup -o"], ids=["smtpd", "pickup"]
)
def test_an_option_that_there_is_not(tmp_path: pathlib.Path, row: str) -> None:
    found = check(site(tmp_path, f"{ROWS}{row} receive_override_options=no_milter\n"))
    assert [error.partition("; known")[0] for error in found.errors] == [
        'receive_override_options: unknown option "no_milter"'
    ]


def test_a_transport_that_there_is_not(tmp_path: pathlib.Path) -> None:
    directory = site(tmp_path, f"{ROWS}pickup unix n - n 60 1 pickup\n", content_filter="amavis:[127.0.0.1]:10024")
    found = check(directory)
    assert found.errors == []
    text = "content_filter: there is no amavis in master.cf, and mail for it is deferred"
    assert found.warnings == [
        f"{directory}/master.cf, line 1: 127.0.0.1:0/inet: {text}",
        f"{directory}/master.cf, line 4: pickup/unix: {text}",
    ]


def test_a_generic_table_that_cannot_be_opened(tmp_path: pathlib.Path) -> None:
    found = check(site(tmp_path, f"{ROWS}out unix - - n - - smtp -o smtp_generic_maps=texthash:/no/such\n"))
    assert len(found.errors) == 1
    assert "table texthash:/no/such: cannot open: No such file or directory" in found.errors[0]
