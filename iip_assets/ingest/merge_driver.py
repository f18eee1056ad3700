"""Git's merge driver for `data.dvc`: the data of both sides, file by file.

`data.dvc` names the whole data by one hash, so any two batches from two branches are a conflict to
git. DVC has a driver of its own; it fetches no listing that only another clone has, takes our side
in silence where the workspace is not at the top of the repository, and leaves our side without
conflict markers where it fails. This one takes its name in git's settings.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from iip_assets.dataset.layout import batch_of
from iip_assets.engine.atomic import write_text_whole
from iip_assets.images.dvc_data import (
    CLASH,
    POINTER_FILE,
    BadManifest,
    BadPointer,
    MissingData,
    object_path,
    open_repository,
    parse_manifest,
    parse_pointer,
    read_manifest,
)
from iip_assets.ingest.data_commit import run_git

ATTRIBUTE = f"{POINTER_FILE} merge=dvc"
"""The line of .gitattributes that has git ask the driver."""

_DRIVER = "merge.dvc.driver"
_MODULE = "iip_assets.ingest.merge_driver"
_MOST_NAMED = 3
_MERGES_LOOKED_AT = 100


def missing_setup(root: Path) -> str | None:
    """What a merge of two batches lacks in this clone, in words; None where it is set up."""
    if run_git(root, "rev-parse", "--is-inside-work-tree").returncode:
        return None
    if "merge: dvc" not in run_git(root, "check-attr", "merge", "--", POINTER_FILE).stdout:
        return f".gitattributes does not have the line `{ATTRIBUTE}`"
    driver = run_git(root, "config", "--get", _DRIVER).stdout.strip()
    if not driver or (_MODULE in driver and not _program(driver).exists()):
        return f"git's setting {_DRIVER} names no program that is here"
    return None


def _program(driver: str) -> Path:
    return Path(shlex.split(driver)[0])


def set_up_merges(root: Path, *, attributes: bool = True) -> None:
    """Sets the driver up in this clone; does nothing where it is set up, or outside git.

    Args:
        root: The workspace.
        attributes: Whether to write .gitattributes as well, a file that is to be committed.
    """
    if missing_setup(root) is None:
        return
    command = f"{shlex.quote(sys.executable)} -m {_MODULE} %O %A %B %P"
    run_git(root, "config", "merge.dvc.name", "both sides of the data that DVC tracks")
    run_git(root, "config", _DRIVER, command)
    if attributes and missing_setup(root) is not None:
        file = root / ".gitattributes"
        present = file.read_text(encoding="utf-8") if file.exists() else ""
        gap = "" if not present or present.endswith("\n") else "\n"
        write_text_whole(file, f"{present}{gap}{ATTRIBUTE}\n")


class MergeConflictError(ValueError):
    """Both sides changed the same files, each in its own way."""


def merged_files(
    ancestor: Mapping[str, str], ours: Mapping[str, str], theirs: Mapping[str, str]
) -> dict[str, str]:
    """Path to md5 of what both sides together changed since their common ancestor.

    Raises:
        MergeConflictError: They changed the same file differently.
    """
    merged, clashing = {}, []
    for path in sorted({*ours, *theirs}):
        before, our, their = (side.get(path) for side in (ancestor, ours, theirs))
        if our != their and before not in (our, their):
            clashing.append(path)
        chosen = their if our == before else our
        if chosen is not None:
            merged[path] = chosen
    if clashing:
        more = f" and {len(clashing) - _MOST_NAMED} more" if len(clashing) > _MOST_NAMED else ""
        raise MergeConflictError(
            f"both sides changed {', '.join(clashing[:_MOST_NAMED])}{more}, each in its own way"
        )
    return merged


def merge_pointers(root: Path, ancestor: str, ours: str, theirs: str) -> str:
    """The text of a `data.dvc` that holds both sides' changes; its listing goes into the cache.

    Args:
        root: The workspace.
        ancestor: The text of both sides' common ancestor; empty without one.
        ours: The text of the checked-out side.
        theirs: The text of the other side.

    Raises:
        BadPointer: A text is no `data.dvc`.
        MissingData: A listing is neither in DVC's cache nor on the remote.
        BadManifest: A listing is damaged.
        MergeConflictError: Both sides changed the same file differently.
    """
    import yaml
    from dvc.utils.serialize import dumps_yaml
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree, du

    files = merged_files(*(_files(root, text) for text in (ancestor, ours, theirs)))
    tree: Any = Tree()  # type: ignore[no-untyped-call]
    for path, md5 in files.items():
        tree.add(tuple(path.split("/")), None, HashInfo("md5", md5))
    tree.digest()
    with open_repository(root) as repository:
        objects = repository.cache.local
        if not object_path(repository, tree.hash_info.value).exists():
            objects.add(tree.path, tree.fs, tree.oid)
        # None where images lie on the remote alone.
        size = du(objects, tree)  # type: ignore[no-untyped-call]
    written: dict[str, Any] = yaml.safe_load(ours)
    out = written["outs"][0]
    out |= {"md5": tree.hash_info.value, "nfiles": len(files), "size": size}
    if size is None:
        del out["size"]
    return str(dumps_yaml(written))


def _files(root: Path, text: str) -> dict[str, str]:
    if not text.strip():
        return {}
    return dict(read_manifest(root, parse_pointer(text, POINTER_FILE).md5).iter_rows())


@dataclass(frozen=True)
class LeftOut:
    """A batch that a merge left out, or took of the other side where both had one of its name.

    Attributes:
        batch: The batch.
        free_name: A name by which the data can have it now.
        merge: The merge commit.
        side: The merged commit that had it.
    """

    batch: str
    free_name: str
    merge: str
    side: str


def left_out_by_merges(root: Path) -> list[LeftOut]:
    """Batches with files that one side of a merge had brought and that the merge does not have.

    Those of which the data has any such file now were brought back, under whatever name.
    Known are the data of which the cache has the listing; nothing is fetched.
    """
    listed = run_git(root, "log", "--merges", f"-{_MERGES_LOOKED_AT}", "--format=%H %P", "HEAD")
    merges = [line.split() for line in listed.stdout.splitlines()]
    try:
        with open_repository(root) as repository:
            return list(_left_out(root, repository, merges)) if merges else []
    except MissingData:  # no DVC repository, of which the doctor tells by itself
        return []


def _left_out(root: Path, repository: Any, merges: list[list[str]]) -> Iterator[LeftOut]:
    batches_at = cache(partial(_batches_at, root, repository, {}))
    now = batches_at("HEAD") or {}
    for merge, *sides in merges:
        after = batches_at(merge)
        base = run_git(root, "merge-base", "--octopus", *sides).stdout.strip()
        before = batches_at(base) if base else {}
        if after is None or before is None:
            continue
        for side in sides:
            brought = batches_at(side) or {}
            for batch in sorted(brought.keys() - before.keys()):
                lost = brought[batch].difference(*before.values(), *after.values())
                if lost and lost.isdisjoint(chain(*now.values())):
                    names = chain([batch], (f"{batch}-{number}" for number in count(2)))
                    free_name = next(name for name in names if name not in now)
                    yield LeftOut(batch, free_name, merge, side)


def _batches_at(
    root: Path, repository: Any, known: dict[frozenset[str], frozenset[str]], commit: str
) -> dict[str, frozenset[str]] | None:
    """The md5s of the files of each batch of a commit; None where the cache does not know them.

    What is `known` of another commit is used again: hundreds of them fit into memory.
    """
    shown = run_git(root, "show", f"{commit}:./{POINTER_FILE}")
    try:
        md5 = parse_pointer(shown.stdout, POINTER_FILE).md5
        manifest = parse_manifest(object_path(repository, md5).read_bytes(), md5)
    except (BadPointer, BadManifest, OSError):
        return None
    batches: dict[str, set[str]] = {}
    for path, file_md5 in manifest.iter_rows():
        if batch := batch_of(path):
            batches.setdefault(batch, set()).add(file_md5)
    found = {batch: frozenset(files) for batch, files in batches.items()}
    return {batch: known.setdefault(files, files) for batch, files in found.items()}


def main(ancestor: str, ours: str, theirs: str, place: str) -> int:
    """What git runs; 0 where `ours` holds the merge now, 1 where it holds conflict markers.

    Args:
        ancestor: The file of the common ancestor.
        ours: The file of our side, which is written.
        theirs: The file of the other side.
        place: Where `data.dvc` lies, below the top of the repository, where git runs this.
    """
    root = (Path.cwd() / place).parent
    texts = [Path(file).read_text(encoding="utf-8") for file in (ancestor, ours, theirs)]
    # What git tells its driver is not for the git that DVC may call.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]
    try:
        merged = merge_pointers(root, *texts)
    except (BadPointer, BadManifest, MergeConflictError, MissingData) as error:
        sys.stderr.write(f"{place}: {error}\n")
        clash = f"{CLASH}{error}" if isinstance(error, MergeConflictError) else "ours"
        labels = [word for name in (clash, "ancestor", "theirs") for word in ("-L", name)]
        run_git(root, "merge-file", *labels, *map(_absolute, (ours, ancestor, theirs)))
        return 1
    Path(ours).write_text(merged, encoding="utf-8")
    return 0


def _absolute(file: str) -> str:
    return str(Path(file).resolve())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
