"""The data side of the graph on DVC data: what is hostile is quarantined, the run goes on."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from iip_assets.dataset import assets
from iip_assets.dataset.fingerprints import fingerprint_images
from iip_assets.engine.values import CheckResult, Markdown
from iip_assets.images.dvc_data import observe_data, read_manifest
from iip_assets.settings import DatasetSettings, SplitSettings
from iip_assets_tests.dataset.conftest import dvc
from iip_assets_tests.dataset.images import encoded, png_header, scene
from iip_assets_tests.embeddings.stand_ins import PlainWork

DEFAULTS = DatasetSettings()


@dataclass
class Made:
    """What came of an asset: its value, and what was said of it."""

    value: Any
    metadata: dict[str, Any]
    checks: dict[str, CheckResult] = field(default_factory=dict)

    @property
    def passed(self) -> dict[str, bool]:
        return {name: check.passed for name, check in self.checks.items()}


def run(workspace: Path) -> dict[str, Made]:
    """All four assets in order."""
    context = PlainWork(workspace)
    manifest = read_manifest(workspace, observe_data(workspace))
    raw = assets.raw_dataset.function(manifest, context=context)
    prints = assets.image_fingerprints.function(
        raw.value,
        max_megapixels=DEFAULTS.max_megapixels,
        mask_classes=DEFAULTS.mask_classes,
        context=context,
    )
    unused = assets.quarantine.function(raw.value, prints)
    splits = assets.data_splits.function(
        raw.value,
        prints,
        (),
        splits=SplitSettings(),
        near_duplicate_bits=DEFAULTS.near_duplicate_bits,
    )
    # As the engine keeps them.
    raw_notes, split_notes = (json.loads(json.dumps(one.notes)) for one in (raw, splits))
    share = assets.undecodable_share(prints, max_undecodable_share=DEFAULTS.max_undecodable_share)
    return {
        "raw_dataset": Made(
            raw.value,
            assets.describe_raw_dataset(raw.value, raw_notes),
            {"schema": assets.schema(raw.value)},
        ),
        "image_fingerprints": Made(
            prints,
            assets.describe_image_fingerprints(prints, raw.value),
            {"undecodable_share": share},
        ),
        "quarantine": Made(unused, assets.describe_quarantine(unused)),
        "data_splits": Made(
            splits.value,
            assets.describe_data_splits(splits.value, raw.value, split_notes),
            {"no_leak": assets.no_leak(splits.value, raw.value, split_notes)},
        ),
    }


def test_sound_data_passes_every_check(workspace):
    results = run(workspace)
    assert results["raw_dataset"].passed == {"schema": True}
    assert results["image_fingerprints"].passed == {"undecodable_share": True}
    assert results["data_splits"].passed == {"no_leak": True}
    assert results["quarantine"].value.is_empty()
    assert results["data_splits"].value.height == 2
    assert results["raw_dataset"].metadata["labelled"] == 2
    for name in ("raw_dataset", "data_splits"):
        assert isinstance(results[name].metadata["plot"], Markdown)


def test_checks_are_the_ones_that_were_promised(workspace):
    for name, result in run(workspace).items():
        asset = getattr(assets, name)
        assert {check.name for check in asset.checks} == set(result.checks) == asset.blocking


def test_the_table_of_images_is_judged_against_its_schema(workspace):
    raw = run(workspace)["raw_dataset"].value
    broken = {**raw, "images": raw["images"].with_columns(label=pl.lit("round"))}
    found = assets.schema(broken)
    assert (found.passed, found.severity) == (False, "error")
    assert "label" in found.description


def test_a_near_duplicate_in_another_split_is_a_leak(workspace):
    results = run(workspace)
    splits = results["data_splits"].value
    one, other = splits["image_id"]
    torn = splits.with_columns(split=pl.Series(["train", "test"]))
    raw = results["raw_dataset"].value
    found = assets.no_leak(torn, raw, {"near_duplicates": [[one, other]]})
    assert (found.passed, found.severity) == (False, "error")
    assert f"near duplicates {one} in train and {other} in test" in found.description
    assert found.metadata["leaks"] >= 1


@pytest.fixture
def hostile(workspace):
    """Bad files and rows of every kind in a new batch."""
    batch = workspace / "data" / "batches" / "2026-02"
    (batch / "images").mkdir(parents=True)
    (batch / "masks").mkdir()
    image = scene(seed=7)
    files = {
        "images/cut.jpg": encoded(scene(120, 160), "JPEG")[:2000],
        "images/nothing.jpg": b"",
        "images/text.jpg": b"this is no image\n",
        "images/huge.png": png_header(30_000, 30_000),
        "images/cmyk.jpg": encoded(image, "JPEG", "CMYK"),
        "images/deep.png": encoded(scene(seed=8)[..., 0].astype("uint16") * 257, "PNG"),
        "images/good.png": encoded(scene(seed=9), "PNG"),
        "images/other.png": encoded(scene(seed=10), "PNG"),
        "images/twice.png": encoded(scene(seed=11), "PNG"),
        "masks/small.png": encoded(image[:9, :9, 0] * 0, "PNG"),
        "masks/class.png": encoded(image[..., 0] * 0 + 9, "PNG"),
    }
    for name, data in files.items():
        (batch / name).write_bytes(data)
    (batch / "labels.csv").write_text(
        "image,label,mask,age_years,colour\n"
        "images/good.png,full,masks/small.png,30,blue\n"
        "images/other.png,full,masks/class.png,,\n"
        "images/cmyk.jpg,none,,-3,\n"
        "../../x.jpg,none,,,\n"
        "images/twice.png,full,,,\n"
        "images/twice.png,none,,,\n"
        "images/gone.png,none,,,\n"
        "images/deep.png,round,,,\n"
    )
    dvc(workspace, "add", "data")
    return workspace


def test_hostile_files_and_rows_are_listed_and_the_rest_goes_on(hostile):
    results = run(hostile)
    table = results["quarantine"].value
    images = table.filter(pl.col("what") == "image")
    assert images["path"].str.split("/").list.last().to_list() == [
        "cut.jpg",
        "huge.png",
        "nothing.jpg",
        "text.jpg",
    ]
    masks = table.filter(pl.col("what") == "mask")
    assert masks["path"].str.split("/").list.last().to_list() == ["class.png", "small.png"]
    labels = table.filter(pl.col("what") == "label")
    assert labels["row"].to_list() == [4, 5, 6, 7, 8, 9]
    assert labels["column"].to_list() == ["age_years", *["image"] * 4, "label"]
    assert table["reason"].null_count() == table["fix"].null_count() == 0
    splits = results["data_splits"].value
    assert splits.height == 2 + 5
    assert not splits["has_mask"].any()
    assert not results["image_fingerprints"].passed["undecodable_share"]
    assert results["data_splits"].passed["no_leak"]
    batches = {row["batch"]: row for row in results["raw_dataset"].metadata["batches"].records}
    assert batches["2026-02"]["problems"] == 6
    assert batches["2026-02"]["tags"] == "colour"


def test_a_data_set_of_nothing_goes_through(workspace):
    import shutil

    shutil.rmtree(workspace / "data")
    (workspace / "data").mkdir()
    dvc(workspace, "add", "data")
    results = run(workspace)
    assert all(all(result.passed.values()) for result in results.values())
    assert results["image_fingerprints"].value.columns == [
        "image_id",
        "mask_id",
        "width",
        "height",
        "phash",
        "problem",
        "mask_problem",
    ]
    assert results["quarantine"].value.height == results["data_splits"].value.height == 0


def test_fingerprints_fetch_a_whole_chunk_at_once_and_keep_its_order():
    class Store:
        fetched: list[list[str]] = []  # noqa: RUF012 - one store in this test

        def fetch(self, md5s):
            self.fetched.append(list(md5s))

        def read(self, md5):
            return encoded(scene(height=40 + int(md5), seed=int(md5)), "PNG")

    records = [{"image_id": str(n), "mask_id": "3" if n == 2 else None} for n in range(6)]
    store = Store()
    results = fingerprint_images(records, max_megapixels=1, n_classes=4, store=store, threads=4)
    assert store.fetched == [["0", "1", "2", "3", "3", "4", "5"]]
    assert [result["height"] for result in results] == [40, 41, 42, 43, 44, 45]
    assert results[2]["mask_problem"].startswith("the mask is 64×43 pixels")


def test_the_module_of_assets_loads_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys, iip_assets.dataset.assets; "
        "sys.exit(bool({'cv2', 'polars', 'dvc', 'matplotlib', 'pandera'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
