"""What a person means who asks where something comes from: an asset, a value, or an image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from iip_assets.engine.actions import ActionRecord
from iip_assets.provenance.trace import DATA, Archive, ImageTrace

_HEX = re.compile(r"[0-9a-fA-F]+")
# Shorter beginnings of an id name too many things by accident.
_LEAST_DIGITS = 4
_MOST_SHOWN = 10


def find_target(archive: Archive, word: str) -> ActionRecord | ImageTrace:
    """The record or the image that a word names.

    Args:
        archive: Where to look.
        word: An asset's name, the beginning of a data version or of an image id, or the path of an
            image under `data/`.

    Raises:
        LookupError: It names nothing, or several things.
    """
    if word in archive.project.graph.assets:
        record = archive.present(word)
        if record is None:
            raise LookupError(f"{word} has no value yet; run `iip refresh {word}`")
        return record
    image_id = _image_at(archive, word)
    if image_id is not None:
        return _image(archive, image_id, word)
    if _HEX.fullmatch(word) and len(word) >= _LEAST_DIGITS:
        return _by_digits(archive, word.lower())
    raise LookupError(
        f"{word!r} is no asset, no image under data/ that DVC tracks, and not the beginning "
        f"({_LEAST_DIGITS} digits at least) of an image id or a data version; `iip status` lists "
        "the assets"
    )


def _image(archive: Archive, image_id: str, word: str) -> ImageTrace:
    for record in _datasets(archive):
        if _knows(archive.value(record), image_id):
            return ImageTrace(archive, image_id, record)
    raise LookupError(
        f"{word} is tracked by DVC and in no raw_dataset: it is no image (a mask, a table), or "
        "`iip refresh` did not run since it was added"
    )


def _by_digits(archive: Archive, digits: str) -> ActionRecord | ImageTrace:
    values = archive.records.beginning_with(digits)
    images: dict[str, ActionRecord] = {}
    for record in _datasets(archive):
        dataset = archive.value(record)
        for image_id in [] if dataset is None else dataset["images"]["image_id"]:
            if image_id.startswith(digits):
                images.setdefault(image_id, record)
        if images:
            break  # older versions are asked only where the present one does not know it
    found = [f"image {image_id}" for image_id in images]
    found += [f"{record.asset} {record.data_version}" for record in values]
    if len(found) > 1:
        more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        raise LookupError(
            f"{digits} is the beginning of {', '.join(found[:_MOST_SHOWN])}{more}; give more digits"
        )
    if values:
        return values[0]
    for image_id, record in images.items():
        return ImageTrace(archive, image_id, record)
    raise LookupError(f"no image id and no data version on record begins with {digits}")


def _datasets(archive: Archive) -> Iterator[ActionRecord]:
    """Records of `raw_dataset`: the present one, then the others, newest first."""
    present = archive.present("raw_dataset")
    if present is not None:
        yield present
    for record in reversed(archive.records.of("raw_dataset")):
        if present is None or record.data_version != present.data_version:
            yield record


def _knows(dataset: Any, image_id: str) -> bool:
    return dataset is not None and image_id in dataset["images"]["image_id"]


def _image_at(archive: Archive, word: str) -> str | None:
    """The id of the tracked file at a path, or None where there is none."""
    root = archive.project.workspace.root
    data = (root / "data").resolve()
    # As typed here, from the workspace, and as the tables have it.
    for start in (Path.cwd(), root, data):
        path = Path(start, word)
        for one in (path.absolute(), path.resolve()):
            if one.is_relative_to(data):
                found = _tracked(archive, one.relative_to(data).as_posix())
                if found is not None:
                    return found
    return None


def _tracked(archive: Archive, path: str) -> str | None:
    dataset = archive.value(archive.present("raw_dataset"))
    if dataset is not None:
        images = dataset["images"]
        known = images.filter(images["path"] == path)
        if known.height:
            return str(known["image_id"][0])
    if "/" not in path and "." not in path:
        return None
    version = archive.ledger.observed(DATA)
    if version is None:
        return None
    source = archive.project.graph.sources[DATA]
    manifest = dict(source.load(archive.project.workspace.root, version).iter_rows())
    found = manifest.get(path)
    return None if found is None else str(found)
