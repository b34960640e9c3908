"""The log as the master opens it: a file that root has to make must be writable for mail_owner too.

Workers open the log before they give up root, but the scheduler, which lives on over a reload, opens a rotated file
again as mail_owner.
"""

from __future__ import annotations

import os

from gateway.config import Config
from gateway.master.privileges import owner
from gateway.observe import MailLog


def open_log(config: Config) -> MailLog:
    """Open the log; a file that is new belongs to mail_owner.

    Raises:
        ConfigError: as :meth:`MailLog.open`.
    """
    is_new = _is_missing(config)
    mail_log = MailLog.open(config)
    _give(config, is_new=is_new)
    return mail_log


def reopen_log(mail_log: MailLog, config: Config) -> None:
    """Follow a rotation or a changed parameter; on failure the old log stays in use."""
    is_new = _is_missing(config)
    mail_log.reopen(config)
    _give(config, is_new=is_new)


def _is_missing(config: Config) -> bool:
    path = config.text("maillog_file")
    return bool(path) and not os.path.lexists(path)


def _give(config: Config, *, is_new: bool) -> None:
    """Only a file that we made: one that the administrator made has the owner that he wants."""
    if is_new and os.geteuid() == 0:
        account = owner(config)
        try:
            os.chown(config.text("maillog_file"), account.pw_uid, account.pw_gid, follow_symlinks=False)
        except OSError:  # it could not be made; MailLog has said so
            pass
