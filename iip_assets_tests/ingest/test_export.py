"""What goes out as COCO or Label Studio JSON comes back equal, and nothing is overwritten."""

import json
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.dataset.csv_file import csv_text
from iip_assets.dataset.raw import RawDataset
from iip_assets.dataset.schema import EYES, LABELS
from iip_assets.dataset.spellings import is_unknown
from iip_assets.images.decode import decode_mask
from iip_assets.images.store import content_md5
from iip_assets.ingest.export import write_export
from iip_assets.ingest.export_rows import rows_to_export
from iip_assets.ingest.formats.coco import convert_coco
from iip_assets.ingest.formats.labelstudio import convert_labelstudio
from iip_assets_tests.dataset.images import MemoryStore, encoded, png_header, scene
from iip_assets_tests.dataset.team_workspace import joined
from iip_assets_tests.ingest.tool_exports import HEIGHT, MASK_CLASSES, WIDTH

CONVERT = {"coco": convert_coco, "labelstudio": convert_labelstudio}
IMAGES = [encoded(scene(HEIGHT, WIDTH, seed), "PNG") for seed in range(3)]


def join(files: dict[str, bytes]) -> tuple[RawDataset, MemoryStore]:
    store = MemoryStore({content_md5(data): data for data in files.values()})
    return joined(files), store


def labels_csv(rows: list[dict[str, str]]) -> bytes:
    return csv_text(sorted({name for row in rows for name in row}), rows).encode()


def mask_png(pixels: np.ndarray) -> bytes:
    return encoded(np.asarray(pixels, np.uint8), "PNG")


def export(files: dict[str, bytes], out: Path, form: str, *, batch: str | None = None):
    raw, store = join(files)
    assert raw.problems.is_empty(), raw.problems
    return write_export(
        out,
        rows_to_export(raw.images, raw.label_rows, batch=batch),
        form=form,
        store=store,
        mask_classes=MASK_CLASSES,
        max_megapixels=1.0,
        log=print,
    )


def read_back(folder: Path, form: str) -> dict[str, bytes]:
    """The files of a data folder with the exported batch in it."""
    out = folder.parent / f"{folder.name}-native"
    assert CONVERT[form](folder, out, mask_classes=MASK_CLASSES).problems == ()
    return {
        f"batches/b/{file.relative_to(out).as_posix()}": file.read_bytes()
        for file in out.rglob("*")
        if file.is_file()
    }


def said(files: dict[str, bytes]) -> tuple[list[dict], set[tuple]]:
    """All that is known of the images, and of what each labeler says; masks by their pixels."""
    raw, store = join(files)
    assert raw.problems.is_empty(), raw.problems

    def pixels(mask_id: str | None):
        if mask_id is None:
            return None
        mask = decode_mask(store.read(mask_id), height=HEIGHT, width=WIDTH, n_classes=4)
        return mask.tolist()

    images = raw.images.with_columns(
        pl.col("mask_id").map_elements(lambda one: str(pixels(one)), return_dtype=pl.Utf8)
    )
    # Which file an opinion stands in does not matter, nor whether it stands in both. The mask that
    # counts is given to the opinion that counts; what has nobody's name is kept where it counts.
    counting = {(row["image_id"], row["labeler"]) for row in raw.images.iter_rows(named=True)}
    opinions = {
        (key, row["label"], None if key in counting else str(pixels(row["mask_id"])))
        for row in raw.label_rows.iter_rows(named=True)
        if (key := (row["image_id"], row["labeler"]))
        and (
            row["label"] if key in counting else row["labeler"] and (row["label"] or row["mask_id"])
        )
    }
    return images.drop("path", "batch", "mask_path").to_dicts(), opinions


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=6
).filter(lambda text: not is_unknown(text))
facts = {
    "subject_id": texts,
    "eye": st.sampled_from(EYES),
    "age_years": st.floats(0, 120).map(lambda age: f"{age:f}"),
    "gender": st.sampled_from(["female", "male"]),
    "geography": texts,
    "captured_at": st.datetimes().map(lambda time: f"{time.replace(microsecond=0)}"),
    "site": texts,
    "clinic, ward": texts,
}
masks = st.lists(
    st.sampled_from([0, 0, 1, 2, 3, 255]), min_size=HEIGHT * WIDTH, max_size=HEIGHT * WIDTH
).map(lambda values: np.reshape(values, (HEIGHT, WIDTH)))


@st.composite
def batches(draw: st.DrawFn, *, most_labelers: int) -> dict[str, bytes]:
    """A data folder of one batch: images, and one row or several for each."""
    files: dict[str, bytes] = {}
    rows: list[dict[str, str]] = []
    beside: list[dict[str, str]] = []
    names = draw(st.sampled_from([("0.png", "1.png", "2.png"), ("x.png", "X.png", "x-2.png")]))
    for number, (data, name) in enumerate(zip(IMAGES, names, strict=True)):
        image = draw(st.sampled_from(["", "left/", "a b/é ", "site/images/"])) + name
        files[f"batches/b/images/{image}"] = data
        common = draw(st.fixed_dictionaries({}, optional=facts))
        labelers = draw(st.lists(texts, max_size=most_labelers, unique_by=str.lower)) or [""]
        for index, labeler in enumerate(labelers):
            row = {"image": f"images/{image}", "labeler": labeler, **common}
            row["label"] = draw(st.sampled_from(["", *LABELS]))
            mask = draw(st.none() | masks)
            if mask is not None:
                row["mask"] = f"masks/{number}-{index}.png"
                files[f"batches/b/{row['mask']}"] = mask_png(mask)
            rows.append(row)
        people = draw(st.lists(texts, max_size=2, unique_by=str.lower)) if most_labelers > 1 else ()
        for labeler in (one for one in people if one not in labelers):
            row = {"image": f"images/{image}", "labeler": labeler}
            row["label"] = draw(st.sampled_from(LABELS))
            row["labeled_at"] = draw(st.just("") | st.dates().map(str))
            beside.append(row)
    files["batches/b/labels.csv"] = labels_csv(rows)
    if beside:
        files["batches/b/annotations.csv"] = labels_csv(beside)
    return files


