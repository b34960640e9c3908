"""Postgate: a plugin-driven mail gateway that speaks Postfix's language.

The map of the house is docs/flow.md; each room's ``__init__`` says what it owns and what it never does.
"""

__version__ = "0.1.0"
