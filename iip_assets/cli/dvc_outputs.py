"""The headline numbers and plots as files that `dvc metrics` and `dvc plots` read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.engine.atomic import write_bytes_whole, write_text_whole
from iip_assets.engine.event_cache import present_ledger
from iip_assets.engine.figures import figure_png, new_figure
from iip_assets.engine.project import Project
from iip_assets.engine.values import Report, Skipped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_dvc_outputs(project: Project, folder: Path) -> None:
    """Writes metrics.json and the plots, which say so where there is nothing to plot.

    Plots are images: DVC's page draws tables with scripts from the network, images without.
    """
    from iip_assets.report.metrics import headline

    ledger = present_ledger(project)
    drift = project.load("drift_report", ledger)
    evaluation = project.load("model_evaluation", ledger)
    robustness = project.load("robustness_benchmark", ledger)
    metrics = headline(
        evaluation,
        project.load("raw_dataset", ledger),
        quarantine=project.load("quarantine", ledger),
        drift=drift.data if isinstance(drift, Report) else None,
    )
    write_text_whole(folder / "metrics.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    for name, figure in _figures(evaluation, robustness).items():
        write_bytes_whole(folder / f"{name}.png", figure_png(figure))


def _figures(evaluation: Any, robustness: Any) -> dict[str, Figure]:
    from iip_assets.evaluation.figures import confusion_figure, slices_figure
    from iip_assets.robustness.figures import robustness_figure

    made: dict[str, Figure] = {}
    if isinstance(evaluation, Skipped):
        made["slices"] = made["confusion"] = _words(evaluation.reason)
    else:
        made["slices"] = slices_figure(evaluation["metrics"])
        made["confusion"] = confusion_figure(evaluation["confusion"], evaluation["metrics"])
    if isinstance(robustness, Skipped):
        made["robustness"] = _words(robustness.reason)
    else:
        made["robustness"] = robustness_figure(robustness)
    return made


def _words(reason: str) -> Figure:
    """An image that says why there is no plot."""
    figure = new_figure(6, 1)
    figure.text(0.02, 0.5, f"skipped: {reason}")
    return figure
