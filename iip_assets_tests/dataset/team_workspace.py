"""A team's workspace under real git and DVC, and batches that are dropped into its inbox."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iip_assets.dataset.raw import RawDataset, join_labels
from iip_assets.images.dvc_data import observe_data, read_manifest
from iip_assets.images.store import content_md5
from iip_assets.ingest.verdict import Ingested
from iip_assets_tests.dataset.images import encoded, scene
from iip_assets_tests.git import git

_IGNORED = "/.iip/\n/data\n/inbox/*\n/rejected\n/.dvc/cache\n/.dvc/tmp\n"


def put_under_git(root: Path) -> None:
    """Makes a DVC repository without git into a workspace with one commit."""
    (root / "iip.toml").write_text("")
    (root / ".gitignore").write_text(_IGNORED)
    (root / "inbox").mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "config", "user.name", "Test")
    git(root, "config", "user.email", "test@example.org")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=Begin")


def subjects(root: Path) -> list[str]:
    """The subjects of the commits, the newest first."""
    return git(root, "log", "--format=%s").splitlines()


def drop(
    place: Path, name: str, *, seeds: tuple[int, ...] = (101, 102), labels: str | None = None
) -> Path:
    """Puts a batch of small images into a folder, READY last."""
    batch = place / name
    (batch / "images").mkdir(parents=True)
    for seed in seeds:
        (batch / "images" / f"{seed}.png").write_bytes(encoded(scene(24, 32, seed), "PNG"))
    rows = "".join(f"images/{seed}.png,full\n" for seed in seeds)
    (batch / "labels.csv").write_text(f"image,label\n{rows}" if labels is None else labels)
    (batch / "READY").touch()
    return batch


def take(root: Path, folder: Path, **options: Any) -> Ingested:
    """Ingests a folder in silence."""
    from iip_assets.ingest.ingest import ingest_folder

    return ingest_folder(root, folder, log=lambda _: None, **options)


def files_of(root: Path, batch: str) -> list[str]:
    """The paths within a batch that DVC tracks."""
    start = f"batches/{batch}/"
    return [path.removeprefix(start) for path in manifest_of(root) if path.startswith(start)]


def joined(files: Mapping[str, str | bytes]) -> RawDataset:
    """What is made of a data folder, path to content."""
    contents = {
        path: text.encode() if isinstance(text, str) else text for path, text in files.items()
    }
    by_md5 = {content_md5(data): data for data in contents.values()}
    manifest = {path: content_md5(data) for path, data in contents.items()}
    return join_labels(manifest, by_md5.__getitem__)


def manifest_of(root: Path) -> dict[str, str]:
    """Path to md5 of all that DVC tracks."""
    return dict(read_manifest(root, observe_data(root)).iter_rows())
