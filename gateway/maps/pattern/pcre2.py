"""Perl-compatible expressions, by libpcre2 itself: the library that Postfix's ``pcre:`` tables are made of.

Why not a package: the one that is kept up (pcre2) sets no match limit, forbids ``\\C``, reads ``\\u`` as JavaScript
does, and brings a library of another version. The library's own entry points cost 0.3 µs a call from here, and are the
same on every system. It is called without giving up the interpreter lock: a match is shorter than waiting to get the
lock back, and the limits below keep it so. No just-in-time compiler: Postfix uses none, it wants memory that is
writable and executable, and on keys of tables it saves a tenth of a microsecond.

Source: pcre2api(3), pcre2pattern(3).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

from gateway.maps.pattern.expression import MatchFailed

ANCHORED, CASELESS, DOLLAR_ENDONLY, DOTALL = 0x80000000, 0x8, 0x10, 0x20
EXTENDED, MULTILINE, UNGREEDY = 0x80, 0x400, 0x40000
MATCH_LIMIT = 1_000_000
"""Steps of one match: 10 ms. Postfix leaves the library's own limit of ten million, beyond which it goes on as if the
expression had not matched; here the lookup fails, and the client is to come again."""
HEAP_LIMIT_KIB = 16 << 10
_NAMES = ("libpcre2-8.so.0", "libpcre2-8.so", "libpcre2-8.0.dylib", "libpcre2-8.dylib")
_NO_MATCH = -1
_INFO_CAPTURE_COUNT = 4
# Constants of the calls below, made once: without argtypes, ctypes takes them as they are, which halves the call.
_ZERO_TERMINATED, _START = ctypes.c_size_t(-1), ctypes.c_size_t(0)


class _Library:
    """The loaded library and its limits.

    Raises:
        OSError: it is not installed.
    """

    def __init__(self) -> None:
        loaded = _loaded()

        def function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
            entry = loaded[f"pcre2_{name}_8"]
            entry.restype, entry.argtypes = result, arguments
            called: Callable[..., Any] = entry
            return called

        pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
        self.compile = function("compile", pointer, ctypes.c_char_p, size, number, pointer, pointer, pointer)
        self.free = function("code_free", None, pointer)
        self.info = function("pattern_info", ctypes.c_int, pointer, number, pointer)
        self.message = function("get_error_message", ctypes.c_int, ctypes.c_int, ctypes.c_char_p, size)
        self.create = function("match_data_create", pointer, number, pointer)
        self.create_for = function("match_data_create_from_pattern", pointer, pointer, pointer)
        self.free_data = function("match_data_free", None, pointer)
        self.ovector = function("get_ovector_pointer", ctypes.POINTER(size), pointer)
        self.match = loaded["pcre2_match_8"]
        context = function("match_context_create", pointer, pointer)(None)
        function("set_match_limit", ctypes.c_int, pointer, number)(context, MATCH_LIMIT)
        function("set_heap_limit", ctypes.c_int, pointer, number)(context, HEAP_LIMIT_KIB)
        self.context = ctypes.c_void_p(context)
        # For matches whose groups nobody wants: no result is read from it, so all patterns and threads share it.
        self.scratch = ctypes.c_void_p(self.create(1, None))

    def text_of(self, error: int) -> str:
        """The library's words for an error number."""
        buffer = ctypes.create_string_buffer(256)
        self.message(error, buffer, len(buffer))
        return buffer.value.decode(errors="replace")


def _loaded() -> Any:
    for name in _NAMES:
        try:
            return ctypes.PyDLL(name)
        except OSError:
            continue
    raise OSError("the library libpcre2-8 (10.30 or later) is not installed")


@cache
def load() -> _Library:
    """The library, loaded when first asked for.

    Raises:
        OSError: it is not installed.
    """
    return _Library()


class PcrePattern:
    """One compiled expression; octets are matched, as Postfix 3.7 does with this library.

    Args:
        expression: as written.
        options: CASELESS and so on, as one number.

    Raises:
        ValueError: the library's own words, and where in the expression.
        OSError: there is no library.
    """

    __slots__ = ("_code", "_library", "_match", "group_count")

    def __init__(self, expression: bytes, options: int = CASELESS | DOTALL) -> None:
        self._code = ctypes.c_void_p(None)
        self._library = library = load()
        error, offset, count = ctypes.c_int(), ctypes.c_size_t(), ctypes.c_uint32()
        code = library.compile(
            expression, len(expression), options, ctypes.addressof(error), ctypes.addressof(offset), None
        )
        if code is None:
            raise ValueError(f"error at offset {offset.value}: {library.text_of(error.value)}")
        self._code = ctypes.c_void_p(code)
        self._match = library.match
        library.info(code, _INFO_CAPTURE_COUNT, ctypes.addressof(count))
        self.group_count = count.value

    def __del__(self) -> None:
        if self._code:
            self._library.free(self._code)

    def matches(self, text: bytes) -> bool:
        """True when the expression matches somewhere in ``text``.

        Raises:
            MatchFailed: it needs more than :data:`MATCH_LIMIT` steps or :data:`HEAP_LIMIT_KIB`.
        """
        length = ctypes.c_size_t(len(text)) if b"\0" in text else _ZERO_TERMINATED
        status: int = self._match(self._code, text, length, _START, 0, self._library.scratch, self._library.context)
        if status < _NO_MATCH:
            raise MatchFailed(self._library.text_of(status))
        return status != _NO_MATCH

    def groups(self, text: bytes) -> list[bytes] | None:
        """The whole match and every subexpression, empty where one took no part; None without a match.

        Raises:
            MatchFailed: as :meth:`matches`.
        """
        if not self.matches(text):  # most do not, and making room for groups is the dearer half
            return None
        library = self._library
        data = ctypes.c_void_p(library.create_for(self._code, None))
        if not data:
            raise MatchFailed("out of memory")
        try:
            status = self._match(self._code, text, ctypes.c_size_t(len(text)), _START, 0, data, library.context)
            if status < 0:
                raise MatchFailed(library.text_of(status))
            ends = library.ovector(data)[: 2 * (self.group_count + 1)]
        finally:
            library.free_data(data)
        # A group that took no part has both ends at the largest size; one with \K may end before it starts.
        return [
            text[start:end] if start <= len(text) else b"" for start, end in zip(ends[::2], ends[1::2], strict=True)
        ]
