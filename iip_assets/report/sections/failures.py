"""Images to look at: failures of both models, what the filter rejects, and what counted in them."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.audit import explained_images as hardest
from iip_assets.audit.explained_measures import APART, RIGHT, WRONG
from iip_assets.audit.figures import SCORES, explained_caption, hardest_of
from iip_assets.evaluation.figures import threshold_figure
from iip_assets.evaluation.threshold import counted, to_label_next
from iip_assets.images.contact_sheet import image_name
from iip_assets.metrics.names import spelled
from iip_assets.report.blocks import (
    NAME,
    Block,
    Column,
    Heading,
    Image,
    Images,
    NextStep,
    Paragraph,
    Section,
    Table,
    count,
    interval,
    number,
    percent,
    plot,
    short_number,
)
from iip_assets.report.gallery import gallery, with_facts
from iip_assets.report.metrics import records

MOST = 12
# What is drawn of an explanation.
_DRAWN = ("rows", "columns", "attribution", "said_outline", "true_outline")

_HARDEST = (
    "The hardest images, and beside each which parts counted: parts were hidden one after another, "
    "and a part counts what the model's word loses by it. White lines are what is true: for the "
    "filter the eye, for the segmenter the class. Orange lines are where the segmenter saw the "
    "class. Colours are on each image's own scale."
)
_MEASURES = (
    "Over a sample of right and of wrong predictions: the share of what counted that lies on the "
    "eye, beside the eye's share of the image, which is what chance has there. The deletion gain "
    "says whether this is true of the model: how much smaller the area under its curve is while "
    "the parts that counted most are hidden first than while parts are hidden by chance. At 0 the "
    "images above mean nothing."
)

Record = dict[str, Any]


def failures(raw_dataset: dict[str, pl.DataFrame], predictions: pl.DataFrame) -> Section:
    """The lowest IoU of the segmenter, and the filter's surest contradictions of labels."""
    images = raw_dataset["images"]
    worst, surest = worst_segmentations(predictions, images), surest_errors(predictions, images)
    blocks: list[Block] = []
    text = (
        "Held-out images to look at first. Some may be errors of the label rather than of the "
        "model."
    )
    if worst or surest:
        blocks.append(Paragraph(text))
    if worst:
        captions = (f" {row['label'] or 'no label'}" for row in worst)
        shown = gallery(worst, (number(row["value"]) for row in worst), captions)
        blocks += [Heading(f"Segmenter: lowest {worst[0]['metric']}"), shown]
    if surest:
        leads = (f"{row['predicted']} {percent(row['confidence'])}" for row in surest)
        captions = (f", labelled {row['label']}" for row in surest)
        shown = gallery(surest, leads, captions)
        blocks += [Heading("Filter: surest contradictions of the label"), shown]
    data = {"failures": {"segmenter": worst, "filter": surest}}
    return Section("failures", "Failures", blocks, data)


def worst_segmentations(predictions: pl.DataFrame, images: pl.DataFrame) -> list[Record]:
    """Held-out images with the lowest IoU, the lowest first."""
    worst = hardest.lowest_iou(predictions, most=MOST)
    column = hardest.iou_column(worst)
    if column is None:
        return []
    metric = spelled(column).replace("IoU ", "IoU of ", 1)
    rows = worst.select("image_id", "label", metric=pl.lit(metric), value=column)
    return records(with_facts(rows, images))


def surest_errors(predictions: pl.DataFrame, images: pl.DataFrame) -> list[Record]:
    """Held-out images whose label the filter contradicts, the most confident first."""
    surest = hardest.surest_errors(predictions, most=MOST)
    if surest.is_empty():
        return []
    rows = surest.select("image_id", "label", "predicted", "confidence")
    return records(with_facts(rows, images))


