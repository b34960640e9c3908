"""Settings, and the EHLO keywords that follow from them."""

from __future__ import annotations

import msgspec
import pytest

from gateway.proto.smtp_settings import BareNewline, SmtpdSettings


def test_keywords() -> None:
    assert SmtpdSettings().keywords == (
        "PIPELINING", "SIZE 10240000", "VRFY", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING",
    )  # fmt: skip
    bare = SmtpdSettings(
        message_size_limit=0, disable_vrfy=True, smtputf8_enable=False, discard_ehlo_keywords=frozenset({"dsn", "size"})
    )
    assert bare.keywords == ("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "CHUNKING")
    assert msgspec.structs.replace(bare, discard_ehlo_keywords=frozenset()).keywords[1] == "SIZE"


def test_bare_newline_values() -> None:
    assert BareNewline.of("Yes") is BareNewline.NORMALIZE
    assert BareNewline.of("reject") is BareNewline.REJECT
    with pytest.raises(ValueError, match="perhaps"):
        BareNewline.of("perhaps")
