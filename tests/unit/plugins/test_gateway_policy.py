"""check_policy_service, loaded as any plugin is: what becomes of each answer, and of none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from peers.policy_server import PolicyServer
from peers.ports import free_port
from peers.scripted import CLOSE, HANG, ScriptedServer

from gateway.config import Config
from gateway.hooks.manager import PluginManager
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.errors import ConfigError
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.restrictions import RestrictionEngine


class NoDns:
    async def mx(self, domain: str) -> list[tuple[int, str]]:
        raise AssertionError

    async def addresses(self, host: str) -> list[str]:
        raise AssertionError

    async def lookup(self, name: str, kind: str) -> tuple[str, ...]:
        raise AssertionError


class Setup:
    """An engine with the plugin, and a session at RCPT."""

    def __init__(self, restriction: str, **more: str) -> None:
        settings = {"compatibility_level": "3.6", "mydestination": "local.example", "local_recipient_maps": ""}
        settings |= {"smtpd_recipient_restrictions": restriction, "smtpd_policy_service_retry_delay": "1"}
        config = Config.from_settings(settings | more)
        manager = PluginManager(config.words("plugins"))
        self.tables = Tables(config)
        self.engine = RestrictionEngine(config, self.tables, NoDns(), manager.registered("restrictions"))
        self.session = Session(Client("203.0.113.9", name="mail.client.example", name_code=2))
        self.session.helo, self.session.sender = "h.example", Address("s", "sender.example")
        self.session.recipient = Address("u", "local.example")

    def at_rcpt(self) -> Verdict | None:
        return asyncio.run(self.engine.at_rcpt(self.session))


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between attempts, which are not waited for."""
    pauses: list[float] = []

    async def sleep(delay_s: float) -> None:
        pauses.append(delay_s)

    monkeypatch.setattr("gateway_policy.client.asyncio.sleep", sleep)
    return pauses


