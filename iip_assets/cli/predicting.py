"""What `iip predict` needs of the workspace: its models, and a sheet to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import polars as pl

from iip_assets.engine.atomic import write_bytes_whole
from iip_assets.loading import load
from iip_assets.models.tasks import FILTER, TASKS
from iip_assets.registry.batch_predict import SHEET, Found
from iip_assets.registry.deployed import Deployed, deployed, present_model
from iip_assets.registry.overlays import contact_sheet
from iip_assets.settings import Settings, read_settings
from iip_assets.where import find_workspace

Which = Literal["champion", "challenger", "present"]


def settings_here() -> Settings:
    """The settings of the workspace that the current folder lies in."""
    return read_settings(find_workspace())


def open_models(which: Which | None) -> tuple[Deployed | None, Deployed | None]:
    """The filter and the segmenter.

    Args:
        which: None: the champion of each, or what the graph holds where there is none.

    Raises:
        LookupError: A deployed version was asked for by name, and neither model has one.
    """
    found = tuple(_one(model, which) for model in TASKS)
    if which in ("champion", "challenger") and found == (None, None):
        raise LookupError(
            f"neither model has a {which}; `iip models promote MODEL VERSION --as {which}`"
        )
    return found[0], found[1]


def write_sheet(table: pl.DataFrame, found: Sequence[Found], out: Path, *, most: int) -> None:
    """Writes the contact sheet of the predicted masks."""
    sheet = contact_sheet(
        table, found, out, most=most, max_megapixels=settings_here().dataset.max_megapixels
    )
    write_bytes_whole(out / SHEET, cv2.imencode(".png", sheet[:, :, ::-1])[1].tobytes())


def _one(model: str, which: Which | None) -> Deployed | None:
    root = find_workspace()
    if which in ("champion", "challenger"):
        return deployed(root, model, which)
    if which is None and (champion := deployed(root, model, "champion")):
        return champion
    try:
        value = load(TASKS[model].asset, root=root)
    except LookupError:
        return None
    return present_model(model, value, _serving(model, root))


def _serving(model: str, root: Path) -> dict[str, Any]:
    if model != FILTER.name:
        return {}
    try:
        verdicts = load("filter_verdicts", root=root)
    except LookupError:
        return {}
    if not isinstance(verdicts, dict):
        return {}
    return {
        "threshold": verdicts["threshold"]["threshold"][0],
        "usable": list(read_settings(root).threshold.usable),
    }
