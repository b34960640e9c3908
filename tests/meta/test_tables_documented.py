"""docs/tables.md names every table type that there is, and no other."""

import re
from pathlib import Path

from gateway.config import Config
from gateway.maps import Tables

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def test_the_page_names_the_types_that_exist() -> None:
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    named = {kind for row in rows for kind in re.findall(r"`([a-z]+):", row)}
    assert named == {*Tables(Config({})).types, "proxy"}
