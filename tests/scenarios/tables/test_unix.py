"""unix: the default local_recipient_maps, under a running gateway and beside Postfix."""

from __future__ import annotations

import smtplib

import pytest
from peers.gateway import GatewayInstance
from peers.instance import MailInstance
from peers.postfix import PostfixInstance

SETTINGS = {
    "mydestination": "here.example",
    "local_recipient_maps": "proxy:unix:passwd.byname $alias_maps",
    "smtpd_relay_restrictions": "reject_unauth_destination",
}
RECIPIENTS = {
    "root": 250,
    "ROOT": 250,
    "root+ext": 250,
    "postmaster": 250,
    "nobody": 250,
    "no-such-account": 550,
    "root:x": 550,
    "0": 550,
}


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("system", [GatewayInstance, PostfixInstance])
def test_accounts_are_recipients_and_others_are_not(system: type[MailInstance]) -> None:
    with system(SETTINGS | {"recipient_delimiter": "+"}) as mail, smtplib.SMTP("127.0.0.1", mail.port) as client:
        client.ehlo("client.example")
        client.mail("sender@a.example")
        replies = {name: client.rcpt(f"{name}@here.example")[0] for name in RECIPIENTS}
    assert replies == RECIPIENTS