def passing(
    raw_dataset: dict[str, pl.DataFrame], filter_verdicts: dict[str, pl.DataFrame]
) -> Section | None:
    """What the filter lets pass, what that costs, and what it rejects that nobody has labelled."""
    if filter_verdicts["threshold"].is_empty():
        return None
    chosen = filter_verdicts["threshold"].row(0, named=True)
    verdicts, images = filter_verdicts["verdicts"], raw_dataset["images"]
    unlabelled = to_label_next(verdicts, images, threshold=chosen["threshold"])
    to_label = unlabelled.head(MOST).select("image_id", "predicted", "usable_score")
    names = ("threshold", "break_even", "cost", "low", "high", "usable", "unusable", "subjects")
    found = {
        **records(filter_verdicts["threshold"].select(names))[0],
        **counted(verdicts),
        "rejected_unlabelled": unlabelled.height,
        "to_label": records(with_facts(to_label, images)),
    }
    text = (
        f"{count(found['passed'])} images pass, {count(found['rejected'])} are rejected. The "
        f"threshold, {number(found['threshold'])}, is where lost irises and failed segmentations "
        "cost least on the validation images; with perfectly calibrated probabilities it would be "
        f"{number(found['break_even'])}."
    )
    blocks: list[Block] = [
        Paragraph(text),
        plot(
            lambda: threshold_figure(filter_verdicts["curve"], chosen),
            "Cost of the filter and its errors by threshold",
            "The band is the interval of the cost, over subjects.",
        ),
    ]
    if rows := found["to_label"]:
        captions = (f", usable {percent(row['usable_score'])}" for row in rows)
        blocks += [
            Heading(f"Rejected, and never labelled: {count(found['rejected_unlabelled'])}"),
            Paragraph("The least sure first. A label on these teaches the filter most."),
            gallery(rows, (row["predicted"] for row in rows), captions),
        ]
    return Section("passing", "What the filter lets pass", blocks, {"passing": found})


def explanations(
    raw_dataset: dict[str, pl.DataFrame], model_explanations: dict[str, pl.DataFrame]
) -> Section | None:
    """The hardest images of each model with what counted, and the measures of the samples."""
    explained = model_explanations["explained"]
    if explained.is_empty():
        return None
    blocks: list[Block] = [Paragraph(_HARDEST)]
    shown = {}
    for model in SCORES:
        rows = with_facts(hardest_of(explained, model), raw_dataset["images"])
        if rows.height:
            captions = [explained_caption(row) for row in rows.iter_rows(named=True)]
            drawn = records(rows.select("image_id", "path", "batch", *_DRAWN))
            pairs = zip(drawn, captions, strict=True)
            shown[model] = [{**row, "caption": caption} for row, caption in pairs]
            blocks += _explained(model, shown[model])
    measures = records(model_explanations["measures"])
    columns: list[Column | str] = ["model", "predictions", Column("mean", "metric", NAME)]
    columns += ["value", "n_images", "n_subjects", "enough"]
    caption = "Where the models look, over samples of held-out images"
    blocks += [
        Heading("Does it look at the eye, and is that so"),
        Paragraph(_MEASURES),
        Table(caption, columns, measures),
    ]
    data = {"explanations": {"images": shown, "measures": measures}}
    steps = _looks_elsewhere(measures)
    return Section("explanations", "Where the models looked", blocks, data, steps=steps)


def _explained(model: str, rows: list[Record]) -> list[Block]:
    from iip_assets.audit.figures import explained_tile, legend_figure

    def tile(row: Record) -> Image:
        """An image beside what counted in it."""
        name = image_name(row["image_id"], row["path"])
        return Image(
            f"Image {name}, and beside it which parts counted",
            lambda reader: explained_tile(reader.image(row["image_id"]), row),
            (row["image_id"],),
            caption=row["caption"],
            source=name,
        )

    alt = f"Blue, grey and yellow: {SCORES[model]} rises or falls"
    return [
        Heading(model.capitalize()),
        plot(lambda: legend_figure(SCORES[model]), alt),
        Images([tile(row) for row in rows], "gallery wide"),
    ]


def _looks_elsewhere(rows: list[Record]) -> list[NextStep]:
    """Models that look at the eye less where they are wrong than where they are right."""
    # Beyond chance: where the eye is small, little lies on it anyway.
    gains = [row for row in rows if row["metric"] == "share_gain" and row["enough"]]
    found = []
    for row in gains:
        if row["predictions"] != APART or row["low"] is None or row["low"] <= 0:
            continue
        mean = {one["predictions"]: one["value"] for one in gains if one["model"] == row["model"]}
        ends = interval(row["low"], row["high"], short_number)
        found.append(
            NextStep(
                3,
                f"Where the {row['model']} is wrong, it looks less at the eye",
                f"The share of what counted that lies on the eye is {mean[RIGHT]:.2f} above chance "
                f"where it is right, {mean[WRONG]:.2f} where it is wrong (difference {ends}, "
                f"n = {row['n_images']} each at least). See what it looked at instead, and whether "
                "the labels are right.",
            )
        )
    return found
