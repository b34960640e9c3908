"""main.cf and master.cf: reader, ``$`` expansion, parameter registry, typed and checked values.

Owns what a parameter means as text, number, time or list; never what the house does with it. Everything is read,
expanded and checked at (re)load, so a wrong value stops the start and never surfaces at the first message.
Source: postconf(5), master(5).
"""

from gateway.config.config import DEFAULT_DIRECTORY, Config, read
from gateway.config.known import default_registry
from gateway.config.main_cf import Setting
from gateway.config.master_cf import Row, Service
from gateway.config.parameter import Kind, Parameter
from gateway.config.registry import Registry

__all__ = [
    "DEFAULT_DIRECTORY",
    "Config",
    "Kind",
    "Parameter",
    "Registry",
    "Row",
    "Service",
    "Setting",
    "default_registry",
    "read",
]
