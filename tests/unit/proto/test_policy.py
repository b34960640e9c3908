"""The policy protocol's wire format: requests octet for octet, replies that are any octets at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proto.policy import REPLY_LIMIT, BadPolicyReply, PolicyRequest, parse_reply, reply_end

CLIENT: dict[str, Any] = {
    "protocol_state": "RCPT", "protocol_name": "ESMTP", "client_address": "192.0.2.1", "client_name": "c.example",
    "client_port": "4711", "reverse_client_name": "r.example", "server_address": "198.51.100.1", "server_port": "25",
}  # fmt: skip


def test_the_order_is_that_of_postfix() -> None:
    request = PolicyRequest(
        **CLIENT, helo_name="h.example", sender="a b@s.example", recipient="r@d.example", recipient_count=2,
        queue_id="4AB", instance="1.2.3.4", size=99, stress="yes", policy_context="ours",
    )  # fmt: skip
    assert request.to_wire() == (
        b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.1\n"
        b"client_name=c.example\nclient_port=4711\nreverse_client_name=r.example\nserver_address=198.51.100.1\n"
        b"server_port=25\nhelo_name=h.example\nsender=a b@s.example\nrecipient=r@d.example\nrecipient_count=2\n"
        b"queue_id=4AB\ninstance=1.2.3.4\nsize=99\netrn_domain=\nstress=yes\nsasl_method=\nsasl_username=\n"
        b"sasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\n"
        b"encryption_protocol=\nencryption_cipher=\nencryption_keysize=0\npolicy_context=ours\n\n"
    )


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("a\nrecipient=x", b"a?recipient=x"),
        ("a\0b\rc", b"a?b?c"),
        ("jörg@ex.example", "jörg@ex.example".encode()),
        ("\udcff@ex.example", b"\xff@ex.example"),
        ("a=b", b"a=b"),
    ],
)
def test_no_value_can_pass_for_more(value: str, sent: bytes) -> None:
    wire = PolicyRequest(**CLIENT, sender=value).to_wire()
    assert b"\nsender=" + sent + b"\nrecipient=\n" in wire
    assert wire.count(b"\n") == 30


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_request_has_always_the_same_lines(value: str) -> None:
    wire = PolicyRequest(**CLIENT, sender=value, helo_name=value, policy_context=value).to_wire()
    assert wire.count(b"\n") == 30
    assert wire.endswith(b"\n\n")
    assert wire.index(b"\n\n") == len(wire) - 2


@pytest.mark.parametrize(
    ("reply", "action"),
    [
        (b"action=DUNNO\n\n", "DUNNO"),
        (b"action=REJECT a=b\n\n", "REJECT a=b"),
        (b"foo=bar\naction=OK\n\n", "OK"),
        (b"foo\n=x\naction=OK\nfoo\n\n", "OK"),
        (b"action=first\naction=second\n\n", "first"),
        (b"action=\n\n", ""),
        ("action=REJECT é\n\n".encode(), "REJECT é"),
        (b"action=DUNNO\r\n\n", "DUNNO\r"),
    ],
)
def test_replies(reply: bytes, action: str) -> None:
    assert reply_end(bytearray(reply)) == len(reply)
    assert reply_end(bytearray(reply + b"\naction=OK\n\n")) == len(reply)
    assert parse_reply(reply) == action
    for size in range(len(reply)):
        assert reply_end(bytearray(reply[:size])) == 0


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (b"\n", "no attribute"),
        (b"\naction=OK\n\n", "no attribute"),
        (b"action=OK\r\n\r\n", "CR LF"),
        (b"\r\naction=OK\n", "CR LF"),
        (b"x" * REPLY_LIMIT, "longer than 8192"),
        (b"action=" + b"x" * REPLY_LIMIT + b"\n\n", "longer than 8192"),
        (b"foo=bar\n\n", 'no action in "foo=bar'),
        (b"action = OK\n\n", "no action"),
        (b"ACTION=OK\n\n", "no action"),
        (b"action\n\n", "without a value"),
        (b"action=OK\0\n\n", 'a NUL in "OK."'),
        (b"action=REJECT \xff\xfe\n\n", "malformed UTF-8"),
    ],
)
def test_what_is_no_reply(reply: bytes, problem: str) -> None:
    with pytest.raises(BadPolicyReply, match=problem.replace('"OK."', r'"OK\?"')):
        parse_reply(reply[: reply_end(bytearray(reply))])


@given(st.lists(st.sampled_from([b"\n", b"\r", b"action", b"=", b"OK", b"\0", b"\xff", b" x"]) | st.binary(max_size=9)))
def test_any_octets_are_a_reply_or_refused(pieces: list[bytes]) -> None:
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        try:
            end = reply_end(buffer)
            action = parse_reply(bytes(buffer[:end])) if end else None
        except BadPolicyReply as error:
            assert str(error).isprintable()
            return
        if action is not None:
            assert "\n" not in action
            assert "\0" not in action
            assert end <= len(buffer)
            return
