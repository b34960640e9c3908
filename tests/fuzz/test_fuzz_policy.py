"""Hostile policy servers: any octets in any pieces are one action, or none, within bounds.

Seeds are replies as they came over the wire, in ``seeds/``; each is also cut and mixed with the others.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.client import Client
from gateway.model.restriction import RECIPIENT
from gateway.model.session import Session
from gateway.proto.policy import REPLY_LIMIT, BadPolicyReply, parse_reply, reply_end
from gateway.restrictions.access_action import parse_action

SEEDS = {path.name: path.read_bytes() for path in sorted((Path(__file__).parent / "seeds").glob("policy-*"))}
PIECE = 64

pieces = st.one_of(
    st.sampled_from(sorted(SEEDS)).map(SEEDS.__getitem__),
    st.sampled_from(
        [b"\n", b"\r\n", b"action=", b"=", b"\0", b"\xff", b"FILTER x:", b"PREPEND ", b"450 4.2.0 ", b"x" * 3000]
    ),
    st.binary(max_size=30),
)


def drive(octets: bytes, size: int) -> str | None:
    """What a client makes of octets that come in pieces of ``size``: the action, or None while there is no end."""
    buffer = bytearray()
    for at in range(0, len(octets), size):
        buffer += octets[at : at + size]
        assert len(buffer) < REPLY_LIMIT + size
        if end := reply_end(buffer):
            return parse_reply(bytes(buffer[:end]))
    return None


def outcome(octets: bytes, size: int) -> str | None:
    """As :func:`drive`; a failure is what it says."""
    try:
        return drive(octets, size)
    except BadPolicyReply as failure:
        return f"failure: {failure}"


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_do_not_depend_on_how_they_are_cut(name: str) -> None:
    whole = SEEDS[name][: SEEDS[name].index(b"\n\n") + 2] if b"\n\n" in SEEDS[name] else SEEDS[name]
    found = {outcome(whole, size) for size in range(1, len(whole) + 1)}
    assert len(found) == 1
    assert found != {None}


@given(st.lists(pieces, max_size=12).map(b"".join), st.integers(1, PIECE))
def test_any_octets(octets: bytes, size: int) -> None:
    action = outcome(octets, size)
    if action is None:
        assert len(octets) < REPLY_LIMIT
        return
    assert "\n" not in action
    assert "\0" not in action
    # Whatever it is, it is policy's to read: never an exception, never a line end in a reply.
    parsed = parse_action(action)
    session = Session(Client("203.0.113.9"))
    verdict = parsed.verdict(RECIPIENT, session, reject_code=554, defer_code=450)
    assert verdict is None or not {"\r", "\n"} & set(verdict.text)
