from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import cv2
import pytest

from iip_assets.synthetic.parameters import SAMPLE, PlantedEffects
from iip_assets.synthetic.write import write_dataset
from iip_assets_tests.synthetic.eye_strategies import label_by_rule

COLUMNS = "image,label,mask,subject_id,eye,age_years,gender,ethnicity,geography,device,captured_at"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    write_dataset(out, images=160, seed=7, effects=SAMPLE)
    return out


def batches_of(out: Path) -> list[Path]:
    return sorted(path for path in out.iterdir() if path.is_dir())


def test_batches_have_the_inbox_layout(sample):
    batches = batches_of(sample)
    assert [b.name for b in batches] == [
        "2026-01-clinic",
        "2026-03-mobile",
        "2026-05-kiosk",
        "2026-07-headset",
    ]
    for batch in batches:
        assert (batch / "READY").read_bytes() == b""
        assert (batch / "labels.csv").read_text().splitlines()[0] == COLUMNS
        rows = rows_of(batch / "labels.csv")
        assert {r["image"] for r in rows} == {f"images/{p.name}" for p in batch.glob("images/*")}
        assert {r["mask"] for r in rows} == {f"masks/{p.name}" for p in batch.glob("masks/*")}
        assert {r["eye"] for r in rows} <= {"left", "right"}
        assert {r["label"] for r in rows} <= {"full", "partial", "none", "unclear"}
        # A copy of another batch's shot keeps the time of that shot.
        in_month = [r["captured_at"].startswith(batch.name[:7]) for r in rows]
        assert sum(in_month) >= 0.9 * len(rows)
    assert sorted(p.name for p in sample.iterdir() if p.is_file()) == ["LABELING.md", "truth.csv"]


def test_images_and_masks_decode_at_the_size_asked_for(sample):
    for batch in batches_of(sample):
        for row in rows_of(batch / "labels.csv")[::7]:
            image = cv2.imread(str(batch / row["image"]), cv2.IMREAD_UNCHANGED)
            mask = cv2.imread(str(batch / row["mask"]), cv2.IMREAD_UNCHANGED)
            assert image.shape == (120, 160, 3)
            assert mask.shape == (120, 160)
            assert mask.max() <= 3


def test_truth_knows_every_image_and_every_written_label(sample):
    truth = {(r["batch"], r["image"]): r for r in rows_of(sample / "truth.csv")}
    written = {
        (batch.name, r["image"]): r
        for batch in batches_of(sample)
        for r in rows_of(batch / "labels.csv")
    }
    assert truth.keys() == written.keys()
    assert len(truth) == 160
    for key, row in truth.items():
        assert row["written_label"] == written[key]["label"]
        assert (row["label"] == row["written_label"]) == (row["fate"] == "right")
        assert 1 <= float(row["anatomy.skin_tone"]) <= 10
    assert {r["label"] for r in truth.values()} == {"full", "partial", "none"}


def test_without_planted_errors_every_label_follows_from_its_mask(tmp_path):
    write_dataset(tmp_path, images=60, seed=4, batches=2)
    for row in rows_of(tmp_path / "truth.csv"):
        batch = tmp_path / row["batch"]
        label = next(r for r in rows_of(batch / "labels.csv") if r["image"] == row["image"])
        mask = cv2.imread(str(batch / label["mask"]), cv2.IMREAD_UNCHANGED)
        expected = label_by_rule(mask, float(row["iris_share"]))
        assert label["label"] == row["label"] == expected


def test_processes_change_no_byte(tmp_path):
    for processes in (1, 2):
        write_dataset(
            tmp_path / str(processes), images=24, seed=5, effects=SAMPLE, processes=processes
        )
    assert bytes_of(tmp_path / "1") == bytes_of(tmp_path / "2")


def test_exact_duplicates_are_the_same_bytes_with_the_same_label(tmp_path):
    effects = PlantedEffects(exact_duplicates=0.3, label_errors=0.3, mask_errors=0.5)
    write_dataset(tmp_path, images=60, seed=6, batches=2, effects=effects)
    copies = [r for r in rows_of(tmp_path / "truth.csv") if r["same_as"]]
    assert len(copies) > 5
    truth = {f"{r['batch']}/{r['image']}": r for r in rows_of(tmp_path / "truth.csv")}
    for row in copies:
        copy, source = tmp_path / row["batch"] / row["image"], tmp_path / row["same_as"]
        assert copy.read_bytes() == source.read_bytes()
        assert row["written_label"] == truth[row["same_as"]]["written_label"]
        masks = [p.parents[1] / "masks" / f"{p.stem}.png" for p in (copy, source)]
        assert masks[0].read_bytes() == masks[1].read_bytes()


def test_unmasked_images_have_no_mask_file(tmp_path):
    write_dataset(tmp_path, images=40, seed=1, batches=1, effects=PlantedEffects(without_mask=0.5))
    (batch,) = batches_of(tmp_path)
    for row in rows_of(batch / "labels.csv"):
        name = Path(row["image"]).stem
        assert bool(row["mask"]) == (batch / "masks" / f"{name}.png").exists()
    assert 5 < len(list(batch.glob("masks/*"))) < 35


def test_the_sample_of_600_stays_under_six_megabytes(sample):
    used = sum(p.stat().st_size for b in batches_of(sample) for p in b.rglob("*") if p.is_file())
    assert used / 160 * 600 < 6e6


def test_progress_counts_every_image_and_truth_goes_where_it_is_wanted(tmp_path):
    counted: list[int] = []
    out, truth = tmp_path / "inbox", tmp_path / "known" / "truth.csv"
    write_dataset(out, images=6, seed=1, batches=3, truth=truth, progress=counted.append)
    assert sum(counted) == 6
    assert len(rows_of(truth)) == 6
    assert not (out / "truth.csv").exists()


def test_a_batch_that_is_there_is_never_overwritten(tmp_path):
    write_dataset(tmp_path, images=4, seed=1, batches=2)
    before = bytes_of(tmp_path)
    with pytest.raises(FileExistsError, match="is there already"):
        write_dataset(tmp_path, images=4, seed=2, batches=2)
    assert bytes_of(tmp_path) == before


def test_a_file_is_no_folder_for_batches(tmp_path):
    (tmp_path / "iip.toml").touch()
    with pytest.raises(FileExistsError, match=r"iip.toml is a file; give a folder"):
        write_dataset(tmp_path / "iip.toml", images=4, seed=1, batches=2)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"images": 2, "batches": 4}, "an image for each"),
        ({"seed": -1}, "seed is -1"),
        ({"processes": 0}, "processes is 0"),
    ],
    ids=["too_few", "seed", "processes"],
)
def test_impossible_datasets_say_what_is_wrong(tmp_path, wrong, says):
    with pytest.raises(ValueError, match=says):
        write_dataset(tmp_path / "out", **{"images": 8, "seed": 0, **wrong})
    assert not (tmp_path / "out").exists()