@pytest.fixture
def answering() -> Iterator[Callable[[str], PolicyServer]]:
    servers: list[PolicyServer] = []

    def start(action: str) -> PolicyServer:
        servers.append(PolicyServer(lambda attributes: action).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


@pytest.mark.parametrize(
    ("action", "reply"),
    [
        ("DUNNO", ""),
        ("dunno whatever", ""),
        ("OK", ""),
        ("", ""),
        ("REJECT", "554 5.7.1 <u@local.example>: Recipient address rejected: Access denied"),
        ("reject go away", "554 5.7.1 <u@local.example>: Recipient address rejected: go away"),
        ("550 5.1.1 nobody", "550 5.1.1 <u@local.example>: Recipient address rejected: nobody"),
        ("DEFER 4.2.0 later", "450 4.2.0 <u@local.example>: Recipient address rejected: later"),
        ("DEFER_IF_PERMIT wait", "450 4.7.1 <u@local.example>: Recipient address rejected: wait"),
        ("reject_non_fqdn_sender, reject", "554 5.7.1 <u@local.example>: Recipient address rejected: Access denied"),
        ("no_such_thing", "451 4.3.5 Server configuration error"),
        ("check_recipient_access hash:/etc/shadow", "451 4.3.5 Server configuration error"),
        ("check_policy_service nowhere", "451 4.3.5 Server configuration error"),
    ],
)
def test_answers(action: str, reply: str, answering: Callable[[str], PolicyServer]) -> None:
    setup = Setup(f"check_policy_service {answering(action).endpoint}")
    verdict = setup.at_rcpt()
    assert (f"{verdict.code} {verdict.enhanced} {verdict.text}" if verdict else "") == reply
    if verdict and not verdict.text.startswith("Server"):
        assert "check_policy_service" in setup.session.ledger[-1].verdict.reason or action.startswith("reject_")


@pytest.mark.parametrize(
    ("action", "noted"),
    [
        ("HOLD look", Action.HOLD), ("FILTER smtp:[127.0.0.1]", Action.FILTER), ("PREPEND X-A: b", Action.PREPEND),
        ("REDIRECT a@b.example", Action.REDIRECT), ("BCC a@b.example", Action.BCC), ("WARN odd", Action.WARN),
        ("INFO seen", Action.INFO), ("DISCARD", Action.DISCARD),
    ],
)  # fmt: skip
def test_what_is_noted(action: str, noted: Action, answering: Callable[[str], PolicyServer]) -> None:
    setup = Setup(f"check_policy_service {answering(action).endpoint}")
    assert setup.at_rcpt() is None
    assert [verdict.action for verdict in setup.session.actions] == [noted]


def test_a_bad_operand_is_ignored_and_told(answering: Callable[[str], PolicyServer]) -> None:
    server = answering("FILTER nowhere")
    setup = Setup(f"check_policy_service {server.endpoint}")
    assert setup.at_rcpt() is None
    assert setup.tables.warnings == [f"policy server 127.0.0.1:{server.port}: requires transport:destination"]


def test_prepend_is_too_late_after_the_content(answering: Callable[[str], PolicyServer]) -> None:
    server = answering("PREPEND X-A: b")
    setup = Setup("", smtpd_end_of_data_restrictions=f"check_policy_service {server.endpoint}")
    assert asyncio.run(setup.engine.at_end_of_data(setup.session)) is None
    assert setup.session.actions == []
    assert "PREPEND comes too late" in setup.tables.warnings[0]


def test_servers_that_name_each_other_come_to_an_end() -> None:
    with PolicyServer(lambda attributes: "DUNNO") as server:
        server.decide = lambda attributes: f"check_policy_service {server.endpoint}"
        verdict = Setup(f"check_policy_service {server.endpoint}").at_rcpt()
        assert verdict is not None
        assert (verdict.code, verdict.enhanced) == (451, "4.3.5")
        assert 10 < len(server.requests) < 50


def test_warn_if_reject(answering: Callable[[str], PolicyServer]) -> None:
    setup = Setup(f"warn_if_reject check_policy_service {answering('REJECT no').endpoint}")
    assert setup.at_rcpt() is None


def test_greylisting_for_some(answering: Callable[[str], PolicyServer]) -> None:
    """SMTPD_POLICY_README: a table names a restriction class, and that the server."""
    server = answering("defer_if_permit Service temporarily unavailable")
    classes = {"smtpd_restriction_classes": "greylist", "greylist": f"check_policy_service {server.endpoint}"}
    setup = Setup("check_sender_access inline:{sender.example=greylist}", **classes)
    verdict = setup.at_rcpt()
    assert verdict is not None
    assert verdict.text.endswith("rejected: Service temporarily unavailable")
    assert "relay" not in verdict.reason
    setup.session.sender = Address("s", "other.example")
    assert setup.at_rcpt() is None
    assert len(server.requests) == 1


def test_one_connection_for_lists_that_name_the_same_server(answering: Callable[[str], PolicyServer]) -> None:
    server = answering("DUNNO")
    check = f"check_policy_service {server.endpoint}"
    setup = Setup(f"{check}, {check}", smtpd_client_restrictions=check, smtpd_sender_restrictions=check)
    for _ in range(3):
        assert setup.at_rcpt() is None
    assert (len(server.requests), server.connections) == (12, 1)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (CLOSE, "the server closed the connection"),
        ((b"action=O", CLOSE), "the server closed the connection"),
        (b"garbage\n\n", 'bad reply: no action in "garbage'),
        (b"action=REJECT \xff\n\n", "bad reply: malformed UTF-8"),
        (b"action=OK\0\n\n", "bad reply: a NUL"),
        (b"x" * 2_000_000, "bad reply: longer than 8192 octets"),
        (b"\n\n\n\n", "bad reply: no attribute"),
        (b"action=OK\r\n\r\n", "bad reply: lines end in CR LF"),
    ],
)
def test_no_answer_is_a_temporary_error(answer: object, problem: str, no_pause: list[float]) -> None:
    with ScriptedServer(lambda request: answer) as server:  # type: ignore[arg-type,return-value]
        setup = Setup(f"check_policy_service inet:127.0.0.1:{server.port}, permit")
        verdict = setup.at_rcpt()
        assert verdict is not None
        assert (verdict.code, verdict.enhanced) == (451, "4.3.5")
        assert verdict.text == "<u@local.example>: Recipient address rejected: Server configuration problem"
        (warning,) = setup.tables.warnings
        assert warning.startswith(f"problem talking to server 127.0.0.1:{server.port}: {problem}")
        assert warning.startswith(setup.session.ledger[-1].verdict.reason)
        assert server.connections == 2
    assert no_pause == [1]


def test_a_server_that_is_down(no_pause: list[float]) -> None:
    port = free_port()
    setup = Setup(f"check_policy_service inet:127.0.0.1:{port}", smtpd_policy_service_try_limit="3")
    verdict = setup.at_rcpt()
    assert verdict is not None
    assert verdict.code == 451
    assert setup.tables.warnings == [f"problem talking to server 127.0.0.1:{port}: Connection refused"]
    assert no_pause == [1, 1]


@pytest.mark.parametrize("answer", [(b"action=", HANG)])
def test_a_server_that_never_answers(answer: object, no_pause: list[float]) -> None:
    with ScriptedServer(lambda request: answer) as server:  # type: ignore[arg-type,return-value]
        setup = Setup(f"check_policy_service {{ inet:127.0.0.1:{server.port}, timeout=1s, try_limit=1 }}")
        verdict = setup.at_rcpt()
        assert verdict is not None
        assert verdict.code == 451
        assert setup.tables.warnings == [f"problem talking to server 127.0.0.1:{server.port}: no answer within 1s"]


@pytest.mark.parametrize(
    ("default_action", "code"),
    [("DUNNO", 0), ("OK", 0), ("450 4.7.0 try later", 450), ("554 no", 554), ("defer_if_permit greylisting is down", 450),
     ("reject_non_fqdn_sender, reject", 554), ("check_sender_access inline:{sender.example=REJECT}", 554)],
)  # fmt: skip
def test_the_default_action(default_action: str, code: int, no_pause: list[float]) -> None:
    port = free_port()
    setup = Setup(f"check_policy_service {{ inet:127.0.0.1:{port} {{ default_action = {default_action} }} }}")
    verdict = setup.at_rcpt()
    assert (verdict.code if verdict else 0) == code
    assert f"problem talking to server 127.0.0.1:{port}: Connection refused" in setup.tables.warnings


