"""Trainings in Weights & Biases: what went in, the numbers as they came, a few predictions.

Without a key everything stays in the workspace, under `.iip/wandb`; `wandb sync` sends it later.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger, WandbLogger

Mode = Literal["auto", "offline", "online", "off"]

Shown = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""A picture (H, W, 3), its mask and the predicted one, (H, W) each."""


@contextmanager
def tracked(
    state: Path,
    mode: Mode,
    *,
    project: str,
    name: str,
    run_id: str,
    config: Mapping[str, Any],
    group: str | None = None,
) -> Iterator[WandbLogger | None]:
    """A run that is finished at the end, as failed if it ends by an error; None where it is off.

    Args:
        state: The workspace's state folder.
        mode: `auto` is online where WANDB_API_KEY is set, else offline.
        project: W&B's project.
        name: What is trained.
        run_id: Of the run: a training that goes on after a kill goes on in its run.
        config: What went in.
        group: The runs that belong together, such as a sweep.
    """
    if mode == "off":
        yield None
        return
    online = mode == "online" or (mode == "auto" and bool(os.environ.get("WANDB_API_KEY")))
    # Whatever goes wrong here is nobody's business elsewhere.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    folder = state / "wandb"
    folder.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger("wandb")
    level = logger.level
    logger.setLevel(logging.ERROR)
    run = wandb.init(
        project=project,
        name=name,
        id=run_id,
        group=group,
        config=dict(config),
        # W&B makes a folder `wandb` of its own below.
        dir=str(state),
        mode="online" if online else "offline",
        resume="allow" if online else None,
        reinit="create_new",
        settings=wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_machine_info=True,
            x_disable_stats=True,
        ),
    )
    code = 1
    try:
        yield WandbLogger(experiment=run)
        code = 0
    finally:
        run.finish(exit_code=code)
        logger.setLevel(level)


def log_segmentations(logger: Logger, shown: Sequence[Shown], classes: Sequence[str]) -> None:
    """Pictures under their masks and under the predicted ones."""
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


def log_validation(logger: Logger, validation: Mapping[str, Any]) -> None:
    """A model's metrics on its validation pictures, by name, as the run's summary."""
    logger.experiment.summary.update(
        {
            f"validation/{name}": one["value"]
            for name, one in validation.get("metrics", {}).items()
            if one["value"] is not None
        }
    )
