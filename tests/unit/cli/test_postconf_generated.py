"""postconf beside Postfix's on generated files: what it prints, what it warns of, and what it writes."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import random
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from gateway.cli.postconf import main
from gateway.model.errors import GatewayError

FILES = 300
# Postfix waits two seconds before it reads a file that has just been written.
LONG_AGO = (1e9, 1e9)


def split(text: str, separator: str | None = None) -> list[str]:
    return text.split(separator)


USER = [*(f"u{number}" for number in range(8)), "my_list", "Other"]
BUILT_IN = split("""mydestination relayhost smtpd_banner alias_maps virtual_alias_maps transport_maps smtp_helo_name
    smtpd_recipient_restrictions smtpd_client_restrictions default_rbl_reply smtpd_reject_footer message_size_limit
    maximal_queue_lifetime header_checks relay_domains proxy_read_maps smtpd_expansion_filter content_filter syslog_name
    import_environment smtpd_tls_cert_file stress command_execution_directory forward_path mailbox_command
    local_recipient_maps execution_directory_expansion_filter luser_relay smtp_tls_policy_maps mynetworks
    default_transport myorigin""")
SERVICE = split("""relay_destination_concurrency_limit relay_transport_rate_delay pipe1_time_limit spawn1_time_limit
    pipe1_destination_recipient_limit smtp_destination_rate_delay nosuch_time_limit
    local_destination_concurrency_limit pipe1_initial_destination_concurrency""")
CLIENTS = ["ldap", "mysql", "pgsql", "sqlite", "memcache", "proxy:ldap", "proxy:mysql", "hash", "pcre"]
PREFIXES = ["lx", "db2", "My1"]
SUFFIXES = split("server_host search_base query hosts timeout nonsense dbname dbpath version domain")
WORDS = split("""a b.example 1 10 yes no 3d permit reject x=y "q /etc/x static:all !x #no $$ é [::1] a'b \\ .. inline:{a=b}
    a_word_that_is_so_long_that_a_folded_line_ends_before_or_behind_it""")
ROWS = [
    row.split()
    for row in split(
        """smtp inet smtpd, smtp unix smtp, relay unix smtp, pipe1 unix pipe, spawn1 unix spawn, local unix local,
    127.0.0.1:10025 inet smtpd, lx unix lmtp, p pass smtpd, f fifo pickup, postlog unix-dgram postlogd, error unix error,
    virtual unix virtual, discard unix discard, [::1]:26 inet smtpd, long_service_name_here unix smtp, x-y unix smtp
    """,
        ",",
    )
]
SHOWING = [
    arguments.split()
    for arguments in split(
        """-n, -nx, -nf, -nh, -nH, -xf -C user, -C service, -C user, -M, -Mf, -Mx, -M smtp,
    -M */inet relay/unix, -F, -Fx, -Ff, -FH, -F */*/chroot, -P, -Px, -Pf, -Ph, -PH, -P smtp/*/u1 */*/smtpd_banner,
    -d mynetworks max_use, -h u1 mydestination u9, -x u1 relayhost alias_maps, -x -o u1=zz mydestination u0""",
        ",",
    )
]
EDITING = [
    ["-e", "mydestination = a  b"],
    ["-e", "brand_new=x = y"],
    ["-e", "u1="],
    ["relayhost=[h]:25"],
    ["-X", "u1", "mydestination", "compatibility_level"],
    ["-#", "u2", "relayhost", "nosuch"],
    ["-Me", "relay/unix = relay unix - - n - 7 smtp -v -o a=b -o { c = d e }"],
    ["-MX", "smtp/inet", "lx/unix"],
    ["-M#", "*/inet", "local/unix"],
    ["-Fe", "*/unix/chroot=n", "smtp/inet/process_limit=9"],
    ["-Pe", "*/*/stress=yes", "smtp/inet/biff=$u1"],
    ["-PX", "*/*/smtpd_banner", "*/*/stress", "*/*/relayhost", "*/*/mydestination"],
]
MOVING = {"-Me", "-Fe", "-Pe", "-PX"}