@settings(max_examples=60, deadline=None, derandomize=True)
@given(batches(most_labelers=3))
def test_everything_comes_back_from_label_studio(files):
    with tempfile.TemporaryDirectory() as folder:
        export(files, Path(folder, "out"), "labelstudio")
        assert said(read_back(Path(folder, "out"), "labelstudio")) == said(files)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(batches(most_labelers=1))
def test_everything_comes_back_from_coco(files):
    with tempfile.TemporaryDirectory() as folder:
        export(files, Path(folder, "out"), "coco")
        assert said(read_back(Path(folder, "out"), "coco")) == said(files)


CSV = b"image,label,mask,labeler\n"
MASK = mask_png(np.full((HEIGHT, WIDTH), 2))
TWO = {
    "batches/b1/images/a.png": IMAGES[0],
    "batches/b1/images/b.png": IMAGES[1],
    "batches/b1/masks/a.png": MASK,
    "batches/b1/labels.csv": CSV
    + b"images/a.png,full,masks/a.png,ann\nimages/a.png,none,,bob\nimages/b.png,none,,ann\n",
}


def test_coco_says_which_opinions_it_has_no_place_for(tmp_path):
    done = export(TWO, tmp_path / "out", "coco")
    assert (done.images, done.masks) == (2, 1)
    assert done.left_out == ("1 label rows of further labelers, for which COCO has no place",)
    images, _ = said(read_back(tmp_path / "out", "coco"))
    assert images == said(TWO)[0]


@pytest.mark.parametrize("form", CONVERT)
def test_what_a_later_batch_corrected_goes_out_corrected(tmp_path, form):
    """The label is of the newest batch, the mask still of the one before."""
    again = b"image,label,labeler\n" + content_md5(IMAGES[0]).encode() + b",partial,zoe\n"
    files = {**TWO, "batches/b2/labels.csv": again}
    export(files, tmp_path / "out", form)
    back = read_back(tmp_path / "out", form)
    assert said(back)[0] == said(files)[0]
    first = next(row for row in said(back)[0] if row["image_id"] == content_md5(IMAGES[0]))
    assert (first["label"], first["labeler"]) == ("partial", "zoe")


def test_a_mask_without_any_region_is_a_mask_still(tmp_path):
    files = {**TWO, "batches/b1/masks/a.png": mask_png(np.zeros((HEIGHT, WIDTH)))}
    for form in CONVERT:
        export(files, tmp_path / form, form)
        assert said(read_back(tmp_path / form, form))[0] == said(files)[0]


def test_only_the_images_of_a_batch_go_out(tmp_path):
    files = {
        **TWO,
        "batches/b2/images/a.png": IMAGES[2],
        "batches/b2/labels.csv": b"image,label\nimages/a.png,full\n",
    }
    assert export(files, tmp_path / "one", "coco", batch="b2").images == 1
    assert export(files, tmp_path / "both", "coco").images == 3
    with pytest.raises(LookupError, match="there are b1, b2"):
        export(files, tmp_path / "none", "coco", batch="b3")


def test_names_that_would_fall_together_are_told_apart(tmp_path):
    files = {"images/a.png": IMAGES[0], "A.png": IMAGES[1], "images/images/a.png": IMAGES[2]}
    for form in CONVERT:
        assert export(files, tmp_path / form, form).images == 3
        assert len(said(read_back(tmp_path / form, form))[0]) == 3


def test_what_cannot_be_decoded_is_left_out_and_named(tmp_path):
    files = {
        **TWO,
        "batches/b1/images/b.png": png_header(10_000, 10_000),
        "batches/b1/masks/a.png": mask_png(np.full((HEIGHT, WIDTH), 9)),
    }
    done = export(files, tmp_path / "out", "labelstudio")
    assert (done.images, done.masks) == (1, 0)
    assert sorted(words.split(":")[0] for words in done.left_out) == [
        "b1/b.png",
        "the mask of b1/a.png",
    ]


def test_a_folder_with_something_in_it_is_not_touched(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        export(TWO, tmp_path, "coco")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_export_that_breaks_leaves_nothing(tmp_path):
    raw, store = join(TWO)
    rows = rows_to_export(raw.images, raw.label_rows)
    assert [row.name for row in rows] == ["b1/a.png", "b1/b.png"]
    del store.files[content_md5(IMAGES[1])]
    with pytest.raises(KeyError):
        write_export(
            tmp_path / "out",
            rows,
            form="coco",
            store=store,
            mask_classes=MASK_CLASSES,
            max_megapixels=1.0,
            log=print,
        )
    assert list(tmp_path.iterdir()) == []
    assert set(store.fetched) == {content_md5(data) for data in (*IMAGES[:2], MASK)}


def test_label_studio_is_given_an_interface_that_fits(tmp_path):
    export(TWO, tmp_path / "out", "labelstudio")
    interface = (tmp_path / "out" / "label_config.xml").read_text()
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    results = [one for task in tasks for said in task["annotations"] for one in said["result"]]
    assert {one["type"] for one in results} == {"choices", "brushlabels"}
    for result in results:
        (word,) = result["value"][result["type"]]
        assert f'value="{word}"' in interface
        assert f'name="{result["from_name"]}"' in interface
