"""Batches that were taken on two branches, or by two clones, are both in the data afterwards."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from iip_assets.cli.main import app
from iip_assets.images.dvc_data import BadPointer, read_pointer
from iip_assets.ingest.merge_driver import (
    MergeConflictError,
    left_out_by_merges,
    merged_files,
    set_up_merges,
)
from iip_assets_tests.dataset.conftest import dvc
from iip_assets_tests.dataset.team_workspace import drop, manifest_of, take
from iip_assets_tests.git import git


def batches(root: Path) -> set[str]:
    return {path.split("/")[1] for path in manifest_of(root)}


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        pytest.param({"a": "1", "b": "2"}, {"a": "1", "c": "3"}, "a1 b2 c3", id="both-add"),
        pytest.param({"a": "1", "b": "2"}, {"a": "1", "b": "2"}, "a1 b2", id="the-same"),
        pytest.param({}, {"a": "1", "b": "2"}, "b2", id="one-deletes"),
        pytest.param({}, {}, "", id="both-delete"),
        pytest.param({"a": "5"}, {"a": "1", "b": "2"}, "a5 b2", id="one-changes"),
    ],
)
def test_each_sides_changes_are_kept(ours, theirs, merged):
    found = merged_files({"a": "1"}, ours, theirs)
    assert " ".join(f"{path}{md5}" for path, md5 in found.items()) == merged


@pytest.mark.parametrize("ours", [{"a": "2"}, {}], ids=["changed", "deleted"])
def test_a_file_that_both_sides_changed_is_named(ours):
    with pytest.raises(MergeConflictError, match="both sides changed a, each"):
        merged_files({"a": "1"}, ours, {"a": "3"})


@pytest.fixture
def forked(team: Path) -> Path:
    """Another batch on each of two branches, the one of `main` checked out."""
    set_up_merges(team)
    git(team, "add", "--all")
    git(team, "commit", "--quiet", "--message=Merges")
    git(team, "checkout", "--quiet", "-b", "other")
    take(team, drop(team / "inbox", "2026-02-other", seeds=(201,)))
    git(team, "checkout", "--quiet", "main")
    take(team, drop(team / "inbox", "2026-03-ours", seeds=(301,)))
    return team


ALL = {"2026-01", "2026-02-other", "2026-03-ours"}


@pytest.mark.parametrize("join", ["merge --no-edit", "rebase", "cherry-pick"])
def test_two_branches_come_together_with_both_batches(forked, join):
    git(forked, *join.split(), "other")
    assert batches(forked) == ALL
    assert git(forked, "status", "--porcelain") == ""
    dvc(forked, "checkout")
    dvc(forked, "push")  # DVC itself knows the merged listing


def test_a_clone_pulls_a_batch_whose_files_only_the_remote_has(forked, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(forked), str(clone))
    for branch in ("main", "other"):
        git(forked, "checkout", "--quiet", branch)
        dvc(forked, "push")
    shutil.rmtree(forked / ".dvc" / "cache")
    take(clone, drop(clone / "inbox", "2026-04-clone", seeds=(401,)))
    git(clone, "pull", "--quiet", "--no-rebase", "--no-edit", "origin", "other")
    assert batches(clone) == {*ALL, "2026-04-clone"}


def test_in_a_folder_of_a_larger_repository_both_batches_are_kept(forked, tmp_path):
    larger = tmp_path / "larger"
    git(tmp_path, "init", "--quiet", str(larger))
    shutil.copytree(forked, larger / "eyes", ignore=shutil.ignore_patterns(".git"))
    root = larger / "eyes"
    set_up_merges(root)
    for branch, at in (("first", "HEAD~1"), ("ours", "main"), ("theirs", "other")):
        if branch != "first":
            git(larger, "checkout", "--quiet", "-B", branch, "base")
        (root / "data.dvc").write_text(git(forked, "show", f"{at}:data.dvc") + "\n")
        git(larger, "add", "--all")
        git(larger, "commit", "--quiet", f"--message={branch}")
        if branch == "first":
            git(larger, "branch", "base")
    git(larger, "merge", "--quiet", "--no-edit", "ours")
    assert batches(root) == ALL


def test_without_the_driver_the_message_loses_nothing_and_the_doctor_sees_it(
    forked, monkeypatch, tmp_path
):
    git(forked, "config", "--remove-section", "merge.dvc")
    merge = ["git", "merge", "other"]
    assert subprocess.run(merge, cwd=forked, check=False, capture_output=True).returncode
    with pytest.raises(BadPointer, match="conflict markers") as told:
        read_pointer(forked)
    monkeypatch.chdir(forked)
    said = CliRunner().invoke(app, ["doctor"])
    assert said.exit_code == 1
    assert "it is in the middle of a merge" in said.output
    assert "cannot be merged: git's setting merge.dvc.driver" in " ".join(said.output.split())
    # Just what the message says.
    assert "`iip doctor --fix`" in str(told.value)
    CliRunner().invoke(app, ["doctor", "--fix"])
    for step in ("checkout --merge data.dvc", "add data.dvc"):
        assert f"`git {step}`" in str(told.value)
        git(forked, *step.split())
    git(forked, "commit", "--quiet", "--no-edit")
    assert batches(forked) == ALL
    assert "merges: git joins the batches" in CliRunner().invoke(app, ["doctor"]).output


def test_where_both_sides_changed_one_file_it_is_named_and_neither_side_is_chosen(forked):
    for branch in ("other", "main"):
        git(forked, "checkout", "--quiet", branch)
        dvc(forked, "checkout", "--force")
        labels = forked / "data" / "batches" / "2026-01" / "labels.csv"
        labels.write_text(f"image,label\nimages/a.jpg,full\n# {branch}\n")
        dvc(forked, "add", "data")
        git(forked, "commit", "--quiet", "--all", "--message=Correct")
    said = refused_merge(forked)
    assert "both sides changed batches/2026-01/labels.csv" in said
    with pytest.raises(BadPointer, match="conflict markers: both sides changed batches/2026-01"):
        read_pointer(forked)


def refused_merge(root: Path) -> str:
    merge = ["git", "merge", "other"]
    done = subprocess.run(merge, cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode
    return done.stderr


def test_of_two_batches_of_one_name_both_are_kept_as_the_messages_say(forked, monkeypatch):
    monkeypatch.chdir(forked)
    name = "2026-02-other"
    shutil.rmtree(forked / "data" / "batches" / name)
    take(forked, drop(forked / "inbox", name, seeds=(501,)))
    side = git(forked, "rev-parse", "--short=10", "other")
    refused_merge(forked)
    said = " ".join(CliRunner().invoke(app, ["doctor"]).output.split())
    assert f"both sides changed batches/{name}/labels.csv, each in its own way" in said
    assert "dvc add data" not in said
    for step in ("git checkout --ours data.dvc", "git add data.dvc", "dvc checkout"):
        assert f"`{step}`" in said
        program, *words = step.split()
        {"git": git, "dvc": dvc}[program](forked, *words)
    git(forked, "commit", "--quiet", "--no-edit")
    assert batches(forked) == ALL
    said = " ".join(CliRunner().invoke(app, ["doctor"]).output.split())
    get = f"dvc get . data/batches/{name} --rev {side} -o inbox/{name}-2"
    assert f"`{get}`, then `iip ingest inbox/{name}-2`" in said
    take(forked, drop(forked / "inbox", f"{name}-2", seeds=(201,)))
    assert batches(forked) == {*ALL, f"{name}-2"}
    assert left_out_by_merges(forked) == []


def test_a_batch_that_a_merge_left_out_is_seen_and_comes_back(forked, monkeypatch):
    monkeypatch.chdir(forked)
    side = git(forked, "rev-parse", "--short=10", "other")
    git(forked, "merge", "--quiet", "--no-edit", "--strategy=ours", "other")
    assert batches(forked) == ALL - {"2026-02-other"}
    said = " ".join(CliRunner().invoke(app, ["doctor"]).output.split())
    assert "left out data/batches/2026-02-other as" in said
    # Just what it says.
    get = f"get . data/batches/2026-02-other --rev {side} -o inbox/2026-02-other"
    assert f"`dvc {get}`, then `iip ingest inbox/2026-02-other`" in said
    dvc(forked, *get.split())
    CliRunner().invoke(app, ["ingest", "inbox/2026-02-other"])
    assert batches(forked) == ALL
    assert "left out data/" not in CliRunner().invoke(app, ["doctor"]).output


def test_a_batch_that_was_taken_out_on_purpose_is_no_loss(forked, monkeypatch):
    monkeypatch.chdir(forked)
    git(forked, "merge", "--quiet", "--no-edit", "other")
    (forked / "data.dvc").write_text(git(forked, "show", "HEAD~1:data.dvc") + "\n")
    git(forked, "commit", "--quiet", "--all", "--message=Take it out")
    assert left_out_by_merges(forked) == []
