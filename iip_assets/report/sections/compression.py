"""What smaller models save, what they cost, whom, and on which images they say something else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import polars as pl

from iip_assets.engine.values import Files
from iip_assets.errors import counted
from iip_assets.metrics.names import OVERALL, spelled
from iip_assets.report.blocks import (
    Block,
    Column,
    Heading,
    Item,
    Listing,
    NextStep,
    Paragraph,
    Row,
    Section,
    Table,
    number,
    over_interval,
    percent,
    plot,
    short_number,
    signed,
)
from iip_assets.report.gallery import gallery, with_facts
from iip_assets.report.metrics import records
from iip_assets.robustness.benchmark import CLEAN
from iip_assets.robustness.compression import losing_groups, loss_in_words
from iip_assets.robustness.compression_figures import ALT, compression_figure, worst_group
from iip_assets.robustness.variants import ORIGINAL, latency_ms

_TEXT = (
    "Each smaller model was held against the original on the same test images, so that intervals "
    "are of the difference. int8 is in 8-bit whole numbers, fp16 in 16-bit floats; pruned networks "
    "lack that share of each layer's channels, which takes about the square of what is left in "
    "operations, and were trained on; a student is another network that learned from the original."
)
_NONE = "No group is shown to lose by a smaller model, corrected for {} pairs of both."
_EXEMPLARS = (
    "Images on which more than half of the smaller models say something else: another class, or, "
    "of a segmenter, a mask whose mean IoU is lower by more than 0.05. Look whether they are hard, "
    "wrongly labelled, or of one kind."
)
_MOST_SHOWN, _MOST_STEPS = 6, 2


def compression(
    compression_tradeoff: dict[str, pl.DataFrame],
    raw_dataset: dict[str, pl.DataFrame],
    compressed_filters: Files | None = None,
    compressed_segmenters: Files | None = None,
) -> Section | None:
    """The chart and a table of all smaller models, the groups that lose, and exemplars."""
    made = {"filter": compressed_filters, "segmenter": compressed_segmenters}
    latency = {name: latency_ms(one) for name, one in made.items() if one is not None}
    tradeoff = compression_tradeoff["tradeoff"]
    if tradeoff.is_empty():
        return None
    rows, lost = compression_rows(compression_tradeoff), records(losing_groups(tradeoff))
    asked = tradeoff.filter(pl.col("p_holm").is_not_null()).height
    blocks: list[Block] = [
        Paragraph(_TEXT),
        plot(partial(compression_figure, compression_tradeoff, latency), ALT),
        _table(rows, latency),
        Listing([Item(text=loss_in_words(row)) for row in lost])
        if lost
        else Paragraph(_NONE.format(asked) if asked else "No group is large enough to judge."),
        *_exemplar_blocks(compression_tradeoff, raw_dataset["images"]),
    ]
    steps = [
        NextStep(
            4,
            f"The {row['model']} as {spelled(row['variant'])} fails {row['axis']} {row['slice']}",
            f"{loss_in_words(row)}. Deploy another one, or train on more images of that group.",
        )
        for row in lost[:_MOST_STEPS]
    ]
    exemplars = compression_tradeoff["exemplars"].group_by("model").len().sort("model")
    data = {"compression": rows, "losing_groups": lost, "exemplars": exemplars.to_dicts()}
    return Section("compression", "Smaller models", blocks, data, steps=steps)


def compression_rows(tables: Mapping[str, pl.DataFrame]) -> list[dict[str, Any]]:
    """A row for each smaller model: size, metric, change, the group that loses most, corruptions.

    `under` holds by corruption the change there, with its interval.
    """
    sizes = {(model, name): size for model, name, size in tables["sizes"].iter_rows()}
    rows = []
    for (model, variant), part in tables["tradeoff"].group_by(
        "model", "variant", maintain_order=True
    ):
        of_all = part.filter(axis=OVERALL).drop("verdict", "p_holm")
        overall = {row["corruption"]: row for row in records(of_all)}
        worst = worst_group(part)
        size, whole = (sizes[str(model), str(name)] for name in (variant, ORIGINAL))
        found = {"bytes": size, "share": size / whole, "under": overall}
        found["worst"] = records(pl.DataFrame([worst]))[0] if worst else None
        rows.append({**overall.pop(CLEAN), **found})
    return rows


def _change(row: Row | None) -> str:
    if row is None:
        return ""
    ends = (row["difference_low"], row["difference_high"])
    return over_interval(row["difference"], *ends, signed)


def _table(rows: Sequence[Row], latency: Mapping[str, Mapping[str, float]]) -> Table:
    def speed(row: Row) -> str:
        known = latency.get(row["model"], {})
        if row["variant"] not in known:
            return ""
        return f"{short_number(known[row['variant']])}\nof {short_number(known[ORIGINAL])}"

    def worst(row: Row) -> str:
        one = row["worst"]
        return f"{one['slice']}, n = {one['n_images']}\n{_change(one)}" if one else "too few"

    def under(name: str) -> Column:
        return Column(f"change under {spelled(name)}", lambda row: _change(row["under"].get(name)))

    return Table(
        "Smaller models, on test images",
        [
            Column("model", lambda row: f"{row['model']} {spelled(row['variant'])}"),
            Column("size", lambda row: f"{row['bytes'] / 1e6:.1f} MB\n{percent(row['share'])}"),
            Column("ms an image, here", speed),
            Column("metric", lambda row: f"{spelled(row['metric'])}\n{number(row['value'])}"),
            Column("change", _change),
            Column("judged group that loses most", worst),
            *map(under, dict.fromkeys(name for row in rows for name in row["under"])),
            "n_images",
            "n_subjects",
        ],
        rows,
    )


def _exemplar_blocks(tables: Mapping[str, pl.DataFrame], images: pl.DataFrame) -> list[Block]:
    """Pictures of the exemplars of each model, and how many each group has."""
    blocks: list[Block] = []
    for (model,), part in tables["exemplars"].group_by("model", maintain_order=True):
        clean = tables["tradeoff"].filter(model=model, corruption=CLEAN)
        of_all = clean.filter(axis=OVERALL)["n_images"][0]
        own = clean.filter(pl.col("axis") != OVERALL)
        sizes = dict(own.select("slice", "n_images").iter_rows())
        by_group = Counter(part["slice"].drop_nulls().sort().to_list()).most_common()
        groups = [f"{count} of {sizes[name]} of {name}" for name, count in by_group]
        text = "; ".join(
            [f"{counted(part.height, 'exemplar')} of {counted(of_all, 'image')}", *groups]
        )
        rows = with_facts(part.sort("smaller_score", "image_id").head(_MOST_SHOWN), images)
        kind = "probability of the true class" if model == "filter" else "mean IoU"
        leads, captions = zip(
            *(
                (
                    f"{row['departing']} of {row['variants']}",
                    f"{kind} {short_number(row['score'])}, "
                    f"smaller {short_number(row['smaller_score'])}",
                )
                for row in rows.iter_rows(named=True)
            ),
            strict=True,
        )
        blocks += [Heading(f"Exemplars of the {model}"), Paragraph(f"{text}.")]
        blocks += [gallery(rows.to_dicts(), leads, captions)]
    return [*blocks, Paragraph(_EXEMPLARS, soft=True)] if blocks else []
