"""pytest fixtures of the kit: ``pytest -p gateway.testing.pytest_plugin``, or automatically once installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gateway.testing import InProcessGateway


@pytest.fixture
def postgate() -> Iterator[Callable[..., InProcessGateway]]:
    """Factory: ``gateway = postgate(settings, plugins=…)`` starts one; all are stopped after the test."""
    from gateway.testing import InProcessGateway

    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(InProcessGateway(*args, **kwargs))
