"""Labels and masks that are likely wrong, and whether what is seen is also marked."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.errors import counted
from iip_assets.images.contact_sheet import image_name
from iip_assets.labels.error_figures import caption, counted_kinds, read_tile
from iip_assets.labels.label_errors import CLASS, MASK, OUTLIER
from iip_assets.metrics.names import HUMAN, OVERALL
from iip_assets.models.tasks import SEGMENTER
from iip_assets.report.blocks import (
    COUNT,
    PERCENT,
    Block,
    Column,
    Heading,
    Image,
    ImageReader,
    Images,
    NextStep,
    Paragraph,
    Section,
    Table,
    estimate_column,
    interval,
    percent,
)
from iip_assets.report.metrics import records

MOST = 12
"""Of labels, of masks and of other images, however much surer one of them is."""

# A class that fewer of the images in which it is seen have marked is asked about.
_LOW = 0.9

_TEXT = (
    "Each was held against models that did not see its subject. A mask is named where one change "
    "would make it far likelier; lines are the borders that are marked, the box is where to look. "
    "They are likely errors, not certain ones: `iip labels review` writes them for a labeling "
    "tool, and the answers come back as a batch that corrects."
)
_MARKED = (
    "Of the images in which a class is seen, those in which it is marked. Where devices, batches "
    "or labelers differ, they follow different rules: `data/LABELING.md` is the place to settle "
    "which."
)
_CEILING = (
    "How far the labels contradict themselves limits every model. The ceiling is the IoU of a "
    "model that marks the class wherever it is seen; people are one mask against another's, "
    "where several drew the same test images."
)

# Beside the ceiling of a class stands its IoU of these.
_BESIDE = {"segmenter": SEGMENTER.name, "people": f"{SEGMENTER.name}{HUMAN}"}
_ENDS = ("value", "low", "high")

_HEADINGS = {CLASS: "Labels", MASK: "Masks", OUTLIER: "Images unlike all others"}

Record = dict[str, Any]


def label_errors(
    raw_dataset: dict[str, pl.DataFrame],
    label_errors: pl.DataFrame,
    label_consistency: dict[str, pl.DataFrame] | None = None,
    model_evaluation: dict[str, pl.DataFrame] | None = None,
) -> Section:
    """What to label anew, and the IoU that the labels allow."""
    flagged = label_errors.filter("flagged")
    kinds = counted_kinds(label_errors)
    images = raw_dataset["images"].select("image_id", "path", "mask_id")
    first = flagged.filter(pl.int_range(pl.len()).over("what") < MOST)
    rows = records(first.join(images, on="image_id", maintain_order="left"))
    blocks: list[Block] = []
    steps: list[NextStep] = []
    if rows:
        columns: list[Column | str] = [
            *("what", "kind", "suggested"),
            Column("flagged", "flagged", COUNT),
            Column("looked at", "images", COUNT),
        ]
        blocks += [Paragraph(_TEXT), Table("Likely errors by kind", columns, kinds)]
        for what, heading in _HEADINGS.items():
            if tiles := [_tile(row) for row in rows if row["what"] == what]:
                blocks += [Heading(heading), Images(tiles, "gallery")]
        text = (
            f"The most frequent: {kinds[0]['suggested']} ({kinds[0]['flagged']}). "
            "`iip labels review` writes them for a labeling tool."
        )
        steps.append(NextStep(2, f"{counted(flagged.height, 'label or mask')} to look at", text))
    data: Record = {
        "label_errors": {"kinds": kinds, "first": [_without_region(row) for row in rows]}
    }
    if label_consistency is not None:
        marked, ceiling = _consistency(label_consistency, model_evaluation)
        data["label_consistency"] = {"marked": marked, "ceiling": ceiling}
        blocks += _consistency_blocks(marked, ceiling)
        steps += _unmarked_steps(marked)
    return Section("label_errors", "Likely wrong labels", blocks, data, steps=steps)


def _tile(row: Record) -> Image:
    name = image_name(row["image_id"], row["path"])
    ids = [row["image_id"]]
    if row["what"] == MASK and row["mask_id"] is not None:
        ids.append(row["mask_id"])

    def draw(reader: ImageReader) -> Any:
        return read_tile(row, row["mask_id"], reader.read, max_megapixels=reader.max_megapixels)

    lead, _, rest = caption(row).partition(": ")
    return Image(f"Image {name}: {lead}", draw, tuple(ids), lead, f": {rest}", name)


def _without_region(row: Record) -> Record:
    return {key: value for key, value in row.items() if key not in ("region", "group_id")}


def _consistency(
    found: dict[str, pl.DataFrame], evaluation: dict[str, pl.DataFrame] | None
) -> tuple[list[Record], list[Record]]:
    """The rows of both tables; beside each ceiling the IoU of the model and of people."""
    others: dict[tuple[str, str], Record] = {}
    if evaluation is not None:
        overall = evaluation["metrics"].filter(axis=OVERALL)
        others = {(row["model"], row["metric"]): row for row in records(overall)}
    ceiling = []
    for row in records(found["ceiling"]):
        for name, model in _BESIDE.items():
            own = others.get((model, f"iou_{row['class']}"), {})
            row |= {f"{name}_{end}": own.get(end) for end in _ENDS}
        ceiling.append(row)
    return records(found["marked"]), ceiling


def _consistency_blocks(marked: list[Record], ceiling: list[Record]) -> list[Block]:
    if not marked:
        return []
    usual: list[Column | str] = ["n_images", "n_subjects", "enough"]
    of_all = Column("marked, of all with an eye", "marked_share", PERCENT)
    share = estimate_column("marked, interval", show=percent)
    return [
        Heading("Is what is seen also marked"),
        Paragraph(_MARKED),
        Table(
            "Share of the images in which a class is seen that have it marked",
            ["class", "axis", "slice", share, *usual, of_all],
            marked,
        ),
        Paragraph(_CEILING),
        Table(
            "The IoU that the labels allow",
            [
                "class",
                estimate_column("ceiling, interval"),
                "n_images",
                *(
                    estimate_column(f"{name}, interval", *(f"{name}_{end}" for end in _ENDS))
                    for name in _BESIDE
                ),
            ],
            ceiling,
        ),
    ]


def _unmarked_steps(marked: list[Record]) -> list[NextStep]:
    """The class that is left out the most, where that is certain."""
    low = [
        row
        for row in marked
        if row["axis"] == OVERALL and row["enough"] and row["high"] is not None
        if row["high"] < _LOW
    ]
    return [
        NextStep(
            1,
            f"{row['class'].capitalize()} is seen and not marked",
            f"It is marked in {percent(row['value'])} of the {row['n_images']} images in which it "
            f"is seen ({interval(row['low'], row['high'], percent)}). Settle in `data/LABELING.md` "
            "when it is to be marked, then correct the others.",
        )
        for row in sorted(low, key=lambda row: row["value"])[:1]
    ]
