"""Evidently's page of a comparison: it explores each feature, and works without a network.

What counts as moved is decided before, in `columns`; the thresholds given here make Evidently say
the same.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

from iip_assets.drift.columns import clean_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

HEAD = """<title>{title}</title>
<style>
  .iip {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0
  1rem }} .iip h1 {{ font-size: 1.6rem }}
</style>"""
INTRODUCTION = """<header class="iip">
<h1>{title}</h1>
<p>{batch_images} images of the newest batch are compared with {training_images} training images of
older batches. A feature counts as drifted where its distance reaches the threshold set in
<code>drift.threshold</code> and is larger than chance would give for so many images.</p>
</header>"""


class FeatureDrift(DataDriftPreset):
    """Evidently's preset without its first line, a verdict on the whole batch.

    How many features may move is for the asset's check to say: a page that said it too would be
    made again with every other `drift.max_share`.
    """

    def render(self, *args: Any, **options: Any) -> list[Any]:
        """The widgets below that line."""
        widgets: list[Any] = super().render(*args, **options)
        return widgets[1:]


def evidently_page(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    columns: Sequence[dict[str, Any]],
    *,
    batch: str,
) -> str:
    """The page as one HTML text, with all scripts inside.

    Args:
        reference: One row per image.
        current: Likewise.
        columns: Records of `compare_sides`; at least one.
        batch: Name of the newest batch.
    """
    numbers = sorted(column["name"] for column in columns if column["kind"] == "number")
    words = sorted(column["name"] for column in columns if column["kind"] == "word")
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=words)
    preset = FeatureDrift(
        columns=[*numbers, *words],
        num_method="wasserstein",
        cat_method="jensenshannon",
        per_column_threshold={column["name"]: decisive(column) for column in columns},
    )
    sides = [
        Dataset.from_pandas(_to_pandas(frame, numbers, words), data_definition=definition)
        for frame in (current, reference)
    ]
    # Evidently correlates all numbers with each other; one that never varies divides by zero there.
    with np.errstate(divide="ignore", invalid="ignore"):
        page = str(Report([preset]).run(*sides).get_html_str(as_iframe=False))
    title = f"Drift of batch {batch}"
    return _introduce(page, title, len(current), len(reference))


def decisive(column: dict[str, Any]) -> float:
    """The threshold at which Evidently gives our verdict.

    Scores here are rounded, Evidently's are not, and it counts equality as drift: so margins.
    """
    if column["moved"]:
        return float(column["threshold"]) * (1 - 1e-8)
    return max(float(column["threshold"]), float(column["score"])) * (1 + 1e-8)


def _to_pandas(frame: pl.DataFrame, numbers: Sequence[str], words: Sequence[str]) -> pd.DataFrame:
    table: dict[str, Any] = {
        name: frame[name].cast(float).fill_null(float("nan")).to_numpy() for name in numbers
    }
    for name in words:
        # Evidently writes words into a script unescaped, where "</script>" would end it.
        table[name] = [
            word.replace("<", "＜").replace(">", "＞") for word in clean_words(frame, name)[name]
        ]
    return pd.DataFrame(table)


def _introduce(page: str, title: str, batch_images: int, training_images: int) -> str:
    safe = html.escape(title)
    introduction = INTRODUCTION.format(
        title=safe, batch_images=f"{batch_images:,}", training_images=f"{training_images:,}"
    )
    page = page.strip().replace("<head>", "<head>\n" + HEAD.format(title=safe), 1)
    return page.replace("<body>", "<body>\n" + introduction, 1)
