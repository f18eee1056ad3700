"""Batches in the form that another tool exports, brought into the native one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from iip_assets.dataset.problems import Problem

Form = Literal["native", "coco", "labelstudio"]


def convert_export(
    form: Form,
    source: Path,
    out: Path,
    *,
    mask_classes: Sequence[str],
    max_megapixels: float,
    log: Callable[[str], None],
) -> tuple[Problem, ...]:
    """Writes a native batch at `out`, and says what in the export cannot be used.

    Args:
        form: The tool's form.
        source: The export's folder.
        out: The folder to make.
        mask_classes: Class names; a mask's values are their places.
        max_megapixels: Larger images are refused.
        log: Takes the lines of progress where there is no terminal.
    """
    if form == "coco":
        from iip_assets.ingest.coco import convert_coco

        convert = convert_coco
    else:
        from iip_assets.ingest.labelstudio import convert_labelstudio

        convert = convert_labelstudio
    return convert(source, out, mask_classes=mask_classes, max_megapixels=max_megapixels, log=log)
