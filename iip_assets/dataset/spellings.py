"""How people and tools spell one value: "not known" in many words, one id or word in many forms.

Spreadsheets, pandas, R and SQL write what they read in a form of their own: 007 becomes 7, 17
becomes 17.0, an empty cell becomes nan. What a cell says stays as it was written; what is said here
is when two of them may mean the same.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

# In lower case and without punctuation: N/A, n.a., #N/A and <NA> are all `na`.
_NOT_KNOWN = frozenset(
    (
        *("na", "nan", "nat", "nil", "none", "null", "1qnan", "1ind", "nodata", "novalue"),
        *("unknown", "missing", "undefined", "unspecified", "notanumber", "notknown", "notgiven"),
        *("notavailable", "notapplicable", "notspecified", "notrecorded", "notcollected"),
        *("notprovided", "notreported", "notstated", "notdisclosed", "undisclosed"),
        *("restrictedaccess", "prefernottosay", "unk", "nk", "tbd", "blank", "empty", "pdna"),
        *("nanind", "keineangabe", "unbekannt", "inconnu", "desconocido"),
    )
)
# MySQL's null, what spreadsheets write where a formula has no result, and German k. A., which
# without its dots may be somebody's initials.
_NO_VALUE = re.compile(r"\\n|#n/a n/a|#(ref!|value!|div/0!|num!|name\?|spill!|calc!)|k\. ?a\.")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?")
_LONGEST_NUMBER = 60
# Three zeros after a comma are thousands.
_ZERO_DECIMALS = re.compile(r"(?<=[0-9])(\.0+|,00?)$")
_SCIENTIFIC = re.compile(r"[0-9](?:[.,]([0-9]+))?e\+([0-9]{2,3})", re.IGNORECASE)
# No more digits than `int` takes.
_PARTS = re.compile(r"\d{1,999}|[^\W\d_]+|[^\w\s]")
# They and the dashes are written for each other, or left out between letters and digits; the
# apostrophe is a spreadsheet's mark of a text.
_SEPARATORS = frozenset("_\u2212 ./'#")


def is_unknown(text: str) -> bool:
    """Whether a cell says that the value is not known: empty, NaN, N/A, a dash or the like."""
    if all(unicodedata.category(one).startswith(("P", "Z", "Cf")) for one in text):
        return True
    word = unicodedata.normalize("NFKC", text).casefold().strip()
    if _NO_VALUE.fullmatch(word):
        return True
    return "".join(filter(str.isalnum, word)) in _NOT_KNOWN


def spelling_key(text: str) -> str:
    """One key of all the spellings that a tool may have given one id or word.

    `17`, `17.0`, `17,0`, `1.7e1`, `'17`, `#17` and `017` have one key, and so have `S-17`, `s_17`,
    `S 017` and `S17`; `1-17`, `11-7` and `117` have three. What cannot be seen, as a zero-width
    space, makes no difference. Two people may have one key by chance, so this is for asking, and
    for what must never tear one person apart.
    """
    if not text.isascii():
        text = "".join(one for one in text if unicodedata.category(one) != "Cf")
    text = unicodedata.normalize("NFKC", text).casefold().strip()
    if len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text):
        # Exact, where a float would take long numbers for each other.
        text = f"{Decimal(text):f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    parts = _PARTS.findall(_ZERO_DECIMALS.sub("", text))
    told = (str(int(part)) if part.isdecimal() else part for part in parts)
    return " ".join(part for part in told if not _separates(part)) or text


def _separates(part: str) -> bool:
    return part in _SEPARATORS or unicodedata.category(part[0]) == "Pd"


def lacks_digits(text: str) -> bool:
    """Whether this is a number that a spreadsheet rounded for show, as 1.23457E+13."""
    found = _SCIENTIFIC.fullmatch(text)
    return found is not None and int(found[2]) > len(found[1] or "")
