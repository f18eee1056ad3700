"""Trainings in Weights & Biases: what went in, the numbers as they came, a few predictions.

Without a key, or where W&B's server does not take it, everything stays in the workspace, under
`.iip/wandb`; `wandb sync` sends it later.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger, WandbLogger

from iip_assets.settings import TrackingSettings

_logger = logging.getLogger(__name__)

Shown = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""An image (H, W, 3), its mask and the predicted one, (H, W) each."""


@contextmanager
def tracked(
    state: Path,
    settings: TrackingSettings,
    *,
    name: str,
    run_id: str,
    config: Mapping[str, Any],
    log: Callable[[str], None] = _logger.warning,
) -> Iterator[WandbLogger | None]:
    """A run that is finished at the end, as failed if it ends by an error; None where it is off.

    Args:
        state: The workspace's state folder.
        settings: W&B's project, and the runs that belong together, such as a sweep. The mode `auto`
            is what W&B's own switches say (WANDB_MODE, WANDB_DISABLED, `wandb offline`); without
            them it is online where WANDB_API_KEY is set, else offline.
        name: What is trained.
        run_id: Of the run: a training that goes on after a kill goes on in its run.
        config: What went in.
        log: Told where the run stays here because the server did not take it.
    """
    # Whatever goes wrong here is nobody's business elsewhere.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_INIT_TIMEOUT", "20")  # seconds; W&B's own 90 hold up a training
    os.environ.setdefault("WANDB_FINISH_TIMEOUT", "60")  # seconds; W&B itself waits for ever
    resolved = _resolved(settings.wandb)
    if resolved == "off":
        yield None
        return
    import wandb

    folder = state / "wandb"
    folder.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger("wandb")
    level = logger.level
    logger.setLevel(logging.ERROR)
    start = partial(
        wandb.init,
        project=settings.project,
        name=name,
        id=run_id,
        group=settings.group or None,
        config=dict(config),
        # W&B makes a folder `wandb` of its own below.
        dir=str(state),
        reinit="create_new",
        settings=wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_machine_info=True,
            x_disable_stats=True,
            finish_timeout_raises=True,
        ),
    )
    try:
        run = start(mode=resolved, resume="allow" if resolved == "online" else None)
    except Exception as error:  # what W&B raises here has no base of its own
        if resolved == "offline":
            raise
        # W&B keeps the id of a run that failed to start.
        run = start(mode="offline", id=f"{run_id}-offline")
        kept = run.settings.sync_dir
        reason = " ".join(str(error).split())
        log(f"W&B did not take the run ({reason}). It is kept; `wandb sync {kept}` sends it later")
    code = 1
    try:
        yield WandbLogger(experiment=run)
        code = 0
    finally:
        kept = run.settings.sync_dir
        try:
            run.finish(exit_code=code)
        except TimeoutError:
            log(
                f"W&B did not take all of the run in time. `wandb sync {kept}` sends the rest later"
            )
        logger.setLevel(level)


def _resolved(
    mode: Literal["auto", "offline", "online", "off"],
) -> Literal["offline", "online", "off"]:
    """What `auto` means on this machine."""
    if mode != "auto":
        return mode
    import wandb

    switch = wandb.setup().settings.mode
    # W&B itself no longer reads WANDB_DISABLED; whoever sets it still means it.
    disabled = os.environ.get("WANDB_DISABLED", "").lower() not in ("", "0", "false", "no", "off")
    if disabled or switch == "disabled":
        return "off"
    if switch in ("offline", "dryrun") or not os.environ.get("WANDB_API_KEY"):
        return "offline"
    return "online"


def log_segmentations(logger: Logger, shown: Sequence[Shown], classes: Sequence[str]) -> None:
    """Images under their masks and under the predicted ones."""
    import wandb

    names = dict(enumerate(classes))
    logger.experiment.log(
        {
            "predictions": [
                wandb.Image(
                    image,
                    masks={
                        "labelled": {"mask_data": mask, "class_labels": names},
                        "predicted": {"mask_data": predicted, "class_labels": names},
                    },
                )
                for image, mask, predicted in shown
            ]
        }
    )


def log_validation(logger: Logger, metrics: Mapping[str, float]) -> None:
    """A model's metrics on its validation images, by name, as the run's summary; NaN is none."""
    known = {name: value for name, value in metrics.items() if not math.isnan(value)}
    logger.experiment.summary.update({f"validation/{name}": one for name, one in known.items()})
