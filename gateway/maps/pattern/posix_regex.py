"""POSIX regular expressions, by the C library itself.

Why not Python's ``re``, which is three times faster on a plain pattern (0.3 µs against 0.7 to 2 µs, measured with
typical access patterns): tables match what strangers send, and ``re`` backtracks. ``(a+)+@x$`` against a sender of 28
octets takes it 5 s, with the event loop standing still; ``regexec`` needs 3 µs, and much longer only for expressions
with back-references, which a table warns of. And the meaning is exact: bracket classes, ``\\<``, leftmost-longest, all
as in Postfix, without a translator that could be wrong.

The library is called without giving up the interpreter lock: a lookup is shorter than waiting to get the lock back.
Source: regex(7), regcomp(3).
"""

from __future__ import annotations

import ctypes
import platform
import sys

from gateway.maps.pattern.expression import MatchFailed

EXTENDED, ICASE = 1, 2  # the same in glibc, musl and the BSDs
_IS_GLIBC = platform.libc_ver()[0] == "glibc"
_NEWLINE, _NOSUB = (4, 8) if sys.platform == "linux" else (8, 4)
_BUFFER_OCTETS = 512  # regex_t is 64 octets in glibc, 64 in musl, 32 in the BSDs
_NSUB_OFFSET = 48 if _IS_GLIBC else 0 if sys.platform == "linux" else 8
_LC_ALL_MASK = 0x1FBF if sys.platform == "linux" else 0x3F
_NO_MATCH = 1

_libc = ctypes.PyDLL(None)
_Offset = ctypes.c_int if _IS_GLIBC else ctypes.c_ssize_t


class _Match(ctypes.Structure):
    """``regmatch_t``."""

    _fields_ = (("start", _Offset), ("end", _Offset))


_regcomp, _regexec, _regfree, _regerror = _libc.regcomp, _libc.regexec, _libc.regfree, _libc.regerror
_regcomp.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
_regexec.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int)
_regfree.argtypes, _regfree.restype = (ctypes.c_void_p,), None
_regerror.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
_newlocale, _uselocale = _libc.newlocale, _libc.uselocale
_newlocale.argtypes, _newlocale.restype = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p), ctypes.c_void_p
_uselocale.argtypes, _uselocale.restype = (ctypes.c_void_p,), ctypes.c_void_p
_C_LOCALE = _newlocale(_LC_ALL_MASK, b"C", None)


class PosixPattern:
    """One compiled expression; octets are matched, in the C locale as Postfix's daemons run.

    Args:
        pattern: the expression.
        is_extended, is_case_folding, is_multiline: regcomp's REG_EXTENDED, REG_ICASE, REG_NEWLINE.
        needs_groups: subexpressions will be asked for.

    Raises:
        ValueError: the library's own words.
    """

    __slots__ = ("_address", "_memory", "group_count")

    def __init__(
        self,
        pattern: bytes,
        *,
        is_extended: bool = True,
        is_case_folding: bool = True,
        is_multiline: bool = False,
        needs_groups: bool = False,
    ) -> None:
        self._address = 0
        if b"\0" in pattern:
            raise ValueError("NUL in a regular expression")
        flags = (EXTENDED if is_extended else 0) | (ICASE if is_case_folding else 0)
        flags |= (_NEWLINE if is_multiline else 0) | (0 if needs_groups else _NOSUB)
        self._memory = ctypes.create_string_buffer(_BUFFER_OCTETS)
        address = ctypes.addressof(self._memory)
        before = _uselocale(_C_LOCALE)
        try:
            status = _regcomp(address, pattern, flags)
        finally:
            _uselocale(before)
        if status:
            raise ValueError(_message(status, address))
        self._address = address
        self.group_count = ctypes.c_size_t.from_buffer(self._memory, _NSUB_OFFSET).value if needs_groups else 0

    def __del__(self) -> None:
        if self._address:
            _regfree(self._address)

    def matches(self, text: bytes) -> bool:
        """True when the expression matches somewhere in ``text``, of which the library sees what is before a NUL.

        Raises:
            MatchFailed: out of memory.
        """
        status: int = _regexec(self._address, text, 0, None, 0)
        if status > _NO_MATCH:
            raise MatchFailed(_message(status, self._address))
        return status == 0

    def groups(self, text: bytes) -> list[bytes] | None:
        """The whole match and every subexpression, empty where one took no part; None without a match.

        Raises:
            MatchFailed: out of memory.
        """
        # Without subexpressions the library is faster, and most rules do not match.
        if not self.matches(text):
            return None
        found = (_Match * (self.group_count + 1))()  # its own, for tables are asked from several threads
        status = _regexec(self._address, text, len(found), ctypes.addressof(found), 0)
        if status:
            raise MatchFailed(_message(status, self._address))
        return [text[m.start : m.end] if m.start >= 0 else b"" for m in found]


def _message(status: int, address: int) -> str:
    message = ctypes.create_string_buffer(256)
    _regerror(status, address, message, len(message))
    return message.value.decode(errors="replace")
