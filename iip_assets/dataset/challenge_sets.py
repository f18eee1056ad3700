"""`challenge_sets.toml`: named sets of images that no model ever learns from or is chosen by.

```toml
["india"]
where = { geography = ["india"] }     # columns of labels.csv: each has one of these values
images = ["3fa2b1c0…", "88d1…"]       # what is measured: frozen when the set was made
```

Images that match `where` later stay out of training as well; which are measured stays the same, so
that results of years can be compared. The file lies in the workspace under git.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.dataset.schema import CHALLENGE, FACTS, parse_lower_text
from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.hashing import digest_bytes
from iip_assets.errors import no_such

if TYPE_CHECKING:
    import polars as pl

FILE = "challenge_sets.toml"
COLUMNS = tuple(one for one in FACTS if one not in ("age_years", "captured_at"))
"""What `where` may name."""


@dataclass(frozen=True)
class ChallengeSet:
    """A set of the file.

    Attributes:
        name: Its name.
        images: Ids of the images that are measured.
        where: By column, the values of which an image must have one to stay out of training.
    """

    name: str
    images: tuple[str, ...]
    where: Mapping[str, tuple[str, ...]]

    def member(self) -> pl.Expr:
        """Whether an image (`image_id` and `COLUMNS`) is kept out of training by this set."""
        import polars as pl

        frozen = pl.col("image_id").is_in(list(self.images))
        return frozen | self.matches() if self.where else frozen

    def matches(self) -> pl.Expr:
        """Whether an image matches `where`, which names a column at least."""
        import polars as pl

        same = [
            pl.col(column).str.to_lowercase().is_in([parse_lower_text(one) for one in values])
            for column, values in self.where.items()
        ]
        return pl.all_horizontal(same).fill_null(value=False)


def read_sets(root: Path) -> tuple[ChallengeSet, ...]:
    """The sets of the workspace at `root`, in the order of its file; none without the file.

    Raises:
        ValueError: The file says something that cannot be meant.
    """
    file = root / FILE
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return ()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no TOML ({error}): correct it, or `git checkout`") from None
    return tuple(_set(file, name, fields) for name, fields in content.items())


def _set(file: Path, name: str, fields: Any) -> ChallengeSet:
    known = {"images", "where"}
    if not isinstance(fields, dict) or not known >= fields.keys() or not fields.get("images"):
        raise ValueError(f"{file}: {name!r} needs images, may have where, and nothing else")
    where = fields.get("where", {})
    if not isinstance(where, dict):
        raise ValueError(f"{file}: where of {name!r} needs columns, as in where = {{ eye = [..] }}")
    if unknown := [column for column in where if column not in COLUMNS]:
        raise ValueError(f"{file}: {no_such('column', unknown[0], COLUMNS)}")
    values = {
        column: [one] if isinstance(one, str) else one
        for column, one in (where | {"images": fields["images"]}).items()
    }
    for column, words in values.items():
        if not isinstance(words, list) or not all(isinstance(one, str) for one in words):
            raise ValueError(f"{file}: {column} of {name!r} must be a list of words in quotes")
    images = dict.fromkeys(values.pop("images"))
    return ChallengeSet(name, tuple(images), {one: tuple(all_) for one, all_ in values.items()})


def file_version(file: str, text_of: Callable[[str], str]) -> str:
    """The data version of a TOML file whose text `text_of` gives: of what it says.

    Comments and order change nothing about that. A missing file is an empty one; whoever loads a
    damaged one says what is wrong.
    """
    try:
        text = text_of(file)
    except (OSError, LookupError):
        text = ""
    except UnicodeDecodeError:
        text = "no text"
    with suppress(tomllib.TOMLDecodeError):
        text = json.dumps(tomllib.loads(text), sort_keys=True, default=str)
    return digest_bytes(text.encode())


def sets_version(text_of: Callable[[str], str]) -> str:
    """The data version of the file whose text `text_of` gives."""
    return file_version(FILE, text_of)


def observe_sets(root: Path) -> str:
    """The data version now."""
    return sets_version(lambda path: (root / path).read_text("utf-8"))


def load_sets(root: Path, data_version: str) -> tuple[ChallengeSet, ...]:
    """The sets as they are now.

    Raises:
        ValueError: The file says something that cannot be meant.
        LookupError: It is not what it was when it was looked at.
    """
    found = read_sets(root)
    if observe_sets(root) != data_version:
        raise LookupError(f"{FILE} changed meanwhile; run `iip refresh` again")
    return found


def held_apart(
    splits: pl.DataFrame, images: pl.DataFrame, sets: Sequence[ChallengeSet]
) -> pl.DataFrame:
    """The splits with every group that has an image of a set in the split `CHALLENGE`.

    Args:
        splits: image_id, group_id and split.
        images: image_id and `COLUMNS`.
        sets: Of the workspace.
    """
    import polars as pl

    if not sets:
        return splits
    members = images.filter(pl.any_horizontal(one.member() for one in sets))["image_id"]
    groups = splits.filter(pl.col("image_id").is_in(members.to_list()))["group_id"].to_list()
    apart = pl.when(pl.col("group_id").is_in(groups)).then(pl.lit(CHALLENGE))
    return splits.with_columns(split=apart.otherwise("split"))


def freeze_set(root: Path, made: ChallengeSet) -> None:
    """Writes a set into the file; comments and order stay as they are.

    Raises:
        ValueError: The file has one of that name, or is damaged, or the set has no image.
    """
    import tomlkit

    if made.name in [one.name for one in read_sets(root)]:
        raise ValueError(f"{made.name!r} is in {root / FILE} already: a frozen set stays as it is")
    if not made.images:
        raise ValueError("no image matches: nothing would be measured")
    file = root / FILE
    document = tomlkit.parse(file.read_text("utf-8") if file.is_file() else "")
    fields: dict[str, Any] = {}
    if made.where:
        fields["where"] = tomlkit.inline_table()
        fields["where"].update({column: list(values) for column, values in made.where.items()})
    fields["images"] = tomlkit.array()
    fields["images"].extend(sorted(made.images))
    document[made.name] = {**fields, "images": fields["images"].multiline(multiline=True)}
    write_text_whole(file, tomlkit.dumps(document))
