"""Marks on hook implementations, and the name under which pluggy keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

PROJECT = "postgate"
_BLOCKING = "postgate_blocking"

F = TypeVar("F", bound=Callable[..., Any])


def blocking(function: F) -> F:
    """Mark a sync hook implementation that waits (a database driver, a C library): it runs in the thread pool.

    The pool has ``plugin_threads`` threads and a bounded queue; the deadline of the plugin applies. A thread cannot be
    stopped: one that outlives its deadline keeps its place in the pool until it returns, so a library that can hang
    for good belongs into a process of its own.
    """
    setattr(function, _BLOCKING, True)
    return function


def is_blocking(function: Callable[..., Any]) -> bool:
    """True when :func:`blocking` marked the function."""
    return bool(getattr(function, _BLOCKING, False))
