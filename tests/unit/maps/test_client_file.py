"""Client configurations: main.cf's syntax in a file, prefixed parameters in main.cf, errors with their place."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.client_file import ClientFile
from gateway.model.errors import ConfigError


def opened(directory: Path, text: str, warnings: list[str] | None = None) -> ClientFile:
    (directory / "t.cf").write_text(text)
    return ClientFile.open("sqlite:t", f"{directory}/t.cf", surroundings(warnings=warnings))


def test_the_syntax_is_that_of_main_cf(tmp_path: Path) -> None:
    warnings: list[str] = []
    file = opened(
        tmp_path,
        "# comment\nquery = SELECT v\n   FROM a\n # inner\n\n\tWHERE k = '$x ${y}'\nx=y\nempty =\nhosts = a, b\n\tc\n",
        warnings,
    )
    assert file.text("query") == "SELECT v   FROM a\tWHERE k = '$x ${y}'"
    assert file.words("hosts") == ("a", "b", "c")
    assert file.text("empty", "default") == ""
    assert file.text("absent", "default") == "default"
    assert (file.is_set("empty"), file.is_set("absent")) == (True, False)
    file.warn_unused()
    assert warnings == [f"{tmp_path}/t.cf, line 7: x: is not used here"]


def test_the_later_of_two_counts_with_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    assert opened(tmp_path, "user = a\nuser = b\n", warnings).text("user") == "b"
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{tmp_path}/t.cf, line 2: ")
    assert warnings[0].endswith("user")  # and not its value: it could be a password


def test_values(tmp_path: Path) -> None:
    file = opened(tmp_path, "number = -1\nyes = YES\nno = no\ntime = 2m\nbare = 7\n")
    assert file.integer("number", 0) == -1
    assert file.integer("absent", 5, 1) == 5
    assert file.boolean("yes", False) is True
    assert file.boolean("no", True) is False
    assert file.boolean("absent", True) is True
    assert (file.seconds("time", 1), file.seconds("bare", 1), file.seconds("absent", 60)) == (120, 7, 60)
    assert file.words("absent", ("localhost",)) == ("localhost",)


def test_what_is_wrong_has_its_place(tmp_path: Path) -> None:
    file = opened(tmp_path, "\nn = 1x\nempty =\nb = maybe\nt = 1y\nw = {a\nbig = 10\n")
    path = f"{tmp_path}/t.cf"
    wrong = [
        ("n", 2, lambda: file.integer("n", 0), 'bad value "1x": not a whole number'),
        ("empty", 3, lambda: file.integer("empty", 0), 'bad value "": not a whole number'),
        ("empty", 3, lambda: file.text("empty", "%s", low=1), "must not be empty"),
        ("absent", 0, lambda: file.text("absent", low=1), "must be set"),
        ("b", 4, lambda: file.boolean("b", False), 'bad value "maybe": expected yes or no'),
        ("t", 5, lambda: file.seconds("t", 0), 'bad value "1y": not a time'),
        ("w", 6, lambda: file.words("w"), 'bad value "{a": a "{" has no "}"'),
        ("big", 7, lambda: file.integer("big", 0, 0, 9), "10 is out of limits: expected 0 to 9"),
        ("big", 7, lambda: file.integer("big", 0, 11), "10 is out of limits: expected at least 11"),
        ("big", 7, lambda: file.integer("big", 0, None, 9), "10 is out of limits: expected at most 9"),
        ("big", 7, lambda: file.seconds("big", 0, 11), "10s is out of limits: expected at least 11s"),
        ("big", 7, lambda: file.seconds("big", 0, 0, 9), "10s is out of limits: expected 0s to 9s"),
    ]
    for parameter, line, read, message in wrong:
        with pytest.raises(ConfigError) as caught:
            read()
        error = caught.value
        assert (error.file, error.line, error.parameter) == (path, line, parameter)
        assert error.message.startswith(message)


def test_errors_of_others_get_the_place(tmp_path: Path) -> None:
    file = opened(tmp_path, "query = %x\n")

    def fail_with(error: Exception) -> None:
        raise error

    assert file.checked("query", lambda: 3) == 3
    for error in (ConfigError("odd", parameter="query"), ValueError("odd")):
        with pytest.raises(ConfigError, match=r"t\.cf, line 1: query: odd"):
            file.checked("query", lambda error=error: fail_with(error))
    with pytest.raises(ConfigError, match=r"^elsewhere, line 3: odd"):
        file.checked("query", lambda: fail_with(ConfigError("odd", file="elsewhere", line=3)))


def test_a_file_beside_main_cf(tmp_path: Path) -> None:
    (tmp_path / "t.cf").write_text("user = a\n")
    file = ClientFile.open("sqlite:./t.cf", "./t.cf", surroundings(directory=str(tmp_path)))
    assert file.text("user") == "a"


def test_a_missing_or_broken_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"/none\.cf: cannot read: No such file"):
        ClientFile.open("sqlite:t", f"{tmp_path}/none.cf", surroundings())
    with pytest.raises(ConfigError, match=r't\.cf, line 2: expected "name = value"'):
        opened(tmp_path, "user = a\njust text\n")


def test_parameters_in_main_cf() -> None:
    warnings: list[str] = []
    settings = {"old_user": "$mail_owner", "old_limit": "x", "older_user": "no", "mail_owner": "postfix"}
    file = ClientFile.open("mysql:old", "old", surroundings(settings, warnings=warnings))
    assert file.text("user") == "postfix"
    assert not file.is_set("dbname")
    with pytest.raises(ConfigError, match="old_limit: bad value") as caught:
        file.integer("limit", 0)
    assert caught.value.parameter == "old_limit"
    with pytest.raises(ConfigError, match=r"main\.cf: old_query: must be set"):
        file.text("query", low=1)
    file.warn_unused()
    assert warnings == []


def test_a_name_without_parameters_in_main_cf_stops_the_start() -> None:
    with pytest.raises(ConfigError, match=r"table mysql:users\.cf: main\.cf has no parameter users\.cf_"):
        ClientFile.open("mysql:users.cf", "users.cf", surroundings())
