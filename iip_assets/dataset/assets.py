"""The data side of the graph: what DVC tracks, what can be used of it, and who trains on what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.dataset.manifest import data_version_at, load_data, observe_data
from iip_assets.dataset.versions import data_ids, data_rows, describe_change
from iip_assets.engine.asset import Source, AssetContext, asset
from iip_assets.engine.values import Check, CheckSpec, Result, Rows, Setting
from iip_assets.settings import SplitSettings

if TYPE_CHECKING:
    import polars as pl

# Rows of a table that Dagster's page shows; the asset has them all.
_ROWS_SHOWN = 50

dvc_data = Source(
    name="dvc_data",
    room="dataset",
    description="Path and md5 of every file that `data.dvc` tracks; its data version is that md5.",
    observe=observe_data,
    load=load_data,
    kinds=frozenset({"dvc"}),
    version_at=data_version_at,
    ids=data_ids,
    rows=data_rows,
    describe_change=describe_change,
)


@asset(
    room="dataset",
    kinds={"dvc", "polars"},
    checks=[CheckSpec("schema", "Columns, types and values are as documented.", blocking=True)],
)
def raw_dataset(dvc_data: pl.DataFrame, *, work: AssetContext) -> Result[dict[str, pl.DataFrame]]:
    """Every image that DVC tracks, with what the batches' `labels.csv` say of it.

    The newest label wins. What single labelers say in `annotations.csv` stands beside it. A row
    that cannot be used is listed under `problems` and left out.
    """
    from iip_assets.dataset.figures import batches_figure
    from iip_assets.dataset.raw import files_to_read, join_labels
    from iip_assets.dataset.schema import schema_failures
    from iip_assets.dataset.store import ImageStore
    from iip_assets.dataset.summaries import batch_table
    from iip_assets.engine.figures import figure_markdown

    store = ImageStore.open(work.root)
    manifest = dict(dvc_data.select("path", "md5").iter_rows())
    store.fetch(files_to_read(manifest))
    raw = join_labels(manifest, store.read)
    batches = batch_table(raw.images, raw.problems, raw.tags)
    failures = schema_failures(raw.images)
    return Result(
        {"images": raw.images, "label_rows": raw.label_rows, "problems": raw.problems},
        metadata={
            "rows": raw.images.height,
            "labelled": raw.images["label"].count(),
            "masks": raw.images["mask_id"].count(),
            "subjects": raw.images["subject_id"].drop_nulls().n_unique(),
            "problems": raw.problems.height,
            "batches": Rows(batches.to_dicts()),
            "problem_rows": Rows(raw.problems.head(_ROWS_SHOWN).to_dicts()),
            "plot": figure_markdown(batches_figure(batches), "images by batch and label"),
        },
        checks=[Check("schema", passed=not failures, description="; ".join(failures))],
    )


@asset(
    room="dataset",
    kinds={"opencv", "lancedb"},
    checks=[
        CheckSpec(
            "undecodable_share",
            "Few enough images cannot be decoded (dataset.max_undecodable_share).",
            blocking=True,
        )
    ],
)
def image_fingerprints(
    raw_dataset: dict[str, pl.DataFrame],
    *,
    max_megapixels: Annotated[float, Setting("dataset.max_megapixels")],
    mask_classes: Annotated[tuple[str, ...], Setting("dataset.mask_classes")],
    max_undecodable_share: Annotated[float, Setting("dataset.max_undecodable_share")],
    work: AssetContext,
) -> Result[pl.DataFrame]:
    """Of every image: can it be decoded, how large, a hash of its looks, is its mask valid."""
    from iip_assets.dataset.fingerprints import fingerprint_images, fingerprint_table
    from iip_assets.dataset.quarantine import undecodable_images, undecodable_share
    from iip_assets.dataset.store import ImageStore

    filled = work.fill(
        "image_fingerprints",
        raw_dataset["images"].select("image_id", "mask_id"),
        fingerprint_images,
        given={"max_megapixels": max_megapixels, "n_classes": len(mask_classes)},
        tools={"store": ImageStore.open(work.root)},
        chunk=256,
    )
    table = fingerprint_table(filled.frame)
    share = undecodable_share(table)
    # Named here too: when there are too many, the asset quarantine is blocked like all below.
    undecodable = undecodable_images(raw_dataset["images"], table)
    return Result(
        table,
        metadata={
            "rows": table.height,
            "undecodable": table["problem"].count(),
            "invalid_masks": table["mask_problem"].count(),
            "undecodable_images": Rows(undecodable.head(_ROWS_SHOWN).to_dicts()),
        },
        checks=[
            Check(
                "undecodable_share",
                passed=share <= max_undecodable_share,
                description=f"{share:.1%} of {table.height} images cannot be decoded, "
                f"{max_undecodable_share:.1%} may; `iip show image_fingerprints` names them.",
                metadata={"share": share},
            )
        ],
    )


@asset(room="dataset", kinds={"polars"})
def quarantine(
    raw_dataset: dict[str, pl.DataFrame], image_fingerprints: pl.DataFrame
) -> Result[pl.DataFrame]:
    """Images, masks and label rows that are not used, each with why and how to mend it."""
    from iip_assets.dataset.quarantine import quarantine_table

    table = quarantine_table(raw_dataset["images"], raw_dataset["problems"], image_fingerprints)
    counts = dict(table["what"].value_counts().iter_rows())
    return Result(
        table,
        metadata={
            "rows": table.height,
            "images": counts.get("image", 0),
            "masks": counts.get("mask", 0),
            "label_rows": counts.get("label", 0),
            "first_rows": Rows(table.head(_ROWS_SHOWN).to_dicts()),
        },
    )


@asset(
    room="dataset",
    kinds={"polars"},
    checks=[
        CheckSpec(
            "no_leak", "No subject and no near duplicate stands in two splits.", blocking=True
        )
    ],
)
def data_splits(
    raw_dataset: dict[str, pl.DataFrame],
    image_fingerprints: pl.DataFrame,
    *,
    splits: Annotated[SplitSettings, Setting("splits")],
    near_duplicate_bits: Annotated[int, Setting("dataset.near_duplicate_bits")],
) -> Result[pl.DataFrame]:
    """Training, validation or test for every image that can be decoded.

    All pictures of one subject and all near duplicates stand on one side, and a new batch moves no
    picture unless it joins two groups.
    """
    from iip_assets.dataset.figures import splits_figure
    from iip_assets.dataset.splits import deal_splits, leaks
    from iip_assets.dataset.summaries import split_table
    from iip_assets.engine.figures import figure_markdown

    images = raw_dataset["images"]
    dealt = deal_splits(
        images,
        raw_dataset["label_rows"],
        image_fingerprints,
        shares={"train": splits.train, "validation": splits.validation, "test": splits.test},
        salt=splits.salt,
        near_duplicate_bits=near_duplicate_bits,
    )
    counts = split_table(dealt.table, images)
    found = leaks(dealt, images)
    return Result(
        dealt.table,
        metadata={
            "rows": dealt.table.height,
            "groups": dealt.table["group_id"].n_unique(),
            "largest_group": dealt.largest_group,
            "near_duplicate_pairs": len(dealt.near),
            "splits": Rows(counts.to_dicts()),
            "moved_by_newest_batch": dealt.moved.height,
            "moved": Rows(dealt.moved.head(_ROWS_SHOWN).to_dicts()),
            "plot": figure_markdown(splits_figure(counts), "images by split and label"),
        },
        checks=[
            Check(
                "no_leak",
                passed=not found,
                description="; ".join(found[:20]),
                metadata={"leaks": len(found)},
            )
        ],
    )
