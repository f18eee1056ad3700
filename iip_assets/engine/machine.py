"""What an asset is computed on: named where values under one key differ, and in no key."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


def machine_with(operations: Mapping[str, Any]) -> dict[str, Any]:
    """What runs this process, and how many threads an asset's work has there."""
    machine = _machine()
    threads = operations.get("compute.threads")
    used = {} if threads is None else {"threads": threads or machine["cores"]}
    return {**machine, **used, **operations}


@cache
def _machine() -> dict[str, Any]:
    """What runs this process."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": names[0] if names else platform.processor(), "cores": cores}
