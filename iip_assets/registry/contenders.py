"""All versions of a model on the same test images: the registered ones and the present one."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from iip_assets.engine.values import Files, Skipped
from iip_assets.metrics.scored_predictions import ScoredPredictions, score, score_difference
from iip_assets.metrics.scores import Gate
from iip_assets.models.tasks import TASKS
from iip_assets.registry.gate import GATE_SCHEMA, Rules, judge_candidate
from iip_assets.registry.registry_state import RegistryState

PRESENT = "present"
"""What the model is called that the graph holds now, while nobody has registered it."""

HISTORY_SCHEMA = {
    "model": pl.String(),
    "version": pl.String(),
    "aliases": pl.String(),
    "registered_at": pl.String(),
    "present": pl.Boolean(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "since": pl.Float64(),
    "since_low": pl.Float64(),
    "since_high": pl.Float64(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
}


@dataclass(frozen=True)
class Contender:
    """A version of a model that is compared with others.

    Attributes:
        model: `filter` or `segmenter`.
        version: Its number in the registry as text, or `present`.
        digest: What tells it from others.
        aliases: Those that stand for it.
        registered_at: When, in UTC as ISO 8601; empty for one that is not registered.
        present: Whether the graph holds it now.
        learned_from: Images that it was trained or chosen on; nobody is tested on these.
        files: Gives its files.
    """

    model: str
    version: str
    digest: str
    aliases: tuple[str, ...]
    registered_at: str
    present: bool
    learned_from: Collection[str]
    files: Callable[[], Mapping[str, bytes]]


def contenders_of(model: str, registry: RegistryState, present: Files | Skipped) -> list[Contender]:
    """The registered versions, oldest first, and the present model if it is none of them."""
    digest = None if isinstance(present, Skipped) else present.digest
    found = [
        Contender(
            model=model,
            version=str(one.number),
            digest=one.digest,
            aliases=one.aliases,
            registered_at=one.registered_at.isoformat(timespec="seconds"),
            present=one.digest == digest,
            learned_from=frozenset(json.loads(one.read(LEARNED_FROM))),
            files=one.files,
        )
        for one in registry.of(model)
    ]
    if isinstance(present, Skipped) or any(one.present for one in found):
        return found
    here = Contender(model, PRESENT, digest or "", (), "", True, (), lambda: present.parts)
    return [*found, here]


LEARNED_FROM = "learned_from.json"
"""The file of a registered version that lists what it was trained and chosen on."""


def threshold_of(facts: Mapping[str, Any]) -> tuple[float, tuple[str, ...]]:
    """From what score on a filter lets pass, and of which classes the score is the sum."""
    usable = tuple(facts.get("usable", ("full",)))
    return float(facts.get("threshold", Gate(usable, 1, 1).break_even)), usable


def common_test_images(images: pl.DataFrame, contenders: Sequence[Contender]) -> pl.DataFrame:
    """The test images on which none of them was trained or chosen."""
    learned: set[str] = set()
    for one in contenders:
        learned |= set(one.learned_from)
    return images.filter(
        (pl.col("split") == "test") & ~pl.col("image_id").is_in(sorted(learned))
    ).sort("image_id")


def history_rows(
    contenders: Sequence[Contender], predictions: Sequence[ScoredPredictions], rules: Rules
) -> list[dict[str, Any]]:
    """A row a version: its headline metric, and by how much the present one is better or worse.

    Args:
        contenders: The versions of one model.
        predictions: Theirs, on the same images.
        rules: How intervals are drawn.
    """
    present = next((j for c, j in zip(contenders, predictions, strict=True) if c.present), None)
    rows = []
    for contender, one in zip(contenders, predictions, strict=True):
        metric = TASKS[contender.model].headline
        places = np.arange(len(one.image_ids))
        scored = score(one, places, rules)
        own = scored.estimates[metric]
        row = {
            "model": contender.model,
            "version": contender.version,
            "aliases": ", ".join(contender.aliases),
            "registered_at": contender.registered_at,
            "present": contender.present,
            "metric": metric,
            **vars(own),
            "n_images": scored.n_images,
            "n_subjects": scored.n_subjects,
        }
        if present is not None and one is not present:
            since = score_difference(one, present, places, rules).estimates[metric]
            row |= {"since": since.value, "since_low": since.low, "since_high": since.high}
        rows.append(row)
    return rows


def gate_rows(
    contenders: Sequence[Contender],
    predictions: Sequence[ScoredPredictions],
    slices: pl.DataFrame,
    rules: Rules,
) -> list[pl.DataFrame]:
    """The gate's word on every version that is not the champion; none without a champion."""
    by_alias = [place for place, one in enumerate(contenders) if "champion" in one.aliases]
    if not by_alias:
        return []
    champion = by_alias[0]
    return [
        judge_candidate(
            predictions[champion],
            one,
            slices,
            rules,
            metric=TASKS[contender.model].headline,
            names=(contender.model, contender.version, contenders[champion].version),
        )
        for place, (contender, one) in enumerate(zip(contenders, predictions, strict=True))
        if place != champion
    ]


def tables_of(
    history: Sequence[Mapping[str, Any]], gate: Sequence[pl.DataFrame]
) -> dict[str, pl.DataFrame]:
    """The tables `history` and `gate`."""
    return {
        "history": pl.DataFrame(list(history), schema=HISTORY_SCHEMA),
        "gate": pl.concat([pl.DataFrame(schema=GATE_SCHEMA), *gate]),
    }


def worse_than_before(history: pl.DataFrame) -> list[str]:
    """In words, of which earlier version each present model is surely worse."""
    worse = history.filter(pl.col("since_high") < 0).sort("model", "since")
    return [
        f"the present {row['model']} is worse than version {row['version']}: {row['metric']} "
        f"{row['since']:+.3f} ({row['since_low']:+.3f} to {row['since_high']:+.3f}, "
        f"n={row['n_images']})"
        for row in worse.iter_rows(named=True)
    ]


def history_summary(history: pl.DataFrame) -> list[dict[str, Any]]:
    """The history as people read it."""
    rounded = pl.col("value", "low", "high", "since", "since_low", "since_high").round(4)
    return history.with_columns(rounded).to_dicts()


def gate_summary(gate: pl.DataFrame) -> list[dict[str, Any]]:
    """For each candidate: on how many slices it is worse, is not, and cannot be judged."""
    counted = gate.group_by("model", "candidate", "champion", maintain_order=True).agg(
        *(
            (pl.col("verdict") == word).sum().cast(pl.Int64).alias(word.replace(" ", "_"))
            for word in ("worse", "not worse", "too small to judge")
        ),
        worst=pl.struct("axis", "slice", "difference")
        .sort_by(pl.col("difference"), nulls_last=True)
        .first(),
    )
    rows = []
    for row in counted.to_dicts():
        worst = row.pop("worst")
        change = worst["difference"]
        rows.append(
            {
                **row,
                "largest_loss": f"{worst['axis']} {worst['slice']}",
                "difference": None if change is None else round(change, 4),
            }
        )
    return rows
