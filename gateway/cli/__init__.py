"""The command line: ``postgate`` and the Postfix-named faces of the same program.

``main`` looks at the name it was called by and imports that face only: mail scripts call ``sendmail`` and ``postqueue``
thousands of times a day.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable

FACES = {
    "postgate": "gateway.cli.postgate",
    "postconf": "gateway.cli.postconf",
    "postqueue": "gateway.cli.postqueue",
    "mailq": "gateway.cli.mailq",
    "postsuper": "gateway.cli.postsuper",
    "postcat": "gateway.cli.postcat",
    "sendmail": "gateway.cli.sendmail",
    "newaliases": "gateway.cli.newaliases",
    "postalias": "gateway.cli.postalias",
    "postmap": "gateway.cli.postmap",
}


def main() -> int:
    """Run the face that ``argv[0]`` names, ``postgate`` for any other name. Returns the exit status."""
    name = os.path.basename(sys.argv[0])
    return run(name if name in FACES else "postgate", sys.argv[1:])


def run(name: str, arguments: list[str]) -> int:
    """Run one face and turn its exceptions into messages and an exit status."""
    from gateway.cli.console import Console, Fatal
    from gateway.model.errors import GatewayError

    face: Callable[[list[str]], int] = importlib.import_module(FACES[name]).main
    try:
        status = face(arguments)
        sys.stdout.flush()
    except Fatal as exc:
        Console(name).fatal(str(exc))
        return exc.status
    except GatewayError as exc:
        Console(name).fatal(str(exc))
        return 1
    except BrokenPipeError:
        # The reader of a pipe has seen enough. What is still buffered has nowhere to go, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    return status
