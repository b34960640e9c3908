"""Finding, validating and ordering plugins."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.config import Config, default_registry
from gateway.hooks import EditList, Session, Verdict, blocking, hookimpl
from gateway.hooks.chain import Runtime
from gateway.hooks.failure import FailurePolicy
from gateway.hooks.manager import PluginManager, installed_plugins
from gateway.hooks.options import parse_options
from gateway.model.errors import ConfigError
from gateway.observe import Counters, MailLog


class Good:
    @hookimpl
    def mail(self, sender: object) -> None:
        return None


class Other:
    @hookimpl
    def mail(self, params: object, session: Session) -> None:
        return None

    @hookimpl
    def data(self, edits: EditList, session: Session) -> None:
        return None


def refusal(**plugins: object) -> str:
    with pytest.raises(ConfigError) as caught:
        PluginManager([], objects=plugins)
    return str(caught.value)


def runtime() -> Runtime:
    return Runtime(MailLog.memory().logger("smtpd"), Counters())


def test_built_in_is_installed_and_loads() -> None:
    assert "access" in [plugin.name for plugin in installed_plugins()]
    manager = PluginManager(["access"])
    assert manager.names == ("access",)
    assert "restrictions" in manager.hooks_of("access")
    assert "check_recipient_access" in manager.registered("restrictions")


def test_unknown_plugin_names_the_installed_ones() -> None:
    with pytest.raises(ConfigError, match=r"plugin nope is not installed \(installed: .*access"):
        PluginManager(["nope"])


def test_a_plugin_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="access is listed twice"):
        PluginManager(["access", "access"])


def test_misspelt_hook_is_refused() -> None:
    class Misspelt:
        @hookimpl
        def recpt(self, session: Session) -> None:
            return None

    assert "plugin bad: " in refusal(bad=Misspelt()) and "recpt" in refusal(bad=Misspelt())


def test_misspelt_argument_is_refused() -> None:
    class Misspelt:
        @hookimpl
        def rcpt(self, adress: object) -> None:
            return None

    assert "adress" in refusal(bad=Misspelt())


def test_forgotten_mark_is_refused() -> None:
    class Forgotten:
        @hookimpl
        def mail(self) -> None:
            return None

        def rcpt(self, session: Session) -> None:
            return None

    assert "rcpt lacks the @hookimpl mark" in refusal(bad=Forgotten())


def test_wrappers_async_observers_and_empty_plugins_are_refused() -> None:
    class Wraps:
        @hookimpl(wrapper=True)
        def mail(self) -> Any:
            return (yield)

    class AsyncObserver:
        @hookimpl
        async def disconnect(self) -> None:
            return None

    class BlockingAsync:
        @hookimpl
        @blocking
        async def mail(self) -> None:
            return None

    assert "wrappers are not called" in refusal(bad=Wraps())
    assert "disconnect must not be async" in refusal(bad=AsyncObserver())
    assert "@blocking is for sync stage hooks" in refusal(bad=BlockingAsync())
    assert "implements no hook" in refusal(bad=SimpleNamespace())


def test_chain_follows_the_order_given_and_takes_arguments_by_name() -> None:
    config = Config.from_settings({"compatibility_level": "3.7"})
    manager = PluginManager([], objects={"second": Other(), "first": Good()})
    chain = manager.chain("mail", config, runtime())
    assert [(link.plugin, link.arguments) for link in chain.links] == [("second", (2, 0)), ("first", (1,))]
    data = manager.chain("data", config, runtime())
    assert [(link.arguments, link.pen_at) for link in data.links] == [((0,), 0)]
    assert not manager.chain("rcpt", config, runtime())


def test_options_of_an_entry() -> None:
    options = parse_options(
        "{ scan, timeout=5s, default_action=accept, data_timeout = 2m, data_default_action=tempfail }"
    )
    assert options.name == "scan"
    assert (options.timeout("mail", 30.0), options.timeout("data", 30.0)) == (5.0, 120.0)
    assert options.policy("mail", FailurePolicy.REJECT) is FailurePolicy.ACCEPT
    assert options.policy("data", FailurePolicy.REJECT) is FailurePolicy.TEMPFAIL


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("{ scan, timeout=soon }", "scan: timeout 'soon'"),
        ("{ scan, default_action=maybe }", "want one of tempfail, accept, reject, hold, shutdown, skip"),
        ("{ scan, colour=red }", "option 'colour=red'"),
        ("{ scan, mial_timeout=3s }", "option 'mial_timeout=3s'"),
        ("{ }", "empty"),
    ],
)
def test_bad_options_say_what_is_wanted(entry: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_options(entry)
    assert text in str(caught.value)


def test_a_plugin_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "veto.py"
    path.write_text(
        "from gateway.hooks import hookimpl, Verdict\n"
        "@hookimpl\ndef mail(session): return Verdict.reject('no')\n"
        "class Second:\n    @hookimpl\n    def rcpt(self): return None\n"
    )
    path.chmod(0o644)
    assert PluginManager([str(path)]).hooks_of("veto") == ["mail"]
    assert PluginManager([f"{path}:Second"]).hooks_of("veto") == ["rcpt"]
    with pytest.raises(ConfigError, match="has no Third"):
        PluginManager([f"{path}:Third"])


def test_a_plugin_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "veto.py"
    path.write_text("x = 1\n")
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="writable by nobody else"):
        PluginManager([str(path)])
    with pytest.raises(ConfigError, match="No such file"):
        PluginManager([str(tmp_path / "none.py")])


def test_a_plugin_that_breaks_while_it_is_made_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("1 / 0\n")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="plugin broken: import: ZeroDivisionError"):
        PluginManager([str(path)])
    assert os.path.exists(path)


def test_two_plugins_cannot_register_the_same_name() -> None:
    class Registers:
        @hookimpl
        def restrictions(self, register: Any) -> None:
            register("reject_it", object())

    manager = PluginManager([], objects={"one": Registers(), "two": Registers()})
    with pytest.raises(ConfigError, match="plugin two: restrictions: reject_it is taken by plugin one"):
        manager.registered("restrictions")


def test_parameters_of_a_plugin_are_known_and_checked() -> None:
    from gateway.config import Kind, Parameter

    class Adds:
        @hookimpl
        def parameters(self, registry: Any) -> None:
            registry.add(Parameter("my_limit", Kind.INTEGER, "7", "how many"))

        @hookimpl
        def mail(self) -> Verdict | None:
            return None

    registry = default_registry()
    PluginManager([], objects={"adds": Adds()}).add_parameters(registry)
    assert Config.from_settings({}, registry=registry).integer("my_limit") == 7
    with pytest.raises(ConfigError, match="my_limit"):
        Config.from_settings({"my_limit": "many"}, registry=registry)
