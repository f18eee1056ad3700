"""`iip predict`: both models on files of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from iip_assets.cli.common import AsJson, log, print_json, stdout_kept_clean
from iip_assets.models.tasks import FILTER, TASKS
from iip_assets.where import find_workspace

if TYPE_CHECKING:
    import polars as pl

    from iip_assets.registry.batch_predict import Deployed, Found

Which = Literal["champion", "challenger", "present"]


def predict(
    paths: Annotated[list[Path], typer.Argument(help="Images, and folders of images.")],
    out: Annotated[Path, typer.Option(help="The folder for the results.")] = Path("predictions"),
    *,
    model: Annotated[
        Which | None,
        typer.Option(
            help="Which models: those deployed, or what the graph holds now. The champions unless "
            "told otherwise; where there is none, what the graph holds."
        ),
    ] = None,
    sheet: Annotated[int, typer.Option(help="Images on the contact sheet; 0: no sheet.")] = 60,
    logged: Annotated[
        bool,
        typer.Option(
            "--log",
            help="Log in the workspace, for serving_drift: of each image its md5, the time, both "
            "models, probabilities, the verdict and measures such as brightness. Neither images "
            "nor their names are kept.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say of each image whether it is usable, and segment those that are; resumable."""
    from datetime import UTC, datetime

    from iip_assets.drift.prediction_log import RunLog
    from iip_assets.embeddings.device import core_count
    from iip_assets.engine.context import track
    from iip_assets.errors import counted
    from iip_assets.registry.batch_predict import TABLE, Predictor, find_images, predict_all
    from iip_assets.settings_file import read_settings

    found = find_images(paths, out)
    settings = read_settings(find_workspace())
    max_megapixels = settings.dataset.max_megapixels
    the_filter, segmenter = open_models(model)
    if the_filter is None and segmenter is None:
        raise LookupError(_reason_for_no_model())
    threads = core_count(settings.compute.threads)
    predictor = Predictor(
        *(the_filter, segmenter),
        max_megapixels=max_megapixels,
        threads=threads,
        measured=logged,
    )
    run = RunLog(find_workspace(), out, clock=lambda: datetime.now(UTC)) if logged else None
    with stdout_kept_clean():
        table = predict_all(
            found,
            predictor,
            out,
            progress=lambda items, total, label: track(items, total=total, label=label, log=log),
            log=run,
        )
        if sheet > 0:
            _write_sheet(table, found, out, most=sheet, max_megapixels=max_megapixels)
    counts: dict[str, int] = dict(table["verdict"].value_counts().sort("verdict").iter_rows())
    by = predictor.by
    if as_json:
        print_json({"out": str(out), "verdicts": counts, **by})
    else:
        words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        models = f"{by['filter_model']}, {by['segmenter_model']}"
        log(f"{counted(table.height, 'image')}: {words} ({models})")
        sheet_too = ", contact_sheet.png" if sheet > 0 else ""
        log(f"{out / TABLE}, masks in {out / 'masks'}{sheet_too}")
    if counts.get("unreadable") == table.height:
        first = table.row(0, named=True)
        raise ValueError(f"none of the images can be read; {first['path']}: {first['error']}")


def open_models(which: Which | None) -> tuple[Deployed | None, Deployed | None]:
    """The filter and the segmenter.

    Args:
        which: None: the champion of each, or what the graph holds where there is none.

    Raises:
        LookupError: A deployed version was asked for by name, and neither model has one.
    """
    the_filter, segmenter = (_open_model(model, which) for model in TASKS)
    if which in ("champion", "challenger") and the_filter is None and segmenter is None:
        raise LookupError(
            f"neither model has a {which}; `iip models promote MODEL VERSION --as {which}`"
        )
    return the_filter, segmenter


def _open_model(model: str, which: Which | None) -> Deployed | None:
    from iip_assets.engine.values import Files
    from iip_assets.registry.batch_predict import Deployed
    from iip_assets.registry.registering import promised_serving
    from iip_assets.registry.registry import read_registry
    from iip_assets.settings_file import read_settings

    root = find_workspace()
    if which != "present":
        version = read_registry(root).holder(model, which or "champion")
        if version is not None:
            return Deployed.version(version)
        if which is not None:
            return None
    value = _value(TASKS[model].asset)
    if not isinstance(value, Files):
        return None
    serving: dict[str, Any] = {}
    if model == FILTER.name and isinstance(verdicts := _value("filter_verdicts"), dict):
        serving["threshold"] = verdicts["threshold"]["threshold"][0]
        serving["usable"] = list(read_settings(root).threshold.usable)
    elif (promises := _value("fairness_guarantee")) is not None:
        serving |= promised_serving(model, promises, read_settings(root).guarantee.pixel_class)
    return Deployed(f"{model} (present)", value.digest, value.parts, serving)


def _reason_for_no_model() -> str:
    """Why the graph holds none, and what would give one."""
    from iip_assets.engine.values import Skipped
    from iip_assets.models.examples import no_model

    found = [_value(task.asset) for task in TASKS.values()]
    if all(isinstance(one, Skipped) for one in found):
        return (
            f"{no_model(*found).reason}. Add what is missing and run `iip refresh`, or promote one"
        )
    return "there is no model yet: run `iip refresh`, or register and promote one"


def _value(asset: str) -> Any:
    """What the graph holds; None where nothing was computed."""
    from iip_assets.loading import load

    try:
        return load(asset, root=find_workspace())
    except LookupError:
        return None


def _write_sheet(
    table: pl.DataFrame, found: Sequence[Found], out: Path, *, most: int, max_megapixels: float
) -> None:
    import cv2

    from iip_assets.engine.atomic import write_bytes_whole
    from iip_assets.registry.batch_predict import SHEET
    from iip_assets.registry.overlays import contact_sheet

    sheet = contact_sheet(table, found, out, most=most, max_megapixels=max_megapixels)
    write_bytes_whole(out / SHEET, cv2.imencode(".png", sheet[:, :, ::-1])[1].tobytes())
