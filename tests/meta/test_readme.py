"""What the README shows works."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.testing import InProcessGateway

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_plugin_runs(postgate: Callable[..., InProcessGateway], tmp_path: Path) -> None:
    source = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert source is not None
    path = tmp_path / "quota.py"
    path.write_text(source[1])
    path.chmod(0o644)
    gateway = postgate({"plugins": str(path)})
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.sendmail("a@b.example", ["ann@example.com"], b"Subject: s\r\n\r\nx\r\n")
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("a@b.example", ["bob@example.com"], b"Subject: s\r\n\r\nx\r\n")
        with pytest.raises(smtplib.SMTPDataError, match="A subject is required"):
            client.sendmail("a@b.example", ["ann@example.com"], b"\r\nx\r\n")
    assert refused.value.recipients["bob@example.com"][0] == 452
    assert b"X-Checked-By: quota.py\r\n" in gateway.queued[0].content.head


@pytest.mark.parametrize("name", sorted(set(re.findall(r"docs/[a-z-]+\.md|[A-Z]+\.md|contrib/[a-z-]+", README))))
def test_what_it_points_to_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    missing = [
        name
        for name in re.findall(r"(?:`|^    )make ([a-z-]+)", README, re.M)
        if not re.search(rf"^{name}:", makefile, re.M)
    ]
    assert missing == []
