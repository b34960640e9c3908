"""A configuration directory for ``postgate check``: main.cf and master.cf of a host of its own."""

from __future__ import annotations

import pathlib


def site(directory: pathlib.Path, services: str = "127.0.0.1:0 inet n - n - - smtpd\n", **settings: str) -> str:
    """Write both files; gives the directory, as ``-c`` takes it."""
    values = {
        "compatibility_level": "3.6",
        "queue_directory": f"{directory}/queue",
        "data_directory": f"{directory}/data",
        "maillog_file": f"{directory}/log",
        "maillog_file_prefixes": str(directory),
        "mail_owner": "root",
        "myhostname": "mx.example.com",
        **settings,
    }
    (directory / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in values.items()))
    (directory / "master.cf").write_text(services)
    return str(directory)
