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
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from iip_assets.dataset.challenge_sets import file_version
from iip_assets.engine.atomic import write_text_whole

FILE = "slices.toml"
REGRESSION_AXIS = "regression"

_REFUSES_OTHER_FIELDS = ConfigDict(extra="forbid")
_OneToFive = Annotated[int, Field(ge=1, le=5)]
_Words = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]


@dataclass(frozen=True, config=_REFUSES_OTHER_FIELDS)
class SliceRule:
    """What decides whether an image belongs to a slice: its tags, or which images it is like.

    Attributes:
        where: By axis, the slices of which an image must have one.
        like: Ids of typical images.
        within: How far an image may lie from the middle of these, in cosine distance (0 to 2).
    """

    where: dict[str, _Words] = field(default_factory=dict)
    like: tuple[str, ...] = ()
    within: Annotated[float | None, Field(ge=0, le=2)] = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> SliceRule:
        if bool(self.where) == bool(self.like) or bool(self.like) != (self.within is not None):
            raise ValueError("give either where, or like and within")
        return self

    def to_dict(self) -> dict[str, Any]:
        """As it stands in `slices.toml`."""
        return {"where": self.where} if self.where else {"like": self.like, "within": self.within}


@dataclass(frozen=True, config=_REFUSES_OTHER_FIELDS)
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
    importance: _OneToFive | None = None
    ease: _OneToFive | None = None
    target: Annotated[float, Field(ge=0, le=1)] | None = None
    regression: bool = False


def read_slices(root: Path) -> tuple[TeamSlice, ...]:
    """The slices of the workspace at `root`, in the order of its file; none without the file.

    Raises:
        ValueError: The file says something that cannot be meant.
    """
    file = root / FILE
    try:
        content = tomllib.loads(file.read_text("utf-8"))
        return tuple(_slice(name, fields) for name, fields in content.items())
    except FileNotFoundError:
        return ()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no TOML ({error}): correct it, or `git checkout`") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _slice(name: str, fields: Any) -> TeamSlice:
    if not isinstance(fields, dict):
        raise ValueError(f'{name!r} is no slice: begin one with the line ["{name}"]')
    rule = {key: fields[key] for key in ("where", "like", "within") if key in fields}
    try:
        rest = {key: value for key, value in fields.items() if key not in rule}
        return TeamSlice(**{**rest, "name": name, "rule": SliceRule(**rule)})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = f"{place} {first['msg'].removeprefix('Value error, ')}".strip()
        raise ValueError(f"slice {name!r}: {reason}") from None


def slices_version(text_of: Callable[[str], str]) -> str:
    """The data version of the file whose text `text_of` gives: of what it says."""
    return file_version(FILE, text_of)


def observe_slices(root: Path) -> str:
    """The data version now."""
    return slices_version(lambda path: (root / path).read_text("utf-8"))


def load_slices(root: Path, data_version: str) -> tuple[TeamSlice, ...]:
    """The slices as they are now.

    Raises:
        ValueError: The file says something that cannot be meant.
        LookupError: It is not what it was when it was looked at.
    """
    found = read_slices(root)
    if observe_slices(root) != data_version:
        raise LookupError(f"{FILE} changed meanwhile; run `iip refresh` again")
    return found


def accept_slice(root: Path, name: str, rule: SliceRule) -> None:
    """Writes a slice into the file as a regression slice; comments and order stay as they are.

    Raises:
        ValueError: The file has one of that name, or is damaged.
    """
    import tomlkit

    if name in [one.name for one in read_slices(root)]:
        raise ValueError(f"{name!r} is in {root / FILE} already")
    fields = rule.to_dict()
    if rule.where:
        fields["where"] = tomlkit.inline_table()
        fields["where"].update(rule.where)
    file = root / FILE
    document = tomlkit.parse(file.read_text("utf-8") if file.is_file() else "")
    document[name] = {**fields, "regression": True}
    write_text_whole(file, tomlkit.dumps(document))
