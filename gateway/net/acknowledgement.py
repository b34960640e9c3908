"""A future for the one thing that nearly every message waits for: the word that it is on disk.

In a module of its own because a compiled one cannot hold a subclass of ``asyncio.Future``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Acknowledgement(asyncio.Future[None]):
    """Resolves to None, or raises what it was settled with; may be awaited like any future.

    A coroutine run by :func:`gateway.net.eager.start_acknowledged` waits for one without a Task. Only :meth:`settle`
    ends one.

    Attributes:
        listener: called by ``settle`` itself, without a turn of the loop.
    """

    listener: Callable[[], None] | None = None

    def settle(self, failure: Exception | None = None) -> None:
        """Resolve, or fail; does nothing when it is done already, cancelled included."""
        if self.done():
            return
        if failure is None:
            self.set_result(None)
        else:
            self.set_exception(failure)
        if self.listener is not None:
            self.listener()
