"""`iip export` writes what the graph holds, in forms that come back equal."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import pytest

from iip_assets.images.store import content_md5
from iip_assets.ingest.formats.coco import convert_coco
from iip_assets.ingest.formats.labelstudio import convert_labelstudio
from iip_assets.settings import DatasetSettings
from iip_assets_tests.graph.conftest import Team

pytestmark = pytest.mark.slow

CONVERT = {"coco": convert_coco, "labelstudio": convert_labelstudio}


def said(*batches: Path) -> dict[str, tuple[dict[str, str], object]]:
    """By image id: the cells that are not empty, and the mask's pixels."""
    found: dict[str, tuple[dict[str, str], object]] = {}
    for batch in batches:
        with (batch / "labels.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                image, mask = row.pop("image"), row.pop("mask", "")
                pixels = cv2.imread(str(batch / mask), cv2.IMREAD_UNCHANGED) if mask else None
                facts = {name: cell for name, cell in row.items() if cell}
                if "age_years" in facts:
                    facts["age_years"] = str(float(facts["age_years"]))
                key = content_md5((batch / image).read_bytes())
                found[key] = (facts, None if pixels is None else pixels.tolist())
    return found


@pytest.mark.parametrize("form", CONVERT)
def test_the_sample_goes_out_and_comes_back(team: Team, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    done = team.iip("export", str(out), "--format", form)
    assert done.stdout.startswith("80 images and ")
    assert "raw_dataset" not in done.stderr
    again = team.iip("export", str(out), "--format", form, check=False)
    assert again.returncode == 1
    assert "is not empty" in again.stderr
    classes = DatasetSettings().mask_classes
    assert CONVERT[form](out, tmp_path / "native", mask_classes=classes).problems == ()
    batches = [path.parent for path in team.root.glob("data/batches/*/labels.csv")]
    assert said(tmp_path / "native") == said(*batches)


def test_an_export_of_stale_data_says_so(team: Team, tmp_path: Path, revert: None) -> None:
    labels = next(team.root.glob("data/batches/*/labels.csv"))
    text = labels.read_text()
    labels.unlink()
    labels.write_text(text.replace("full", "partial"))
    team.dvc("add", "--quiet", "data")
    done = team.iip("export", str(tmp_path / "out"), "--format", "coco")
    assert done.stdout.startswith("80 images and ")
    assert "raw_dataset is stale" in done.stderr
    assert "iip refresh raw_dataset" in done.stderr


def test_a_batch_goes_out_alone(team: Team, tmp_path: Path) -> None:
    batch = sorted(path.name for path in (team.root / "data" / "batches").iterdir())[0]
    out = tmp_path / "out"
    team.iip("export", str(out), "--format", "coco", "--batch", batch)
    assert {path.name for path in (out / "images" / "default").iterdir()} == {batch}
    unknown = team.iip(
        "export", str(tmp_path / "no"), "--format", "coco", "--batch", "x", check=False
    )
    assert unknown.returncode == 1
    assert batch in unknown.stderr
    assert not (tmp_path / "no").exists()
