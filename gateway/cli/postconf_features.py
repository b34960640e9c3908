"""What ``postconf`` says of the program itself: -a -A -l -m -T, and bounce templates: -b -t. Source: postconf(1)."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator, Sequence

from gateway.cli.console import Console, Fatal
from gateway.config import Config, read
from gateway.config.bounce_template import BUILT_IN, Template, expanded_lines, read_templates
from gateway.model.errors import ConfigError

SASL_SERVER_TYPES: tuple[str, ...] = ()
SASL_CLIENT_TYPES: tuple[str, ...] = ()
"""Plug-in types of ``smtpd_sasl_type`` and ``smtp_sasl_type``: none yet."""

LOCKS = ("flock", "fcntl", "dotlock")
_KEY_TYPES = {"auth-dss": "dsa", "auth-ecdsa": "ecdsa", "auth-rsa": "rsa"}


def listed(letter: str, mode: str, directory: str, console: Console) -> Iterable[str]:
    """The list that ``-a -A -l -m`` or ``-T mode`` asks for.

    Raises:
        Fatal: no such mode of ``-T``.
    """
    match letter:
        case "a":
            return SASL_SERVER_TYPES
        case "A":
            return SASL_CLIENT_TYPES
        case "l":
            return LOCKS
        case "m":
            return _table_types(directory, console)
        case _:
            return _tls(mode)


def _table_types(directory: str, console: Console) -> list[str]:
    """Types built in and of the plugins that main.cf names, and ``proxy``, which stands before another type."""
    from gateway.hooks.manager import PluginManager
    from gateway.maps import Tables

    config = read(directory) if os.path.exists(os.path.join(directory, "main.cf")) else Config({})
    types = {}
    try:
        types = PluginManager(config.words("plugins")).registered("lookup_tables")
    except ConfigError as error:
        console.warning(str(error))
    return sorted({"proxy", *Tables(Config({}), types=types).types})


def _tls(mode: str) -> Iterator[str]:
    """Facts about the TLS library."""
    match mode:
        case "compile-version":
            # The header's date is not kept; its numbers are, in a name that the ssl module does not document.
            numbers = getattr(ssl, "_OPENSSL_API_VERSION", ssl.OPENSSL_VERSION_INFO)
            major, minor, _, patch, _ = numbers
            return iter([f"OpenSSL {major}.{minor}.{patch}"])
        case "run-version":
            return iter([ssl.OPENSSL_VERSION])
        case "public-key-algorithms":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_ciphers("ALL:@SECLEVEL=0")
            kinds = {str(cipher.get("auth")) for cipher in context.get_ciphers()}
            return (name for kind, name in _KEY_TYPES.items() if kind in kinds)
        case _:
            raise Fatal(f"unknown 'postconf -T' mode: {mode}")


def bounce_templates(config: Config, operands: Sequence[str], console: Console, *, is_expanded: bool) -> Iterator[str]:
    """All templates, as they stand in a file (-t) or their texts expanded (-b).

    Args:
        operands: a file in place of ``bounce_template_file``; the empty name stands for the built-in templates.

    Raises:
        ConfigError: the file is missing or no template file, or a text cannot be expanded.
    """
    file = operands[0] if operands else config.text("bounce_template_file")
    templates = read_templates(file, console.warning) if file else BUILT_IN
    for number, template in enumerate(templates.values()):
        if number:
            yield ""
        yield from _expanded(template, config, console, file) if is_expanded else template.shown()


def _expanded(template: Template, config: Config, console: Console, file: str) -> list[str]:
    lines = expanded_lines(template, config, console.warning, file=file)
    return [f"expanded_{template.kind.value}_text = <<EOF", *lines, "EOF"]
