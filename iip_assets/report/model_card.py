"""A version's card: what it is, what it was made of, how good it is and for whom it is not.

After Mitchell et al., Model Cards for Model Reporting (2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from iip_assets.errors import counted
from iip_assets.report.blocks import (
    Block,
    Column,
    Item,
    Listing,
    Paragraph,
    Section,
    Table,
    estimate,
    estimate_column,
    interval_words,
)
from iip_assets.report.html import page
from iip_assets.report.sections.guarantee import promises
from iip_assets.report.text import markdown

USES = {
    "filter": "Tells images with a whole iris, with a part of one and with none apart, so that "
    "only usable ones reach the segmenter.",
    "segmenter": "Names the class of every pixel of an eye image. It stands behind the filter, "
    "which should have let the image pass.",
}

Record = Mapping[str, Any]


def model_card(
    model: str,
    version: str,
    facts: Record,
    metrics: Sequence[Record],
    *,
    digest: str,
    metric: str,
    confidence: float,
) -> dict[str, bytes]:
    """The card as Markdown and as a page that loads nothing, by the names of their files.

    Args:
        model: `filter` or `segmenter`.
        version: Its number.
        facts: What is recorded with the version.
        metrics: Rows of the table `metrics` of an evaluation, of this model alone.
        digest: What tells it from others.
        metric: The headline metric.
        confidence: Of the intervals.
    """
    title = f"{model} {version}"
    lead: list[Block] = [
        Paragraph(USES[model]),
        Paragraph("It says nothing about who somebody is, and was not made to."),
    ]
    slices = [row for row in metrics if row["axis"] != "overall" and row["metric"] == metric]
    sections = [
        _made_of(facts, digest),
        _how_good(facts, metrics, metric, confidence),
        *([promises(rows)] if (rows := facts.get("promises")) else []),
        *_for_whom(slices, metric),
    ]
    return {
        "model_card.md": markdown(title, lead, sections).encode(),
        "model_card.html": page(title, lead, sections).encode(),
    }


def _made_of(facts: Record, digest: str) -> Section:
    parts = {
        "data revision": facts["data_revision"],
        "git commit": facts["git_commit"],
        "code key": facts["code_key"],
        "action key": facts["action_key"],
        "trained at": facts["made_at"],
        "trained and chosen on": counted(facts["learned_from"], "image"),
        "digest": digest,
        "ONNX against torch": facts["onnx"],
        "remedy for groups": facts.get("remedy", "none"),
    }
    columns = [Column("made of", "name"), Column("", "part")]
    rows = [{"name": name, "part": part} for name, part in parts.items()]
    settings = [Item(text=f"{name} = {one}") for name, one in sorted(facts["settings"].items())]
    table = Table("What it was made of", columns, rows)
    return Section("made", "Made of", [table, Paragraph("Settings:"), Listing(settings)])


def _how_good(facts: Record, metrics: Sequence[Record], metric: str, confidence: float) -> Section:
    text = (
        "On test images that it was neither trained nor chosen on, with "
        f"{interval_words(confidence)}s over subjects."
    )
    value = estimate_column(f"value, {interval_words(confidence)}")
    overall = [row for row in metrics if row["axis"] == "overall"]
    name = Column("metric", "metric")
    table = Table("All metrics", [name, value, "n_images", "n_subjects"], overall)
    validated = "There were no validation images to judge it on."
    if found := facts["validation"]:
        validated = (
            f"On the {found['n_images']} validation images of {found['n_subjects']} subjects, by "
            f"which its best epoch was chosen: {metric} "
            f"{estimate(found['value'], found['low'], found['high'])}."
        )
    return Section("good", "How good it is", [Paragraph(text), table, Paragraph(validated)])


def _for_whom(slices: Sequence[Record], metric: str) -> list[Section]:
    columns: list[Column | str] = [
        Column("slice", lambda row: f"{row['axis']} {row['slice']}"),
        "value",
        "n_images",
        "n_subjects",
        Column("", lambda row: "" if row["enough"] else "too small to judge"),
    ]
    small = [f"{row['axis']} {row['slice']}" for row in slices if not row["enough"]]
    text = "Every slice has enough test images to be judged."
    if small:
        text = f"Too few test images to judge: {', '.join(small)}."
    where = (
        "A number holds for images like those of the test split. Other cameras, other light, "
        "other people are another question: look at the drift report before trusting it there."
    )
    return [
        Section("whom", "For whom", [Table(f"{metric} by slice", columns, slices)]),
        Section("limits", "Limits", [Paragraph(text), Paragraph(where)]),
    ]
