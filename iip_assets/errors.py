"""Errors whose message alone tells a person what to do, and words that many messages need.

`iip` prints such a message and no traceback.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class UserError(Exception):
    """An error whose message alone tells a person what to do."""


# Most ValueErrors and LookupErrors are of something that a person gave; an OSError names its file:
# no space, no permission, no such folder, git not installed.
USER_ERRORS = (UserError, LookupError, OSError, ValueError)

DISK_IS_FULL = (
    "the disk is full; make room (`iip gc`; where that says so too, delete something outside of "
    "the workspace), then run this again"
)
_REFUSED = {
    errno.EROFS: "cannot be written: the disk or the mount that it lies on can only be read",
    errno.EACCES: "may not be read or written by you",
}
_FULL = ("No space left on device", "database or disk is full")


def words_for(error: Exception) -> str | None:
    """What to tell the person at the terminal; None where only a traceback helps."""
    if _disk_is_full(error):
        # What is said of a full disk misleads, or names nothing but perhaps the file.
        file = error.filename if isinstance(error, OSError) else None
        return f"{file}: {DISK_IS_FULL}" if file else DISK_IS_FULL
    if isinstance(error, OSError) and error.filename and error.errno in _REFUSED:
        return f"{error.filename} {_REFUSED[error.errno]}"
    if isinstance(error, USER_ERRORS):
        return str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    return None


def _disk_is_full(error: BaseException) -> bool:
    """Whether a full disk is behind an error, in whichever library it surfaced."""
    seen: BaseException | None = error
    while seen is not None:
        if any(words in str(seen) for words in _FULL):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def counted(number: int, noun: str) -> str:
    """`1 label`, `1,204 labels`, `2 batches`, `0 entries`: a noun with its number before it."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def no_such(kind: str, name: str, known: Iterable[str]) -> str:
    """That there is no such thing, which name may have been meant, and which there are."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.7)
    meant = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
    return f"there is no {kind} {name!r}; {meant}"
