"""A teacher: a trained model whose probabilities another one learns beside the labels.

Hinton, Vinyals and Dean (2015): what a teacher holds possible says more than the one right word,
so that a small network learns more of the same images.
"""

from __future__ import annotations

from collections.abc import Mapping

from iip_assets.engine.context import AssetContext
from iip_assets.engine.values import Files


class UnfitTeacherError(ValueError):
    """The teacher cannot teach this student; the words say why."""


def teacher_files(
    context: AssetContext, asset: str, data_version: str
) -> Mapping[str, bytes] | None:
    """The files of the model that a setting names as teacher, if it does.

    Raises:
        LookupError: It is not kept in this workspace.
    """
    if not data_version:
        return None
    try:
        found: Files = context.recorded(asset, data_version)
    except LookupError as error:
        raise LookupError(
            f"the teacher is gone: {error}; name another with `iip models distill`, or empty the "
            "setting"
        ) from None
    return found.parts
