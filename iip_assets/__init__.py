"""A Dagster asset graph for data-centric iteration on an iris-image pipeline."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["Skipped", "image_table", "images", "load", "show"]

# Images of eyes are biometric data: no library phones home, and nothing needs the network after
# the install. Whoever wants otherwise sets the variable.
for _variable in (
    "DAGSTER_DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
    "DVC_NO_ANALYTICS",
    "EVIDENTLY_DISABLE_TELEMETRY",
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_HUB_OFFLINE",
    "ORT_DISABLE_TELEMETRY",
):
    os.environ.setdefault(_variable, "1")


# How often an OpenMP thread (GNU's) looks for its next work before it sleeps. Without a look
# training is a quarter slower on idle cores, with all it likes two to four times on busy ones.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def __getattr__(name: str) -> Any:
    """What is public is loaded when asked for, so that importing the package costs nothing."""
    if name in __all__:
        from iip_assets import loading

        return getattr(loading, name)
    raise AttributeError(f"module 'iip_assets' has no attribute {name!r}")
