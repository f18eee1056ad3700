"""The data side of the graph: what DVC tracks, what can be used of it, and who trains on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from iip_assets.dataset.challenge_sets import load_sets, observe_sets, sets_version
from iip_assets.dataset.versions import data_ids, data_rows, describe_change
from iip_assets.engine.asset import AssetContext, asset, asset_check, describe
from iip_assets.engine.graph import Source
from iip_assets.engine.values import CheckResult, MetadataValue, Noted, Rows, Setting
from iip_assets.images.dvc_data import data_version_at, observe_data, read_manifest
from iip_assets.settings import MaskClasses, MaxMegapixels, SplitSettings

if TYPE_CHECKING:
    import polars as pl

    from iip_assets.dataset.challenge_sets import ChallengeSet

# Rows of a table that Dagster's page shows; the asset has them all.
_ROWS_SHOWN = 50

dvc_data = Source(
    name="dvc_data",
    room="dataset",
    description="Path and md5 of every file that `data.dvc` tracks; its data version is that md5.",
    observe=observe_data,
    load=read_manifest,
    kinds=frozenset({"dvc"}),
    version_at=data_version_at,
    ids=data_ids,
    rows=data_rows,
    describe_change=describe_change,
)

challenge_file = Source(
    name="challenge_file",
    room="dataset",
    description="Named sets of images in `challenge_sets.toml` that no model learns from or is "
    "chosen by; `iip slices freeze` writes it.",
    observe=observe_sets,
    load=load_sets,
    version_at=sets_version,
)


@asset(room="dataset", kinds={"dvc", "polars"})
def raw_dataset(dvc_data: pl.DataFrame, *, context: AssetContext) -> Noted[dict[str, pl.DataFrame]]:
    """Every image that DVC tracks, with what the batches' `labels.csv` say of it.

    The newest label wins. What single labelers say in `annotations.csv` stands beside it. A row
    that cannot be used is listed under `problems` and left out.
    """
    from iip_assets.dataset.raw import files_to_read, join_labels
    from iip_assets.images.store import ImageStore

    store = ImageStore.open(context.root)
    manifest = dict(dvc_data.select("path", "md5").iter_rows())
    store.fetch(files_to_read(manifest))
    raw = join_labels(manifest, store.read)
    return Noted(
        {"images": raw.images, "label_rows": raw.label_rows, "problems": raw.problems},
        notes={"tags": {batch: dict(names) for batch, names in raw.tags.items()}},
    )


@describe(raw_dataset)
def describe_raw_dataset(
    raw_dataset: dict[str, pl.DataFrame], notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """What each batch holds, and the rows that cannot be used."""
    from iip_assets.dataset.figures import batch_table, batches_figure
    from iip_assets.figures import figure_markdown

    images, problems = raw_dataset["images"], raw_dataset["problems"]
    batches = batch_table(images, raw_dataset["label_rows"], problems, notes["tags"])
    return {
        "rows": images.height,
        "labelled": images["label"].count(),
        "masks": images["mask_id"].count(),
        "subjects": images["subject_id"].drop_nulls().n_unique(),
        "problems": problems.height,
        "batches": Rows(batches.to_dicts()),
        "problem_rows": Rows(problems.head(_ROWS_SHOWN).to_dicts()),
        "plot": figure_markdown(batches_figure(batches), "images by batch and label"),
    }


@asset_check(raw_dataset, blocking=True)
def schema(raw_dataset: dict[str, pl.DataFrame]) -> CheckResult:
    """Columns, types and values are as documented."""
    from iip_assets.dataset.schema import schema_failures

    failures = schema_failures(raw_dataset["images"])
    return CheckResult(passed=not failures, description="; ".join(failures))


@asset(room="dataset", kinds={"opencv", "lancedb"})
def image_fingerprints(
    raw_dataset: dict[str, pl.DataFrame],
    *,
    max_megapixels: MaxMegapixels,
    mask_classes: MaskClasses,
    context: AssetContext,
) -> pl.DataFrame:
    """Of every image: can it be decoded, how large, a hash of its looks, is its mask valid."""
    from iip_assets.dataset.fingerprints import fingerprint_images, fingerprint_table
    from iip_assets.images.store import ImageStore

    filled = context.fill(
        "image_fingerprints",
        raw_dataset["images"].select("image_id", "mask_id"),
        fingerprint_images,
        given={"max_megapixels": max_megapixels, "n_classes": len(mask_classes)},
        tools={"store": ImageStore.open(context.root)},
        chunk=256,
    )
    return fingerprint_table(filled.frame)


@describe(image_fingerprints)
def describe_image_fingerprints(
    image_fingerprints: pl.DataFrame, raw_dataset: dict[str, pl.DataFrame]
) -> dict[str, MetadataValue]:
    """How many images and masks cannot be used, and which images."""
    from iip_assets.dataset.problems import undecodable_images

    # Named here too: when there are too many, the asset quarantine is blocked like all below.
    undecodable = undecodable_images(raw_dataset["images"], image_fingerprints)
    return {
        "rows": image_fingerprints.height,
        "undecodable": image_fingerprints["problem"].count(),
        "invalid_masks": image_fingerprints["mask_problem"].count(),
        "undecodable_images": Rows(undecodable.head(_ROWS_SHOWN).to_dicts()),
    }


@asset_check(image_fingerprints, blocking=True)
def undecodable_share(
    image_fingerprints: pl.DataFrame,
    *,
    max_undecodable_share: Annotated[float, Setting("dataset.max_undecodable_share")],
) -> CheckResult:
    """Few enough images cannot be decoded (dataset.max_undecodable_share)."""
    from iip_assets.dataset.problems import undecodable_share as share_of

    share = share_of(image_fingerprints)
    return CheckResult(
        passed=share <= max_undecodable_share,
        description=f"{share:.1%} of {image_fingerprints.height} images cannot be decoded, "
        f"{max_undecodable_share:.1%} may; `iip show image_fingerprints` names them.",
        metadata={"share": share},
    )


@asset(room="dataset", kinds={"polars"})
def quarantine(
    raw_dataset: dict[str, pl.DataFrame], image_fingerprints: pl.DataFrame
) -> pl.DataFrame:
    """Images, masks and label rows that are not used, each with why and how to fix it."""
    from iip_assets.dataset.problems import quarantine_table

    return quarantine_table(raw_dataset["images"], raw_dataset["problems"], image_fingerprints)


@describe(quarantine)
def describe_quarantine(quarantine: pl.DataFrame) -> dict[str, MetadataValue]:
    """How much of what is not used, and the first rows."""
    counts = dict(quarantine["what"].value_counts().iter_rows())
    return {
        "rows": quarantine.height,
        "images": counts.get("image", 0),
        "masks": counts.get("mask", 0),
        "label_rows": counts.get("label", 0),
        "first_rows": Rows(quarantine.head(_ROWS_SHOWN).to_dicts()),
    }


@asset(room="dataset", kinds={"polars"})
def data_splits(
    raw_dataset: dict[str, pl.DataFrame],
    image_fingerprints: pl.DataFrame,
    challenge_file: Sequence[ChallengeSet],
    *,
    splits: Annotated[SplitSettings, Setting("splits")],
    near_duplicate_bits: Annotated[int, Setting("dataset.near_duplicate_bits")],
) -> Noted[pl.DataFrame]:
    """Training, validation or test for every image that can be decoded.

    All images of one subject and all near duplicates stand on one side, and a new batch moves no
    image unless it joins two groups. What belongs to a challenge set stands apart from all.
    """
    from iip_assets.dataset.challenge_sets import held_apart
    from iip_assets.dataset.fingerprints import spanning_pairs
    from iip_assets.dataset.schema import SPLITS
    from iip_assets.dataset.splits import deal_splits

    dealt = deal_splits(
        raw_dataset["images"],
        raw_dataset["label_rows"],
        image_fingerprints,
        shares={name: getattr(splits, name) for name in SPLITS},
        salt=splits.salt,
        near_duplicate_bits=near_duplicate_bits,
    )
    return Noted(
        held_apart(dealt.table, raw_dataset["images"], challenge_file),
        notes={
            "largest_group": dealt.largest_group,
            "near_duplicate_pairs": len(dealt.near),
            "near_duplicates": [list(pair) for pair in spanning_pairs(dealt.near)],
            "moved": list(dealt.moved.to_dicts()),
        },
    )


@describe(data_splits)
def describe_data_splits(
    data_splits: pl.DataFrame, raw_dataset: dict[str, pl.DataFrame], notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """What stands in each split, and which images the newest batch moved."""
    from iip_assets.dataset.figures import split_table, splits_figure
    from iip_assets.figures import figure_markdown

    counts = split_table(data_splits, raw_dataset["images"])
    return {
        "rows": data_splits.height,
        "groups": data_splits["group_id"].n_unique(),
        "largest_group": notes["largest_group"],
        "near_duplicate_pairs": notes["near_duplicate_pairs"],
        "splits": Rows(counts.to_dicts()),
        "moved_by_newest_batch": len(notes["moved"]),
        "moved": Rows(notes["moved"][:_ROWS_SHOWN]),
        "plot": figure_markdown(splits_figure(counts), "images by split and label"),
    }


@asset(room="dataset", kinds={"polars"})
def image_batches(raw_dataset: dict[str, pl.DataFrame], data_splits: pl.DataFrame) -> pl.DataFrame:
    """With which batch each image came, and whose group it is; no label or age moves it.

    Challenge sets aside: a batch with some of a frozen device would look like that device.
    """
    import polars as pl

    from iip_assets.dataset.schema import CHALLENGE

    batches = raw_dataset["images"].select("image_id", "batch")
    groups = data_splits.filter(pl.col("split") != CHALLENGE).select("image_id", "group_id")
    return groups.join(batches, on="image_id").sort("image_id")


@describe(image_batches)
def describe_image_batches(image_batches: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many images came with each batch."""
    counts = image_batches.group_by("batch").len(name="images").sort("batch")
    return {"rows": image_batches.height, "batches": Rows(counts.to_dicts())}


@asset_check(data_splits, blocking=True)
def no_leak(
    data_splits: pl.DataFrame, raw_dataset: dict[str, pl.DataFrame], notes: Mapping[str, Any]
) -> CheckResult:
    """No subject and no near duplicate stands in two splits."""
    from iip_assets.dataset.splits import leaks

    found = leaks(data_splits, raw_dataset["images"], near=notes["near_duplicates"])
    return CheckResult(
        passed=not found, description="; ".join(found[:20]), metadata={"leaks": len(found)}
    )
