"""The channel between master and worker."""

import socket

import pytest

from gateway.master.channel import Failed, Ready, Reload, Reloaded, Start, Stop, Unpacker, WorkerChannel, pack
from gateway.model.errors import RemoteProtocolError

MESSAGES = [Ready(), Reloaded("no"), Reloaded(), Failed("out of luck")]


def test_messages_survive_every_split() -> None:
    wire = b"".join(map(pack, MESSAGES))
    for cut in range(len(wire) + 1):
        unpacker = Unpacker()
        assert unpacker.feed(wire[:cut]) + unpacker.feed(wire[cut:]) == MESSAGES


@pytest.mark.parametrize("wire", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc0", pack(Stop(1.0))])
def test_nonsense_is_refused(wire: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Unpacker().feed(wire)


def test_the_worker_reads_its_orders_and_then_the_end() -> None:
    ours, theirs = socket.socketpair()
    channel = WorkerChannel(theirs)
    orders = [Start(b"config", 3, [(5, 0)], {"smtpd": "a:b"}), Reload(b"new"), Stop(2.5)]
    ours.sendall(b"".join(map(pack, orders)))
    channel.send(Ready())
    assert Unpacker().feed(ours.recv(100)) == [Ready()]
    ours.close()
    assert [channel.receive() for _ in range(4)] == [*orders, None]
    channel.send(Ready())  # nobody there: no exception
    channel.close()
    assert channel.receive() is None


def test_the_worker_refuses_nonsense() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b"\x00\x00\x00\x01\xc0")
        channel = WorkerChannel(theirs)
        with pytest.raises(RemoteProtocolError):
            channel.receive()
        channel.close()
