"""The log: Postfix's line form, one write a turn, nothing lost that must be seen."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.model.errors import ConfigError
from gateway.observe import MailLog
from gateway.observe.log import printable

NOON = 1_700_000_000.0


class Settings:
    def __init__(self, **values: str) -> None:
        self.values = {"syslog_facility": "mail", "syslog_name": "postfix", "maillog_file": ""} | values

    def text(self, name: str) -> str:
        return self.values[name]

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(self.values[name].replace(",", " ").split())


def file_settings(path: Path) -> Settings:
    return Settings(maillog_file=str(path), maillog_file_prefixes=str(path.parent))


def test_lines_have_the_form_that_log_analysers_know() -> None:
    log = MailLog.memory()
    log.logger("smtpd").info("connect from a[1.2.3.4]")
    log.logger("smtpd", syslog_name="postfix/submission").warning("odd")
    head = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [^ .]+ "
    assert re.fullmatch(head + rf"postfix/smtpd\[{os.getpid()}\]: connect from a\[1\.2\.3\.4\]", log.lines[0])
    assert re.fullmatch(head + rf"postfix/submission/smtpd\[{os.getpid()}\]: warning: odd", log.lines[1])


def test_each_severity_has_its_prefix() -> None:
    log = MailLog.memory()
    logger = log.logger("qmgr")
    logger.debug("unseen")
    log.is_verbose = True
    for name in ("debug", "info", "warning", "error", "fatal", "panic"):
        getattr(logger, name)("x")
    tails = [line.partition("]: ")[2] for line in log.lines]
    assert tails == ["x", "x", "warning: x", "error: x", "fatal: x", "panic: x"]
    assert logger.is_verbose


def test_the_time_moves_on() -> None:
    now = NOON
    log = MailLog.memory(clock=lambda: now)
    log.logger("a").info("1")
    now += 0.5
    log.logger("a").info("2")
    now += 1.0
    log.logger("a").info("3")
    seconds = [line[:15] for line in log.lines]
    assert seconds[0] == seconds[1] != seconds[2]


@pytest.mark.parametrize(
    ("text", "shown"), [("a\nb\r\x00", "a?b??"), ("\x1b[31m", "?[31m"), ("grün", "grün"), ("\udcff", "?"), ("", "")]
)
def test_what_could_forge_a_line_is_masked(text: str, shown: str) -> None:
    log = MailLog.memory()
    log.logger("a").info(text)
    assert log.lines[0].endswith("]: " + shown)
    assert printable(text) == shown


def test_lines_of_some_milliseconds_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    log = MailLog.open(file_settings(path))
    logger = log.logger("smtpd")
    writes = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(bytes(data)) or real(fd, data))

    async def turns() -> None:
        logger.info("one")
        logger.info("two")
        assert writes == []
        async with asyncio.timeout(5):
            while not writes:
                await asyncio.sleep(0)
        assert len(writes) == 1
        logger.info("three")
        logger.warning("four")
        assert len(writes) == 2

    asyncio.run(turns())
    log.close()
    assert [line.rpartition(" ")[2] for line in path.read_text().splitlines()] == ["one", "two", "three", "four"]


def test_a_loop_that_died_early_keeps_no_line_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = MailLog.open(file_settings(path))
    logger = log.logger("a")
    loop = asyncio.new_event_loop()

    def log_and_stop() -> None:
        logger.info("first")
        loop.stop()

    loop.call_soon(log_and_stop)
    loop.run_forever()
    loop.close()

    async def second() -> None:
        logger.info("second")
        await asyncio.sleep(0)

    asyncio.run(second())
    log.close()
    assert path.read_text().count("\n") == 2


def test_threads_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = MailLog.open(file_settings(path))
    logger = log.logger("plugin")

    async def with_threads() -> None:
        threads = [threading.Thread(target=lambda: [logger.info("t") for _ in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            logger.info("loop")
            await asyncio.sleep(0)
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])

    asyncio.run(with_threads())
    log.close()
    assert len(path.read_text().splitlines()) == 1000


def test_reopen_follows_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = MailLog.open(file_settings(path))
    log.logger("a").info("old")
    path.rename(tmp_path / "log.1")
    log.reopen()
    log.logger("a").info("new")
    assert "new" in path.read_text()
    assert "old" in (tmp_path / "log.1").read_text()
    log.close()


def test_reopen_that_fails_keeps_the_old_file_and_says_so(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    log = MailLog.open(file_settings(directory / "log"))
    moved = directory.rename(tmp_path / "moved")
    log.reopen()
    assert "warning: cannot reopen" in (moved / "log").read_text()
    log.close()


@pytest.mark.parametrize("path", ["/etc/passwd", "/var/../etc/passwd"])
def test_only_allowed_prefixes_are_opened(path: str) -> None:
    with pytest.raises(ConfigError, match="maillog_file_prefixes") as caught:
        MailLog.open(Settings(maillog_file=path, maillog_file_prefixes="/var, /dev/stdout"))
    assert caught.value.parameter == "maillog_file"


def test_what_cannot_be_opened_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot open"):
        MailLog.open(file_settings(tmp_path / "missing" / "log"))
    with pytest.raises(ConfigError, match="facility"):
        MailLog.open(Settings(syslog_facility="post"))


def test_lines_left_at_exit_are_written(tmp_path: Path) -> None:
    path = tmp_path / "log"
    script = f"""
import asyncio
from gateway.observe import MailLog
class S:
    def text(self, name): return {{"maillog_file": {str(path)!r}, "syslog_facility": "mail", "syslog_name": "pf"}}[name]
    def words(self, name): return ({str(tmp_path)!r},)
log = MailLog.open(S())
async def main():
    log.logger("a").info("last words")
    raise SystemExit(0)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-Ic", script], check=True, timeout=20)
    assert "pf/a[" in path.read_text()


def test_without_syslog_lines_go_to_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = MailLog.open(Settings(), syslog_socket=str(tmp_path / "none"))
    log.logger("master").info("hello")
    assert "postfix/master[" in capfd.readouterr().err
    log.close()


def test_stdout_when_asked(capfd: pytest.CaptureFixture[str]) -> None:
    log = MailLog.open(Settings(maillog_file="/dev/stdout", maillog_file_prefixes="/dev/stdout"))
    log.logger("master").info("hello")
    log.reopen()
    assert capfd.readouterr().out.count("hello") == 1
    log.close()


def test_a_reload_may_name_another_file(tmp_path: Path) -> None:
    log = MailLog.open(file_settings(tmp_path / "old"))
    logger = log.logger("a")
    logger.info("first")
    log.reopen(file_settings(tmp_path / "new"))
    logger.info("second")
    log.reopen(Settings(maillog_file="/etc/passwd", maillog_file_prefixes="/var"))
    assert "first" in (tmp_path / "old").read_text()
    second, warning = (tmp_path / "new").read_text().splitlines()
    assert second.endswith("second")
    assert "the old log stays in use" in warning
    log.close()
