"""Nothing to do: whole commands in fresh processes on a workspace of many images.

    python benchmarks/noop.py [--images N] [--runs N] [--json FILE]

Makes a workspace of rendered eyes without labels (so nothing is trained) with a small backbone,
refreshes it once, and then times, in turn: a refresh and a status that find nothing to do,
`dvc status`, and a plain Dagster materialization of as many assets, in a chain, that do nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from images import rendered
from turns import CACHE, PEERS, in_turn, options_of, run_process, show

IIP = [sys.executable, "-c", "from iip_assets.cli.main import main; main()"]
DVC = [sys.executable, "-m", "dvc"]
# Of timm, for its own tests: a third of a million weights.
SMALL_MODEL = "test_efficientnet"


def make_workspace(images: int) -> Path:
    """A workspace with that many images tracked by DVC, made when first asked for."""
    root = (CACHE / f"workspace-{images}").absolute()
    if not root.exists():
        eyes = rendered(64, 40, images)
        half = root.with_suffix(".part")
        shutil.rmtree(half, ignore_errors=True)
        run_process([*IIP, "init", half])
        for batch in (path for path in eyes.iterdir() if path.is_dir()):
            shutil.copytree(batch / "images", half / "data" / "batches" / batch.name / "images")
        subprocess.run([*DVC, "add", "--quiet", "data"], cwd=half, check=True)
        small_checkpoint(half / "backbone.safetensors")
        half.rename(root)
    return root


def small_checkpoint(path: Path) -> None:
    """Weights that were never trained: how long nothing takes does not depend on them."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    state = timm.create_model(SMALL_MODEL, num_classes=0).state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, path)


def use_small_backbone(root: Path) -> None:
    """Settings by environment, as all commands below inherit them."""
    digest = hashlib.sha256((root / "backbone.safetensors").read_bytes()).hexdigest()
    os.environ["IIP_EMBEDDINGS__MODEL"] = SMALL_MODEL
    os.environ["IIP_EMBEDDINGS__CHECKPOINT"] = "backbone.safetensors"
    os.environ["IIP_EMBEDDINGS__CHECKPOINT_SHA256"] = digest


def refresh(root: Path) -> None:
    """Brings the workspace up to date; says what it did and what it skipped."""
    ended = run_process([*IIP, "refresh", "--json"], cwd=root)
    done = json.loads(ended.output)
    if done["failed"]:
        raise SystemExit(f"the first refresh failed: {done['failed']}")
    print(
        f"refreshed in {ended.seconds:.0f} s: {len(done['computed'])} assets computed, "
        f"{len(done['skipped'])} skipped",
        file=sys.stderr,
    )


def refresh_nothing(root: Path) -> None:
    """A refresh that must find nothing to do."""
    done = json.loads(run_process([*IIP, "refresh", "--json"], cwd=root).output)
    if done["computed"]:
        raise SystemExit(f"something was due: {done['computed']}")


def main() -> None:
    from iip_assets.graph import build_project

    options = options_of(__doc__, images=20_000, runs=5)
    root = make_workspace(options.images)
    use_small_backbone(root)
    refresh(root)
    assets = len(build_project(root).graph.assets)
    home = CACHE / "dagster-home"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").touch()  # without it Dagster warns
    os.environ |= {"DAGSTER_HOME": str(home.absolute()), "CHAIN_LENGTH": str(assets)}
    chain = [sys.executable, PEERS / "dagster_chain.py"]
    seconds = in_turn(
        {
            "iip refresh --json": partial(refresh_nothing, root),
            "iip status --json": partial(run_process, [*IIP, "status", "--json"], cwd=root),
            "dvc status": partial(run_process, [*DVC, "status"], cwd=root),
            f"Dagster, {assets} assets that do nothing": partial(run_process, chain),
            "python -c pass": partial(run_process, [sys.executable, "-c", "pass"]),
        },
        runs=options.runs,
    )
    ours = seconds["iip refresh --json"]
    rows = [
        {"command": name, "images": options.images, "seconds": s, "times a refresh": s / ours}
        for name, s in seconds.items()
    ]
    show(rows, options.json)


if __name__ == "__main__":
    main()