class Texts:
    """Random main.cf and master.cf. ``$u3`` refers to names with greater numbers only, so nothing goes in circles."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def blanks(self) -> str:
        return self.random.choice(["", "", "", " ", "  ", "\t"])

    def some(self, names: Sequence[str], most: int) -> list[str]:
        return self.random.sample(names, self.random.randrange(most))

    def _expression(self, low: int, depth: int) -> str:
        pick, b = self.random.choice, self.blanks
        name = pick([*(f"u{number}" for number in range(low + 1, 8)), "myhostname", "undefined_x", "max_use"])

        def group() -> str:
            return "{" + self.text(low, depth + 1) + "}"

        sign = pick(["==", "!=", "<", "<=", ">", ">="])
        levels = ["3.6", "2", "3.10", "3.6.1"]
        return pick(
            [
                f"${name}",
                f"${{{b()}{name}{b()}}}",
                f"$({name})",
                f"${{{name}?{self._word(low, depth)}}}",
                f"${{{name}:{self._word(low, depth)}}}",
                f"${{{name}{b()}?{b()}{group()}{b()}:{b()}{group()}}}",
                f"${{{name}?{group()}:{self._word(low, depth)}}}",
                f"${{{name}:{group()}}}",
                f"${{{b()}{group()}{b()}{sign}{b()}{group()}{b()}?{b()}{group()}{b()}:{b()}{group()}}}",
                f"${{{{$compatibility_level}}{b()}{sign}level {{{pick(levels)}}}?{group()}:{group()}}}",
            ]
        )

    def _word(self, low: int, depth: int) -> str:
        if depth < 2 and self.random.random() < 0.3:
            return self._expression(low, depth + 1)
        return self.random.choice(WORDS)

    def text(self, low: int, depth: int = 0) -> str:
        pick, chance = self.random.choice, self.random.random
        found = ""
        for number in range(pick([0, 1, 1, 2, 3] if depth else [0, 1, 1, 2, 3, 4, 8, 14])):
            found += pick([" ", " ", "  ", "\t", ", ", ","]) if number else ""
            if chance() < 0.1 and depth < 2:
                found += "{" + self.blanks() + self.text(low, depth + 1) + self.blanks() + "}"
            elif chance() < 0.1:
                found += f"{pick(CLIENTS)}:{pick(PREFIXES)}"
            else:
                found += self._word(low, depth)
        return found

    def _lines(self, name: str, value: str) -> list[str]:
        """A setting as physical lines, some of them continued, with comments inside."""
        pick, chance = self.random.choice, self.random.random
        rest = f"{name}{self.blanks()}={self.blanks()}{value}"
        lines: list[str] = []
        while chance() < 0.4:
            least = 1 if lines else rest.find("=") + 1
            places = [at for at, character in enumerate(rest) if character in " \t" and at >= least]
            at = pick(places or [0])
            if not rest[:at].strip() or not rest[at:].strip() or rest[at:].strip().startswith("#"):
                break
            lines.append(rest[:at])
            lines += [pick(["# inside", "  # inside", "", "   "])] if chance() < 0.3 else []
            rest = rest[at:]
        return [*lines, rest + pick(["", "", "", " ", "\t ", "\r"])]

    def main_cf(self) -> str:
        pick, chance = self.random.choice, self.random.random
        pairs = [("compatibility_level", pick(["3.6", "3.7", "2"])), ("inet_interfaces", "127.0.0.1")]
        pairs += [("myhostname", "mx.example.com")]
        pairs += [("mydomain", "example.org")] if chance() < 0.3 else []
        pairs += [(name, self.text(-1)) for name in self.some(BUILT_IN, 8)]
        pairs += [(name, self.text(int(name[1]) if name[0] == "u" else 8)) for name in self.some(USER, 7)]
        pairs += [(name, pick(["1", "3", "$u1", "10s"])) for name in self.some(SERVICE, 4)]
        pairs += [(f"{pick(PREFIXES)}_{suffix}", self.text(8)) for suffix in self.some(SUFFIXES, 5)]
        if chance() < 0.5:
            pairs.append(
                ("smtpd_restriction_classes", pick(["strict", "strict, loose", "strict u1", "strict $myhostname"]))
            )
            pairs.append(("strict", self.text(8)))
        if chance() < 0.3:
            pairs.append((pick(["odd.name", "odd-name", "smtpd_bannner", "1x", "odd/name"]), self.text(8)))
        self.random.shuffle(pairs)
        if chance() < 0.3:
            pairs.append(pick([("myhostname", "mx2.example.com"), ("u1", "again"), ("smtpd_banner", "again $u1")]))
        lines = [" lost = 1"] if chance() < 0.1 else []
        for name, value in pairs:
            lines += [pick(["# comment", "", "  # c", "#x = y", "   "])] if chance() < 0.2 else []
            lines += self._lines(name, value)
        return "\n".join(lines) + pick(["\n", "\n", "\n\n# end\n"])

    def _argument(self) -> list[str]:
        pick, b = self.random.choice, self.blanks
        name = pick([*BUILT_IN, "my_list"])
        return pick(
            [
                ["-o", f"{pick(BUILT_IN + USER + SERVICE)}={pick(WORDS[:10])}"],
                ["-o", f"{name}=${pick(['u1', 'u2', 'service_name', 'myhostname'])}"],
                ["-o", f"{name}={pick(['', '${u1?a}', '${u1?{b}:{c}}', '$(u2)x', '$service_name,$u4'])}"],
                ["-o", f"{{{b()}{name}{b()}={b()}{pick(['a b', 'one', 'a  $u1 b', 'x {y z} w', ''])}{b()}}}"],
                ["-v"],
                ["-D"],
                ["-o", f"{pick(PREFIXES)}_{pick(SUFFIXES)}=zz"],
                ["-o", f"smtpd_client_restrictions={pick(CLIENTS)}:{pick(PREFIXES)}"],
            ]
        )

    def master_cf(self) -> str:
        pick, chance = self.random.choice, self.random.random
        lines = ["  lost inet n - n - - smtpd"] if chance() < 0.1 else []
        for name, kind, command in self.random.sample(ROWS, self.random.randrange(1, 9)):
            private = "n" if kind == "inet" else pick("ny-")
            columns = [name, kind, private, pick("ny-"), pick("ny-"), pick(["-", "0", "300?"]), pick("-05"), command]
            arguments = [self._argument() for _ in range(pick([0, 0, 1, 2, 3]))]
            if command in ("pipe", "spawn"):
                own = ["argv=/bin/x", "${recipient}", "{a b}", "-o", "not=mine", "$u5", "--"]
                arguments.append(["flags=DRhu", "user=nobody", *own[: self.random.randrange(1, 8)]])
            lines += [pick(["# comment", "", "#smtp inet n - - - - smtpd"])] if chance() < 0.2 else []
            lines.append(pick([" ", "  ", "\t"]).join(columns))
            for argument in arguments:
                piece = pick([" ", "  "]).join(argument)
                if chance() < 0.5:
                    lines.append(pick(["  ", "\t"]) + piece)
                else:
                    lines[-1] += f" {piece}"
                lines += [pick(["# inside", "", "  # inside"])] if chance() < 0.1 else []
        return "\n".join(lines) + "\n"


def write(directory: pathlib.Path, seed: int) -> None:
    directory.mkdir()
    texts = Texts(seed)
    for name, text in (("main.cf", texts.main_cf()), ("master.cf", texts.master_cf())):
        (directory / name).write_bytes(text.encode())
        os.utime(directory / name, LONG_AGO)


def ours(arguments: Sequence[str]) -> tuple[int, str, str]:
    output, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        try:
            status = main(list(arguments))
        except GatewayError as exc:
            status = 1
            print(exc, file=error)
    return status, output.getvalue(), error.getvalue()


class Oracle:
    """Postfix's postconf for many command lines, run by one shell while ours answers."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self.asked: list[list[str]] = []

    def ask(self, arguments: Sequence[str]) -> None:
        self.asked.append(list(arguments))

    def start(self) -> None:
        script = "".join(
            f"/usr/sbin/postconf {shlex.join(arguments)} 2>errors; printf '\\001%d\\001' $?; cat errors; printf '\\002'\n"
            for arguments in self.asked
        )
        (self._directory / "script").write_text(script)
        with (self._directory / "answers").open("wb") as answers:
            self._shell = subprocess.Popen(["/bin/sh", "script"], cwd=self._directory, stdout=answers)

    def answers(self) -> Iterator[tuple[int, str, str]]:
        assert self._shell.wait(60) == 0
        for answer in (self._directory / "answers").read_text().split("\2")[:-1]:
            output, status, error = answer.split("\1")
            yield int(status), output, error


