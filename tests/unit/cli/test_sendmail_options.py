"""Sendmail's options, in the forms that programs use."""

import pytest

from gateway.cli.console import EX_USAGE, Fatal
from gateway.cli.sendmail_options import Mode, Options, parse


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a@b c@d", {"operands": ["a@b", "c@d"]}),
        ("-t -i", {"takes_header_recipients": True, "ignores_dots": True}),
        ("-ti", {"takes_header_recipients": True, "ignores_dots": True}),
        ("-oi -oem -odi -om -t", {"takes_header_recipients": True, "ignores_dots": True}),
        ("-o i x@y", {"ignores_dots": True, "operands": ["x@y"]}),
        ("-f a@b -F Joe c@d", {"sender": "a@b", "full_name": "Joe", "operands": ["c@d"]}),
        ("-fa@b -- -x@y", {"sender": "a@b", "operands": ["-x@y"]}),
        ("-r <> a@b", {"sender": "<>", "operands": ["a@b"]}),
        ("-G -U -n -v -m -X log -L tag -h 3 -O a=b -p x -e m -A c a@b", {"operands": ["a@b"]}),
        ("-bm a@b", {"operands": ["a@b"]}),
        ("-bs", {"mode": Mode.SMTP}),
        ("-bp", {"mode": Mode.LIST}),
        ("-bi", {"mode": Mode.ALIASES}),
        ("-I", {"mode": Mode.ALIASES}),
        ("-q", {"mode": Mode.FLUSH}),
        ("-q15m", {"mode": Mode.FLUSH}),
        ("-qRexample.org", {"mode": Mode.FLUSH, "flush_site": "example.org"}),
        ("-qI4abc", {"mode": Mode.FLUSH, "flush_id": "4abc"}),
        ("-B 8bitmime -R hdrs -V id", {"encoding": "8BITMIME", "ret": "HDRS", "envid": "id"}),
        ("-N success,delay", {"notify": ("SUCCESS", "DELAY")}),
        ("-N never", {"notify": ("NEVER",)}),
        ("-C /etc/postgate -C /etc/other/main.cf", {"config_directory": "/etc/other"}),
        ("a@b -t", {"operands": ["a@b", "-t"]}),
        ("- x", {"operands": ["-", "x"]}),
    ],
)
def test_options(line: str, expected: dict[str, object]) -> None:
    found = parse(line.split())
    wanted = Options(**({"operands": []} | expected))  # type: ignore[arg-type]
    assert found == wanted


@pytest.mark.parametrize(
    "line",
    ["-Z", "-bx", "-bv", "-f", "-B 9bit", "-R some", "-N never,success", "-N always", "-V \x07", "-V " + "x" * 101],
)
def test_what_is_wrong_is_a_usage_error(line: str) -> None:
    with pytest.raises(Fatal) as caught:
        parse(line.split(" "))
    assert caught.value.status == EX_USAGE
