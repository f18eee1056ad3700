"""Errors whose message alone tells a person what to do; `iip` prints that and no traceback."""

from __future__ import annotations


class UserError(Exception):
    """An error whose message alone tells a person what to do."""


# Most ValueErrors and LookupErrors are of something that a person gave; an OSError names its file:
# no space, no permission, no such folder, git not installed.
USER_ERRORS = (UserError, LookupError, OSError, ValueError)

DISK_IS_FULL = "the disk is full; make room (`iip gc`), then run this again"
_FULL = ("No space left on device", "database or disk is full")


def words_for(error: Exception) -> str | None:
    """What to tell the person at the terminal; None where only a traceback helps."""
    # An OSError names the file; what others say of a full disk misleads.
    if _disk_is_full(error) and not isinstance(error, OSError):
        return DISK_IS_FULL
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