def warnings(text: str) -> set[str]:
    """Postfix has them in an order of its own, some twice; ours may end in a hint."""
    text = re.sub(r"; did you mean \S+\?$", "", text, flags=re.MULTILINE)
    # Ours says which line.
    lines = re.sub(r"(?:, line \d+)?(: logical line must not start with whitespace).*", r"\1", text).splitlines()
    return {line.removeprefix("/usr/sbin/") for line in lines}


@pytest.mark.peer("postfix")
def test_what_is_shown_is_what_postfix_shows(tmp_path: pathlib.Path) -> None:
    oracle = Oracle(tmp_path)
    for seed in range(FILES):
        write(tmp_path / str(seed), seed)
        for arguments in SHOWING[seed % 9 :: 9]:
            oracle.ask(["-c", str(tmp_path / str(seed)), *arguments])
    oracle.start()
    shown = [ours(arguments) for arguments in oracle.asked]
    different = []
    for arguments, answer, expected in zip(oracle.asked, shown, oracle.answers(), strict=True):
        if answer[:2] != expected[:2] or warnings(answer[2]) != warnings(expected[2]):
            different.append((arguments, answer, expected))
    assert different == []
    assert len(shown) >= 900


@pytest.mark.peer("postfix")
def test_what_an_edit_writes_is_what_postfix_writes(tmp_path: pathlib.Path) -> None:
    oracle = Oracle(tmp_path)
    for at, arguments in enumerate(EDITING):
        for seed in range(20):
            for whose in ("ours", "theirs"):
                write(tmp_path / f"{whose}{at}-{seed}", seed)
            oracle.ask(["-c", str(tmp_path / f"theirs{at}-{seed}"), *arguments])
    oracle.start()
    for arguments, (status, _, _) in zip(oracle.asked, oracle.answers(), strict=True):
        directories = [pathlib.Path(arguments[1].replace("theirs", whose)) for whose in ("ours", "theirs")]
        assert ours(["-c", str(directories[0]), *arguments[2:]])[0] == status == 0
        for name in ("main.cf", "master.cf"):
            written = [(directory / name).read_text().split("\n") for directory in directories]
            assert settings_and_comments(written[0]) == settings_and_comments(written[1]), (arguments, name)
            assert written[0] == written[1] or MOVING & set(arguments)


def settings_and_comments(lines: list[str]) -> tuple[list[str], list[str]]:
    """Postfix moves a row that it changes behind the comments inside it; here they follow it."""
    comments = [line for line in lines if not line.strip() or line.strip().startswith("#")]
    return [line for line in lines if line not in comments], comments