@pytest.mark.parametrize(
    ("default_action", "problem"),
    [("no_such_thing", 'unknown restriction "no_such_thing"'), ("check_sender_access", "needs 1 argument"),
     ("check_sender_access texthash:/nonexistent/table", "/nonexistent/table"), ("warn_if_reject", "nothing follows"),
     ("permit, reject_rhsbl_sendr x.example", "did you mean reject_rhsbl_sender")],
)  # fmt: skip
def test_a_default_action_that_nothing_can_do_stops_the_start(default_action: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as own:
        Setup(f"check_policy_service {{ inet:127.0.0.1:1 {{ default_action = {default_action} }} }}")
    assert "default_action" in str(own.value)
    with pytest.raises(ConfigError, match=problem) as everybodys:
        Setup("check_policy_service inet:127.0.0.1:1", smtpd_policy_service_default_action=default_action)
    assert everybodys.value.parameter == "smtpd_policy_service_default_action"


def test_a_default_action_may_ask_another_server(no_pause: list[float]) -> None:
    port = free_port()
    with ScriptedServer(lambda request: b"action=550 5.7.1 says the other\n\n") as server:
        other = f"check_policy_service inet:127.0.0.1:{server.port}"
        setup = Setup(f"check_policy_service inet:127.0.0.1:{port}", smtpd_policy_service_default_action=other)
        verdict = setup.at_rcpt()
        assert verdict is not None and verdict.code == 550 and "says the other" in verdict.text


def test_a_kept_connection_that_was_closed_costs_no_pause(no_pause: list[float]) -> None:
    with ScriptedServer(lambda request: b"action=DUNNO\n\n") as server:
        setup = Setup(f"check_policy_service inet:127.0.0.1:{server.port}")
        for _ in range(3):
            assert setup.at_rcpt() is None
            server.stop()
            server.start()
        assert len(server.requests) == server.connections == 3
    assert no_pause == []


def test_more_than_a_reply_is_never_an_answer_to_the_next_question() -> None:
    with ScriptedServer(lambda request: b"action=DUNNO\n\naction=REJECT\n\n") as server:
        setup = Setup(f"check_policy_service inet:127.0.0.1:{server.port}")
        for _ in range(3):
            assert setup.at_rcpt() is None
        assert server.connections == 3


def test_a_session_that_ends_meanwhile_leaves_nothing_behind() -> None:
    with ScriptedServer(lambda request: HANG) as server:
        setup = Setup(f"check_policy_service inet:127.0.0.1:{server.port}")

        async def leave() -> None:
            task = asyncio.ensure_future(setup.engine.at_rcpt(setup.session))
            async with asyncio.timeout(5):
                while not server.requests:
                    await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(leave())


def test_many_questions_at_a_time(answering: Callable[[str], PolicyServer]) -> None:
    server = answering("DUNNO")
    setup = Setup(f"check_policy_service {server.endpoint}")

    def another() -> Session:
        session = Session(Client("203.0.113.9"))
        session.sender, session.recipient = Address("s", "sender.example"), Address("u", "local.example")
        return session

    async def all_at_once() -> list[Verdict | None]:
        return await asyncio.gather(*(setup.engine.at_rcpt(another()) for _ in range(300)))

    assert set(asyncio.run(all_at_once())) == {None}
    assert len(server.requests) == 300
    assert server.connections <= 100


def test_questions_of_a_connection_may_be_counted(answering: Callable[[str], PolicyServer]) -> None:
    server = answering("DUNNO")
    setup = Setup(f"check_policy_service {server.endpoint}", smtpd_policy_service_request_limit="2")
    for _ in range(5):
        assert setup.at_rcpt() is None
    assert server.connections == 3


def test_a_kept_connection_that_hangs_is_given_up(no_pause: list[float]) -> None:
    with ScriptedServer(lambda request: b"action=DUNNO\n\n") as server:
        setup = Setup(f"check_policy_service {{ inet:127.0.0.1:{server.port}, timeout=1s, try_limit=1 }}")
        assert setup.at_rcpt() is None
        server.answer = lambda request: HANG
        verdict = setup.at_rcpt()
        assert verdict is not None
        assert verdict.code == 451
        assert server.connections == 1
        server.answer = lambda request: b"action=DUNNO\n\n"
        assert setup.at_rcpt() is None
        assert server.connections == 2


def test_what_is_wrong_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="check_policy_service is of the plugin policy"):
        Setup("check_policy_service unix:policy", plugins="access")
    with pytest.raises(ConfigError, match=r'check_policy_service: policy server "nowhere": expected inet:host:port'):
        Setup("check_policy_service nowhere")
    with pytest.raises(ConfigError, match="needs 1 argument"):
        Setup("check_policy_service")
