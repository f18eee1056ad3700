"""`slices.toml`: the slices that the team decided on, each with the rule of who belongs to it.

```toml
["dark and off centre"]
where = { lighting = "dark", gaze = "off centre" }  # tags: each axis has it, or one of a list
importance = 3                                # 1 to 5
ease = 3                                      # of mending it, 1 to 5
target = 0.9                                  # of the model's main metric
regression = true                             # later models and the promotion gate are judged on it

["like 3fa2b1c0"]
like = ["3fa2b1c0…", "88d1…"]                 # ids of images
within = 0.35                                 # of their middle, in cosine distance of embeddings
```

The file lies in the workspace under git, and people may edit it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.hashing import digest_bytes, digest_json
from iip_assets.errors import no_such

FILE = "slices.toml"
REGRESSION_AXIS = "regression"
_NUMBERS = {"importance": (1, 5), "ease": (1, 5), "target": (0, 1), "within": (0, 2)}
_FIELDS = ("where", "like", "within", "importance", "ease", "target", "regression")


class SlicesFileError(ValueError):
    """`slices.toml` says something that cannot be meant; the words name file, slice and fix."""


@dataclass(frozen=True)
class SliceRule:
    """What decides whether an image belongs to a slice: its tags, or which images it is like.

    Attributes:
        where: By axis, the slices of which an image must have one.
        like: Ids of typical images.
        within: How far an image may lie from the middle of these, in cosine distance (0 to 2).
    """

    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    like: Sequence[str] = ()
    within: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As it stands in `slices.toml`."""
        if self.like:
            return {"like": list(self.like), "within": self.within}
        values = {axis: list(names) for axis, names in self.where.items()}
        return {"where": {axis: one[0] if len(one) == 1 else one for axis, one in values.items()}}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> SliceRule:
        """From what `to_dict` gives."""
        where = {axis: tuple(_words(one)) for axis, one in fields.get("where", {}).items()}
        like, within = fields.get("like", ()), fields.get("within", 0.0)
        return cls(where, tuple(like), float(within))


@dataclass(frozen=True)
class TeamSlice:
    """A slice of the file.

    Attributes:
        name: Its name.
        rule: Who belongs to it.
        importance: From 1 to 5; None where nobody said.
        ease: Likewise, how easy it is to mend.
        target: What the model's main metric is to reach on it.
        regression: Whether later models are judged on it.
    """

    name: str
    rule: SliceRule
    importance: int | None = None
    ease: int | None = None
    target: float | None = None
    regression: bool = False


def parse_slices(text: str, file: str = FILE) -> tuple[TeamSlice, ...]:
    """The slices that the text of a `slices.toml` names, in its order.

    Raises:
        SlicesFileError: It is no TOML, or says something that cannot be meant.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SlicesFileError(
            f"{file} is not TOML ({error}): mend that line, or `git checkout {FILE}`"
        ) from error
    return tuple(_slice(name, fields, file) for name, fields in content.items())


def _slice(name: str, fields: Any, file: str) -> TeamSlice:
    def wrong(what: str, fix: str) -> SlicesFileError:
        return SlicesFileError(f"{file}: slice {name!r}: {what}; {fix}")

    if not isinstance(fields, dict):
        raise wrong("it is no table", f'begin it with the line ["{name}"]')
    for key, value in fields.items():
        if key not in _FIELDS:
            raise wrong("correct or delete a field", no_such("field", key, _FIELDS))
        low, high = _NUMBERS.get(key, (0, 0))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if key in _NUMBERS and not (number and low <= value <= high):
            raise wrong(f"{key} is {value!r}", f"give a number from {low} to {high}")
        if key in ("importance", "ease") and not isinstance(value, int):
            raise wrong(f"{key} is {value!r}", "give a whole number from 1 to 5")
    if not isinstance(fields.get("regression", False), bool):
        raise wrong(f"regression is {fields['regression']!r}", "write true or false")
    where, like = fields.get("where", {}), fields.get("like", [])
    if not isinstance(where, dict) or not all(_words(one) for one in where.values()):
        raise wrong("where must give each axis a word or a list", 'as in { lighting = "dark" }')
    if not isinstance(like, list) or not all(isinstance(one, str) for one in like):
        raise wrong("like must be a list of image ids", "`iip slices accept` writes one")
    if bool(where) == bool(like):
        raise wrong("it needs either where or like", "say which images are meant by one of them")
    if bool(like) != ("within" in fields):
        raise wrong("like and within belong together", "give both or neither")
    numbers = {key: fields.get(key) for key in ("importance", "ease", "target")}
    regression = fields.get("regression", False)
    return TeamSlice(name, SliceRule.from_dict(fields), regression=regression, **numbers)


def _words(value: Any) -> list[str]:
    """The word or the words; none for what is neither."""
    values = value if isinstance(value, list) else [value]
    return values if all(isinstance(one, str) for one in values) else []


def read_slices(root: Path) -> tuple[TeamSlice, ...]:
    """The slices of the workspace at `root`; none without the file.

    Raises:
        SlicesFileError: The file says something that cannot be meant.
    """
    file = root / FILE
    if not file.is_file():
        return ()
    try:
        return parse_slices(file.read_text("utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise SlicesFileError(f"{file} is not UTF-8 text: `git checkout {FILE}`") from error


def slices_version(text_of: Callable[[str], str]) -> str:
    """The data version of the file whose text `text_of` gives: of what it says.

    Comments and order change nothing about that. A missing file is an empty one.
    """
    try:
        text = text_of(FILE)
    except (OSError, LookupError):
        text = ""
    except UnicodeDecodeError:
        return "not text"
    try:
        found = parse_slices(text)
    except SlicesFileError:
        return digest_bytes(text.encode())  # whoever loads it says what is wrong
    return digest_json({one.name: {**asdict(one), "rule": one.rule.to_dict()} for one in found})


def observe_slices(root: Path) -> str:
    """The data version now."""
    return slices_version(lambda path: (root / path).read_text("utf-8"))


def load_slices(root: Path, data_version: str) -> tuple[TeamSlice, ...]:
    """The slices as they are now.

    Raises:
        SlicesFileError: The file says something that cannot be meant.
        LookupError: It is not what it was when it was looked at.
    """
    found = read_slices(root)
    if observe_slices(root) != data_version:
        raise LookupError(f"{FILE} changed meanwhile; run `iip refresh` again")
    return found


def accept_slice(root: Path, name: str, rule: SliceRule) -> None:
    """Writes a slice into the file as a regression slice; comments and order stay as they are."""
    import tomlkit

    read_slices(root)  # what is wrong in it is to be mended first
    file = root / FILE
    document = tomlkit.parse(file.read_text("utf-8") if file.is_file() else "")
    table = tomlkit.table()
    for key, value in rule.to_dict().items():
        if isinstance(value, dict):
            inline = tomlkit.inline_table()
            inline.update(value)
            table[key] = inline
        else:
            table[key] = value
    table["regression"] = True
    document[name] = table
    write_text_whole(file, tomlkit.dumps(document))


def drop_slice(root: Path, name: str) -> None:
    """Takes a slice out of the file.

    Raises:
        LookupError: There is none of that name.
    """
    import tomlkit

    names = [one.name for one in read_slices(root)]
    if name not in names:
        raise LookupError(no_such("accepted slice", name, names) if names else f"{FILE} is empty")
    document = tomlkit.parse((root / FILE).read_text("utf-8"))
    del document[name]
    write_text_whole(root / FILE, tomlkit.dumps(document))
