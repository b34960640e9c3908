"""postcat: whose mail it is, as XFORWARD told."""

from __future__ import annotations

import pytest

from gateway.cli.postcat import envelope_records
from gateway.model.address import Address
from gateway.model.envelope import ClientInfo, Envelope, Recipient

CLIENT = ClientInfo("filter.example", "127.0.0.1", "99", "filter", "ESMTP")


@pytest.mark.parametrize(
    ("forward", "name", "ident"),
    [
        (None, "filter.example", []),
        (ClientInfo("c.example", "192.0.2.1", ident="4Q"), "c.example", ["log_ident=4Q"]),
        (ClientInfo(name="", ident="4Q", source=""), "filter.example", ["log_ident=4Q"]),
    ],
)
def test_the_client_is_the_one_that_was_told(forward: ClientInfo | None, name: str, ident: list[str]) -> None:
    envelope = Envelope("4Q", Address.NULL, [Recipient(Address("r", "b.example"))], 1.0, client=CLIENT, forward=forward)
    attributes = [value for record, value in envelope_records(envelope) if record == "named_attribute"]
    assert f"log_client_name={name}" in attributes
    assert [attribute for attribute in attributes if attribute.startswith("log_ident")] == ident
