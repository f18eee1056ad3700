"""Cleaning up frees what nothing needs, and costs no computation at any revision."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iip_assets.engine.garbage import Garbage, find_garbage, sweep
from iip_assets.engine.graph import Graph, Source
from iip_assets.engine.lance_table import LanceTable
from iip_assets.engine.lock import workspace_lock
from iip_assets.engine.workspace import OutsideError
from iip_assets_tests.engine.images_toy import ASSETS, ImagesToy, images, read
from iip_assets_tests.git import git

SOME = [(f"{n}.png", f"image{n}", f"mask{n}" if n % 2 else None) for n in range(4)]


def commit(toy: ImagesToy) -> str:
    git(toy.root, "add", "images", "toy")
    git(toy.root, "commit", "--quiet", "--allow-empty", "--message", "state")
    return git(toy.root, "rev-parse", "HEAD")


def checkout(toy: ImagesToy, revision: str) -> None:
    git(toy.root, "checkout", "--quiet", "--force", revision)


def clean(toy: ImagesToy) -> Garbage:
    garbage = find_garbage(toy.project, toy.events)
    sweep(toy.project, garbage)
    return garbage


def computed(toy: ImagesToy) -> list[str]:
    """What a refresh computes: assets that are not reused, and images one by one."""
    return [
        f"{name} {outcome.record.images_computed}"
        for name, outcome in toy.refresh().items()
        if not outcome.reused
    ]


def start(root: Path) -> ImagesToy:
    root.mkdir(exist_ok=True)
    git(root, "init", "--quiet")
    toy = ImagesToy(root)
    toy.write(*SOME)
    return toy


@pytest.fixture
def toy(tmp_path: Path) -> ImagesToy:
    return start(tmp_path)


def test_what_only_an_uncommitted_state_needed_goes_and_the_committed_one_stays(
    toy: ImagesToy,
) -> None:
    toy.refresh()
    first = commit(toy)
    toy.set(scale=7, seed=0)  # tried, never committed
    toy.refresh()
    checkout(toy, first)
    toy.refresh()
    garbage = clean(toy)
    assert len(garbage.records) == 3  # measured, model, predicted
    assert len(garbage.tables) == 2
    assert computed(toy) == []
    toy.set(scale=7, seed=0)
    assert computed(toy) == ["measured 4", "model 0", "predicted 4"]


@pytest.mark.parametrize("keeps", ["a branch", "a tag", "a stash", "nothing"])
def test_any_ref_keeps_its_state(keeps: str, toy: ImagesToy) -> None:
    toy.refresh()
    commit(toy)
    git(toy.root, "checkout", "--quiet", "-b", "side")
    toy.write(*SOME[:2])
    toy.refresh()
    if keeps == "a stash":
        git(toy.root, "stash")
        (toy.root / "toy").touch()
        toy.set(scale=1, seed=3)
        git(toy.root, "stash")  # the older one is in the stash's log alone
    else:
        side = commit(toy)
        git(toy.root, "checkout", "--quiet", "--detach", "HEAD~1")
        if keeps != "a branch":
            git(toy.root, "branch", "--delete", "--force", "side")
        if keeps == "a tag":
            git(toy.root, "tag", "kept", side)
    toy.refresh()
    clean(toy)
    assert computed(toy) == []
    toy.write(*SOME[:2])
    assert (computed(toy) == []) == (keeps != "nothing")


def test_states_without_a_file_that_people_may_do_without_are_kept(toy: ImagesToy) -> None:
    def notes_at(text_of: Callable[[str], str]) -> str:
        try:
            return text_of("notes")
        except (OSError, LookupError):
            return ""

    watched = Source(
        "notes",
        "toy",
        "Notes.",
        lambda root: notes_at(lambda path: (root / path).read_text()),
        lambda _, version: version,
        version_at=notes_at,
    )
    toy.project = replace(toy.project, graph=Graph(ASSETS, [images, watched]))
    toy.refresh()
    first = commit(toy)
    toy.set(scale=7, seed=0)
    (toy.root / "notes").write_text("seen")
    git(toy.root, "add", "notes")
    toy.refresh()
    commit(toy)
    clean(toy)
    checkout(toy, first)
    assert computed(toy) == []


def test_rows_of_an_image_that_no_version_holds_leave_the_disk(toy: ImagesToy) -> None:
    toy.write(*SOME, ("secret.png", "secretimage", None))
    toy.refresh()
    features = toy.project.workspace.state / "features"

    def on_disk() -> bool:
        return any(b"secretimage" in file.read_bytes() for file in features.glob("*/data/*"))

    assert on_disk()
    toy.write(*SOME)
    toy.refresh()
    commit(toy)
    garbage = clean(toy)
    assert sum(garbage.rows.values()) == 1  # of the predictions' table nothing is left
    assert not on_disk()
    assert computed(toy) == []
    assert find_garbage(toy.project, toy.events).empty


def test_on_a_full_disk_what_can_go_without_writing_goes(
    toy: ImagesToy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.write(*SOME, ("gone.png", "gone", None))
    toy.refresh()
    toy.write(*SOME)
    toy.refresh()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    holder = toy.project.workspace.state / "lock.holder"
    holder.unlink(missing_ok=True)
    holder.mkdir()  # nobody writes into it
    with monkeypatch.context() as filling:
        filling.setattr(LanceTable, "retain", full)
        with (
            pytest.raises(OSError, match="No space"),
            workspace_lock(toy.project.workspace.state, log=lambda _: None),
        ):
            clean(toy)
    left = find_garbage(toy.project, toy.events)
    assert left.rows
    assert not any((left.artifacts, left.records, left.tables))


def at_store(root: Path, store: str) -> ImagesToy:
    """A toy whose values lie in a store that is named by its settings."""
    toy = start(root)
    workspace = replace(
        toy.project.workspace,
        artifacts_at="store",
        read_settings=lambda at: SimpleNamespace(**vars(read(at)), store=store),
    )
    toy.project = replace(toy.project, workspace=workspace)
    return toy


def test_two_workspaces_with_one_store_take_nothing_from_each_other(tmp_path: Path) -> None:
    first, second = (at_store(tmp_path / name, str(tmp_path / "store")) for name in ("a", "b"))
    for toy, seed in ((first, 1), (second, 2)):
        toy.set(scale=1, seed=0)
        toy.refresh()  # both compute the same values
        toy.set(scale=1, seed=seed)
        toy.refresh()
        commit(toy)
    assert clean(first).artifacts == {}  # the second one's records name them as well
    assert clean(second).artifacts  # now nobody else's records name them
    assert computed(first) == computed(second) == []


def test_in_a_store_elsewhere_only_what_its_own_records_name_goes(tmp_path: Path) -> None:
    toy = at_store(tmp_path / "a", str(tmp_path / "store"))
    toy.refresh()
    toy.set(scale=1, seed=5)
    commit(toy)
    toy.refresh()
    # Of a workspace that left no note, such as one of an older version.
    theirs = tmp_path / "store" / "ab" / f"ab{'0' * 62}.json"
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("{}")
    assert len(clean(toy).artifacts) == 2  # the model of seed 0, and what it said
    assert theirs.exists()


def test_a_workspace_of_the_store_that_cannot_be_looked_into_keeps_all(tmp_path: Path) -> None:
    first, second = (at_store(tmp_path / name, str(tmp_path / "store")) for name in ("a", "b"))
    first.refresh()
    second.refresh()
    first.set(scale=3, seed=3)
    commit(first)
    first.refresh()
    second.root.rename(tmp_path / "elsewhere")
    garbage = clean(first)
    (note,) = garbage.unseen_workspaces
    assert garbage.artifacts == {}
    Path(note).unlink()  # as the command says
    assert clean(first).artifacts


def test_a_workspace_that_was_moved_or_copied_still_cleans_up(tmp_path: Path) -> None:
    toy = start(tmp_path / "a")
    toy.refresh()
    toy.set(scale=1, seed=5)
    commit(toy)
    toy.refresh()
    shutil.copytree(toy.root, tmp_path / "copy")
    toy.root.rename(tmp_path / "moved")
    for name in ("copy", "moved"):
        there = ImagesToy.__new__(ImagesToy)
        there.__dict__ |= {**vars(toy), "root": tmp_path / name}
        there.project = replace(
            toy.project, workspace=replace(toy.project.workspace, root=tmp_path / name)
        )
        assert clean(there).artifacts


FOREIGN = [
    "artifacts/ab/notes.txt",
    "artifacts/ab/photo.parquet",
    f"artifacts/ab/{'c' * 64}.json",
    f"artifacts/zz/{'z' * 64}.json",
    "artifacts/ab/folder/file.json",
    "artifacts/readme.md",
    "actions/model/notes.txt",
    "actions/model/mine.json",
    "parts/model/notes.txt",
    "reports/notes.html",
    "reports/table.txt",
    "features/mine.lance/data",
    "features/notes.txt",
]


def test_files_of_somebody_else_stay_wherever_they_lie(toy: ImagesToy) -> None:
    toy.refresh()
    state, long_ago = toy.project.workspace.state, time.time() - 100 * 86_400
    for name in FOREIGN:
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_text("mine")
        for path in ((state / name), (state / name).parent):
            os.utime(path, (long_ago, long_ago))
    ours = state / "artifacts" / "ab" / f"ab{'0' * 62}.json"
    ours.write_text("{}")
    clean(toy)
    assert [name for name in FOREIGN if not (state / name).exists()] == []
    assert not ours.exists()


def test_a_store_outside_is_named_by_its_whole_path(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match=f"write the whole path: {tmp_path}/store"):
        _ = at_store(tmp_path / "a", "../store").project.workspace.artifacts


def test_rows_stay_where_a_needed_version_cannot_be_read(
    toy: ImagesToy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.write(*SOME, ("other.png", "other", None))
    toy.refresh()
    toy.write(*SOME)
    toy.refresh()
    source = toy.project.graph.sources["images"]
    monkeypatch.setitem(
        toy.project.graph.sources,
        "images",
        type(source)(**{**vars(source), "ids": lambda *_: None}),
    )
    garbage = clean(toy)
    assert garbage.rows == {}
    assert garbage.unknown_versions


def test_the_rows_of_a_killed_run_are_kept_for_the_next_one(toy: ImagesToy) -> None:
    toy.refresh()
    shutil.rmtree(toy.project.workspace.state / "actions" / "predicted")
    (said,) = (toy.project.workspace.state / "features").glob("said-*.lance")
    assert said not in find_garbage(toy.project, toy.events).tables
    long_ago = time.time() - 30 * 86_400
    for file in said.rglob("*"):
        os.utime(file, (long_ago, long_ago))
    assert said in find_garbage(toy.project, toy.events).tables


@pytest.mark.parametrize("step", range(6))
def test_a_kill_on_the_way_takes_nothing_needed_and_the_next_one_ends_it(
    step: int, toy: ImagesToy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.write(*SOME, ("gone.png", "gone", None))
    toy.refresh()
    toy.write(*SOME)
    toy.refresh()
    left = step

    def deadly(act: object) -> object:
        def wrapped(*args: object, **keywords: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return act(*args, **keywords)

        return wrapped

    with monkeypatch.context() as killing:
        killing.setattr(Path, "unlink", deadly(Path.unlink))
        killing.setattr(shutil, "rmtree", deadly(shutil.rmtree))
        with pytest.raises(KeyboardInterrupt):
            clean(toy)
    assert computed(toy) == []
    clean(toy)
    assert find_garbage(toy.project, toy.events).empty
    assert computed(toy) == []


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 4)),
        st.tuples(st.just("set"), st.integers(0, 2)),
        st.tuples(st.just("code"), st.integers(0, 1)),
        st.tuples(st.just("commit"), st.booleans()),
        st.tuples(st.just("refresh"), st.none()),
    ),
    min_size=4,
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(ACTS)
def test_no_revision_computes_more_than_without_cleaning_up(
    acts: list[tuple[str, int | bool | None]],
) -> None:
    with TemporaryDirectory() as folder:
        toy, revisions = start(Path(folder) / "workspace"), []
        toy.refresh()
        revisions.append(commit(toy))
        for act, value in acts:
            if act == "write":
                toy.write(*SOME[: int(value or 0)])
            elif act == "set":
                toy.set(scale=1 + int(value or 0) % 2, seed=int(value or 0))
            elif act == "code":
                toy.keys.code["measured"] = str(value)
            elif act == "commit":
                # A person commits what is up to date; what was never computed costs its price.
                toy.refresh()
                revisions.append(commit(toy))
            else:
                toy.refresh()
        without = Path(folder) / "without"
        shutil.copytree(toy.root, without)
        clean(toy)
        other = ImagesToy(without)
        other.keys = toy.keys
        other.project = type(other.project)(
            other.project.graph,
            other.project.workspace,
            toy.keys,
        )
        other.events = deepcopy(toy.events)
        for revision in [*revisions, *reversed(revisions)]:
            for one in (toy, other):
                checkout(one, revision)
            assert set(computed(toy)) <= set(computed(other)), revision
