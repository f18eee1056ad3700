"""What people do to their data, and how many images that makes a refresh compute.

Shared by `benchmarks/work_ratio.py` and `test_work_ratio.py`. An act changes a workspace in which
everything is fresh and says how many images each per-image asset has to compute for it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from iip_assets.synthetic.write import write_dataset
from iip_assets_tests.graph.conftest import Team
from iip_assets_tests.graph.killed_refresh import read_features

# Per-image assets: whose feature table has their name.
COUNTED = ("image_fingerprints", "image_statistics", "image_embeddings")


@dataclass(frozen=True)
class Act:
    """Something done to the data.

    Attributes:
        name: What it is, in words.
        do: Does it, and gives how many images changed and how many each asset must compute.
    """

    name: str
    do: Callable[[Team], tuple[int, dict[str, int]]]


@dataclass(frozen=True)
class Work:
    """How many images one asset computed after one act.

    Attributes:
        act: The act's name.
        asset: The asset.
        changed: Images that the act changed.
        expected: Images that had to be computed for it.
        told: Images that the refresh said it computed.
        gained: Rows that the asset's feature table gained.
    """

    act: str
    asset: str
    changed: int
    expected: int
    told: int
    gained: int


def work_of(act: Act, team: Team) -> list[Work]:
    """Does the act, refreshes the per-image assets and counts; the data are left as the act did."""
    team.iip("refresh", *COUNTED)
    changed, expected = act.do(team)
    team.dvc("add", "--quiet", "data")
    before = count_rows(team.root)
    told = json.loads(team.iip("refresh", *COUNTED, "--json").stdout)
    after = count_rows(team.root)
    images = {name: told["images"].get(name, {"computed": 0})["computed"] for name in COUNTED}
    return [
        Work(act.name, name, changed, expected[name], images[name], after[name] - before[name])
        for name in COUNTED
    ]


def count_rows(root: Path) -> dict[str, int]:
    """Rows in the feature tables of each per-image asset."""
    tables = read_features(root)
    return {
        name: sum(len(rows) for table, rows in tables.items() if table.startswith(f"{name}-"))
        for name in COUNTED
    }


def _alike(count: int) -> dict[str, int]:
    return dict.fromkeys(COUNTED, count)


def _images(team: Team) -> list[Path]:
    return sorted((team.root / "data" / "batches").glob("*/images/*"))


def _draw_on(files: Sequence[Path], value: int) -> None:
    """Changes a few pixels of each; the file is a new one, since DVC may have linked it."""
    import cv2

    for file in files:
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        image[:5, 0] = value  # not what other tests draw: those rows are known
        file.unlink()
        assert cv2.imwrite(str(file), image)


def _change(share: float, value: int) -> Callable[[Team], tuple[int, dict[str, int]]]:
    def do(team: Team) -> tuple[int, dict[str, int]]:
        files = _images(team)
        changed = files[: round(share * len(files)) if share else 0]
        _draw_on(changed, value)
        return len(changed), _alike(len(changed))

    return do


def _rename(team: Team) -> tuple[int, dict[str, int]]:
    """Renames images and the rows that name them."""
    batch = sorted((team.root / "data" / "batches").iterdir())[0]
    files = sorted((batch / "images").iterdir())[:5]
    labels = batch / "labels.csv"
    text = labels.read_text()
    for file in files:
        text = text.replace(f"images/{file.name}", f"images/renamed-{file.name}")
        file.rename(file.with_name(f"renamed-{file.name}"))
    labels.unlink()
    labels.write_text(text)
    return len(files), _alike(0)


def _duplicate(team: Team) -> tuple[int, dict[str, int]]:
    files = _images(team)[:5]
    for file in files:
        shutil.copy(file, file.with_name(f"copy-{file.name}"))
    return len(files), _alike(0)


def _go_back(team: Team) -> tuple[int, dict[str, int]]:
    """Changes images, refreshes, and puts them back as they were."""
    files = _images(team)[:5]
    kept = [file.read_bytes() for file in files]
    _draw_on(files, 77)
    team.dvc("add", "--quiet", "data")
    team.iip("refresh", *COUNTED)
    for file, data in zip(files, kept, strict=True):
        file.unlink()
        file.write_bytes(data)
    return len(files), _alike(0)


def _add_batch(team: Team) -> tuple[int, dict[str, int]]:
    new = team.root / "new-batches"
    write_dataset(new, images=8, seed=99, batches=1)
    for batch in [one for one in new.iterdir() if one.is_dir()]:
        batch.rename(team.root / "data" / "batches" / f"9999-{batch.name}")
    shutil.rmtree(new)
    return 8, _alike(8)


def _correct_mask(team: Team) -> tuple[int, dict[str, int]]:
    """One mask is corrected: statistics and the mask's own check read it, embeddings do not."""
    mask = sorted((team.root / "data" / "batches").glob("*/masks/*.png"))[0]
    _draw_on([mask], 1)
    return 1, {**_alike(1), "image_embeddings": 0}


ACTS = (
    Act("nothing changed", _change(0.0, 255)),
    Act("1% changed", _change(0.0125, 254)),
    Act("10% changed", _change(0.1, 253)),
    Act("renamed", _rename),
    Act("copied under another name", _duplicate),
    Act("changed and put back", _go_back),
    Act("a new batch", _add_batch),
    Act("a corrected mask", _correct_mask),
)
