"""The page that ties the graph together: its sections in their order, and what stands above them.

A section is a function in `sections/` whose parameters name the values that it reads. Where one of
them was skipped the section is left out, but for parameters that may be None. A new section is a
function in a file there and its place in `SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

from iip_assets.engine.reasons import by_reason
from iip_assets.engine.values import Report, Skipped
from iip_assets.errors import counted
from iip_assets.report.blocks import (
    Block,
    ImageReader,
    Images,
    Item,
    Listing,
    NextStep,
    Numbers,
    Paragraph,
    Section,
    count,
    interval_words,
)
from iip_assets.report.html import page
from iip_assets.report.sections import (
    batches,
    challenge,
    clusters,
    compression,
    data,
    drift,
    errors,
    failures,
    fairness,
    forecast,
    guarantee,
    label_errors,
    labelers,
    models,
    robustness,
    slices,
    tradeoff,
)

SECTIONS: tuple[Callable[..., Section | None], ...] = (
    data.dataset,
    data.quarantine,
    data.coverage,
    slices.ledger,
    data.leaks,
    data.light,
    clusters.clusters,
    data.tags,
    data.balance,
    data.augmentation,
    label_errors.label_errors,
    models.models,
    labelers.labelers,
    failures.passing,
    slices.slices,
    slices.discovered,
    fairness.fairness,
    errors.errors,
    failures.failures,
    failures.explanations,
    tradeoff.tradeoff,
    guarantee.guarantee,
    models.versions,
    robustness.robustness,
    challenge.challenge,
    challenge.holdout,
    compression.compression,
    drift.drift,
    forecast.forecast,
    batches.batches,
    batches.next_labels,
)
_TITLE = "Iris image pipeline: report"


def build_sections(values: Mapping[str, Any]) -> list[Section]:
    """The sections that have something to say, with what to do next and what was skipped first.

    Args:
        values: The assets' values and the settings, by the names that sections read them by.
    """
    built = [section for function in SECTIONS if (section := _build(function, values))]
    return [*_skipped(values), _next_steps(built), *built]


def image_ids(sections: Sequence[Section]) -> list[str]:
    """Ids of all images and masks that the page shows, so that they can be fetched at once."""
    blocks = (block for section in sections for block in section.blocks)
    images = (one for block in blocks if isinstance(block, Images) for one in block.images)
    return sorted({image_id for one in images for image_id in one.image_ids})


def report_data(sections: Sequence[Section]) -> dict[str, Any]:
    """The numbers of all sections: JSON alone, rounded, so that equal inputs give equal data."""
    found: dict[str, Any] = {"headlines": [], "slices": {}, "skipped": []}
    for section in sections:
        found |= section.data
    return found


def pipeline_page(
    sections: Sequence[Section],
    *,
    confidence: float,
    read: Callable[[str], bytes],
    max_megapixels: float,
) -> Report:
    """The report: its page, versioned by the numbers in it.

    Args:
        sections: Of `build_sections`.
        confidence: Of the intervals.
        read: Gives an image's bytes by its id.
        max_megapixels: Images larger than this are not decoded.
    """
    content = report_data(sections)
    numbers = sorted(
        (one for section in sections for one in section.numbers), key=lambda one: one.rank
    )
    lead: list[Block] = [Paragraph(_summary(content), soft=True)]
    if numbers:
        lead.append(Numbers(numbers, "Headline numbers"))
    html = page(
        f"{_TITLE} on {counted(content['counts']['images'], 'image')}",
        lead,
        sections,
        reader=ImageReader(read, max_megapixels),
        heading=_TITLE,
        foot=f"Values stand with their {interval_words(confidence)}s over subjects; where these "
        "are too few there is none. Drawn from the recorded results of the asset graph alone; this "
        "page loads nothing.",
        dated=True,
    )
    return Report(html, content)


def _build(function: Callable[..., Section | None], values: Mapping[str, Any]) -> Section | None:
    """The section of what it reads; None where that was skipped."""
    given = {}
    for name, parameter in signature(function).parameters.items():
        value = values[name]
        if not isinstance(value, Skipped):
            given[name] = value
        elif parameter.default is Parameter.empty:
            return None
    return function(**given)


def _skipped(values: Mapping[str, Any]) -> list[Section]:
    """Which assets were skipped, and why."""
    skipped = {name: one.reason for name, one in values.items() if isinstance(one, Skipped)}
    rows = [{"asset": name, "reason": reason} for name, reason in skipped.items()]
    lines = [Item(", ".join(names), f": {why}") for why, names in by_reason(skipped).items()]
    listing = Listing(lines)
    return [Section("skipped", "Skipped", [listing], {"skipped": rows})] if rows else []


def _next_steps(sections: Sequence[Section]) -> Section:
    """What the numbers suggest doing next."""
    found = [(step, section.name) for section in sections for step in section.steps]
    nothing = (
        "No slice, coverage gap or moved feature is clear enough to act on. More test images "
        "narrow the intervals."
    )
    found = found or [(NextStep(0, "Nothing stands out", nothing), "slices")]
    found.sort(key=lambda pair: pair[0].rank)
    rows = [{"title": step.title, "text": step.text, "section": section} for step, section in found]
    there = {section.name for section in sections if section.blocks}
    items = [
        Item(step.title, f". {step.text}", section if section in there else "")
        for step, section in found
    ]
    text = "Drawn from the numbers below. They name evidence, not causes."
    blocks: list[Block] = [Paragraph(text, soft=True), Listing(items, numbered=True)]
    return Section("next", "Next steps", blocks, {"next_steps": rows})


def _summary(content: Mapping[str, Any]) -> str:
    counts = content["counts"]
    text = (
        f"{counted(counts['images'], 'image')} of {counted(counts['subjects'], 'known subject')} "
        f"in {counted(counts['batches'], 'batch')}; with a mask: {count(counts['with_mask'])}."
    )
    if splits := counts["splits"]:
        words = ", ".join(f"{name} {count(n)}" for name, n in splits.items())
        text += f" {words.replace('train', 'Training', 1)}."
    if content["headlines"]:
        text += " Models are judged on images of people whom they never saw" + (
            "."
            if counts["subjects"]
            else ", as far as that can be told: no subject is known, so only near duplicates are "
            "kept on one side, and each group of these counts as a subject below."
        )
    return text
