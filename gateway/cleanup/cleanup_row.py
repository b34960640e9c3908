"""Which ``cleanup`` row of master.cf a service hands its mail to, and what it has set there.

Postfix's cleanup(8) is a process of its own: ``-o virtual_alias_maps=`` in an smtpd row says who is known there, and
nothing about where mail goes. Here cleanup is part of each service, and still has the settings of its own row. Source:
master(5); postconf(5) cleanup_service_name; FILTER_README.
"""

from __future__ import annotations

from gateway.config import Config


def cleanup_config(main: Config, service: Config) -> Config:
    """The configuration by which the mail of a service is mapped.

    Args:
        main: main.cf.
        service: the same with the settings of the service's row, of which ``cleanup_service_name`` matters.
    """
    name = service.text("cleanup_service_name")
    for row in main.services:
        if row.command == "cleanup" and row.name == name:
            return main.for_service(row) if row.overrides else main
    return main
