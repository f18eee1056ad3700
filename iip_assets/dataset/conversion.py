"""Batches in the form that another tool exports, brought into the native one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from iip_assets.dataset.problems import Problem

Form = Literal["native", "coco", "labelstudio"]


def convert_export(
    form: Form, source: Path, out: Path, *, mask_classes: Sequence[str]
) -> tuple[Problem, ...]:
    """Writes a native batch at `out`, and says what in the export cannot be used.

    Args:
        form: The tool's form.
        source: The export's folder.
        out: The folder to make.
        mask_classes: Class names; a mask's values are their places.
    """
    if form == "coco":
        from iip_assets.dataset.coco import convert_coco

        return convert_coco(source, out, mask_classes=mask_classes)
    from iip_assets.dataset.labelstudio import convert_labelstudio

    return convert_labelstudio(source, out, mask_classes=mask_classes)
