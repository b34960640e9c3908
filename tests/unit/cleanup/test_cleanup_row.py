"""Which settings the mappings have: those of main.cf and of a cleanup row, never those of an smtpd row."""

from __future__ import annotations

import pytest

from gateway.cleanup import cleanup_config
from gateway.config import Config

ROWS = """
25 inet n - n - - smtpd
26 inet n - n - - smtpd -o always_bcc=other -o cleanup_service_name=before
27 inet n - n - - smtpd -o cleanup_service_name=nowhere
28 inet n - n - - smtpd -o cleanup_service_name=smtp
smtp unix - - n - - smtp -o always_bcc=smtp
cleanup unix n - n - 0 cleanup
before unix n - n - 0 cleanup -o always_bcc=before
"""


@pytest.mark.parametrize(("at", "expected"), [(0, "main"), (1, "before"), (2, "main"), (3, "main")])
def test_settings(at: int, expected: str) -> None:
    main = Config.from_settings({"always_bcc": "main"}, ROWS)
    assert cleanup_config(main, main.for_service(main.services[at])).text("always_bcc") == expected


def test_the_row_that_all_have_unless_they_name_another() -> None:
    main = Config.from_settings({}, "cleanup unix n - n - 0 cleanup -o always_bcc=row\n25 inet n - n - - smtpd")
    assert cleanup_config(main, main.for_service(main.services[1])).text("always_bcc") == "row"
    assert cleanup_config(main, main).text("always_bcc") == "row"
