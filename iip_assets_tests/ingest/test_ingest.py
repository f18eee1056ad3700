"""A batch joins the data whole or not at all, and the team's other work is left alone."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from iip_assets.cli.doctor import examine
from iip_assets.cli.main import app
from iip_assets.dataset.problems import Problem
from iip_assets.engine.lock import workspace_lock
from iip_assets.images.dvc_data import observe_data
from iip_assets.images.store import content_md5
from iip_assets.ingest import data_commit, ingest, staged
from iip_assets.ingest.data_commit import DvcRefusedError, GitBusyError
from iip_assets.ingest.formats.native import Converted
from iip_assets.ingest.inbox import leftovers_in_words
from iip_assets.ingest.ingest import clear_up_killed, ingest_folder
from iip_assets.ingest.staged import UnsettledBatchError
from iip_assets_tests.dataset.team_workspace import drop, files_of, manifest_of, subjects, take
from iip_assets_tests.git import git
from iip_assets_tests.ingest.fuzz_oracle import tree

NAME = "2026-05-clinic"
BAD = "image,label\nimages/101.png,fulll\n"
OLD_A = "batches/2026-01/images/a.jpg"


def words_of(root: Path, folder: Path, **options) -> str:
    said: list[str] = []
    ingest_folder(root, folder, log=said.append, **options)
    return "\n".join(said)


def private(root: Path) -> list[Path]:
    return list((root / ".iip" / "ingest").iterdir())


def test_a_batch_joins_the_data_is_committed_and_leaves_the_inbox(team):
    before = manifest_of(team)
    folder = drop(team / "inbox", NAME)
    (folder / ".DS_Store").touch()
    (folder / "notes.txt").write_text("x")
    result = take(team, folder)
    assert (result.verdict, result.images, result.new_images, result.known) == ("taken", 2, 2, ())
    assert result.data_version == observe_data(team)
    assert files_of(team, NAME) == ["images/101.png", "images/102.png", "labels.csv", "notes.txt"]
    assert before.items() < manifest_of(team).items()
    assert (team / "data" / "batches" / NAME / "images" / "101.png").is_file()
    assert not folder.exists()
    assert result.commit == git(team, "rev-parse", "HEAD")
    assert subjects(team)[0] == f"Ingest {NAME}: 2 images, 2 of them new"
    assert git(team, "show", "--name-only", "--format=", "HEAD") == "data.dvc"
    assert git(team, "status", "--porcelain") == ""
    assert private(team) == []


def test_the_rest_of_the_data_need_not_be_there_and_edits_in_it_do_not_join(team):
    before = manifest_of(team)
    shutil.rmtree(team / "data" / "batches" / "2026-01" / "images")
    (team / "data" / "batches" / "2026-01" / "labels.csv").write_text("edited")
    (team / "data" / "mine.jpg").write_text("not added")
    take(team, drop(team / "inbox", NAME))
    after = manifest_of(team)
    assert {path: md5 for path, md5 in after.items() if NAME not in path} == before


def test_dropping_a_batch_again_changes_nothing(team):
    take(team, drop(team / "inbox", NAME))
    before, commits = manifest_of(team), subjects(team)
    again = drop(team / "inbox", NAME)
    result = take(team, again)
    assert (result.verdict, result.images, result.commit) == ("present", 2, None)
    assert not again.exists()
    assert (manifest_of(team), subjects(team)) == (before, commits)


def test_another_batch_of_a_name_that_the_data_has_is_rejected(team):
    take(team, drop(team / "inbox", NAME))
    result = take(team, drop(team / "inbox", NAME, seeds=(103,)))
    assert result.verdict == "rejected"
    assert "has a batch of this name" in result.problems[0].reason
    assert "images/101.png" in files_of(team, NAME)


def test_a_bad_batch_is_sent_back_with_its_errors_and_nothing_changes(team):
    before = (manifest_of(team), subjects(team), tree(team / "data"))
    folder = drop(team / "inbox", NAME, labels=BAD)
    dropped = tree(folder)
    result = take(team, folder)
    assert (result.verdict, result.rejected_to) == ("rejected", team / "rejected" / NAME)
    assert not folder.exists()
    with (team / "rejected" / NAME / "errors.csv").open(newline="") as file:
        (error,) = csv.DictReader(file)
    assert list(error) == ["file", "row", "column", "value", "reason", "fix"]
    assert (error["file"], error["row"], error["column"]) == ("labels.csv", "2", "label")
    assert error["value"] == "fulll"
    assert dropped.items() <= tree(team / "rejected" / NAME).items()
    assert (manifest_of(team), subjects(team), tree(team / "data")) == before
    assert private(team) == []


def test_a_second_rejected_batch_of_one_name_replaces_nothing(team):
    places = [
        take(team, drop(team / "inbox", NAME, seeds=seeds, labels=BAD)).rejected_to
        for seeds in ((101,), (102,), (103,))
    ]
    assert [place.name for place in places] == [NAME, f"{NAME}-2", f"{NAME}-3"]
    assert (places[0] / "images" / "101.png").is_file()


def test_a_mended_batch_is_taken_from_rejected(team):
    place = take(team, drop(team / "inbox", NAME, labels=BAD)).rejected_to
    assert take(team, place).rejected_to == place
    (place / "labels.csv").write_text("image,label\nimages/101.png,full\n")
    assert take(team, place).verdict == "taken"
    assert "errors.csv" not in files_of(team, NAME)
    assert not place.exists()


def test_a_folder_elsewhere_is_copied_and_left_alone(team, tmp_path):
    folder = drop(tmp_path, NAME)
    before = tree(folder)
    assert take(team, folder).verdict == "taken"
    assert tree(folder) == before


def test_a_bad_folder_elsewhere_is_left_alone_and_its_errors_are_told(team, tmp_path):
    folder = drop(tmp_path, NAME, labels=BAD)
    before = tree(folder)
    for _ in range(2):
        result = take(team, folder)
        assert list(tree(team / "rejected")) == [f"{NAME}/errors.csv"]
    assert result.rejected_to == team / "rejected" / NAME
    assert tree(folder) == before


def test_a_batch_that_multiplies_the_data_asks_first(team):
    (team / "iip.toml").write_text("[ingest]\nmax_jump = 1.0\n")
    result = take(team, drop(team / "inbox", NAME, seeds=(101, 102, 103)))
    (problem,) = result.problems
    assert "3 new images to the 2 in the data" in problem.reason
    assert f"`iip ingest rejected/{NAME} --allow-jump`" in problem.fix
    assert take(team, team / "rejected" / NAME, allow_jump=True).verdict == "taken"


def test_images_that_the_data_has_under_another_name_are_told(team):
    folder = drop(team / "inbox", NAME, seeds=(101,))
    shutil.copy(team / "data" / OLD_A, folder / "images" / "copy.jpg")
    result = take(team, folder)
    assert (result.verdict, result.images, result.new_images) == ("taken", 2, 1)
    (known,) = result.known
    assert (known.path, known.present_path) == ("images/copy.jpg", OLD_A)


def test_a_batch_of_rows_alone_corrects_images_of_the_data(team):
    old = content_md5((team / "data" / OLD_A).read_bytes())
    folder = drop(team / "inbox", NAME, seeds=(), labels=f"image,label\n{old},partial\n")
    result = take(team, folder)
    assert (result.verdict, result.images) == ("taken", 0)


def test_a_dry_run_says_what_would_happen_and_changes_nothing(team):
    good, bad = (
        drop(team / "inbox", NAME),
        drop(team / "inbox", "2026-06-bad", labels=BAD),
    )
    before = {path: what for path, what in tree(team).items() if not path.startswith(".dvc/tmp")}
    assert take(team, good, dry_run=True).verdict == "sound"
    result = take(team, bad, dry_run=True)
    assert (result.verdict, result.rejected_to) == ("rejected", None)
    after = {path: what for path, what in tree(team).items() if not path.startswith(".dvc/tmp")}
    assert after == before


def test_what_else_is_staged_stays_staged_and_uncommitted(team):
    (team / "iip.toml").write_text("# staged\n")
    (team / "new.txt").write_text("staged too")
    git(team, "add", "iip.toml", "new.txt")
    take(team, drop(team / "inbox", NAME))
    assert git(team, "status", "--porcelain") == "M  iip.toml\nA  new.txt"
    assert git(team, "show", "--name-only", "--format=", "HEAD") == "data.dvc"


def test_a_batch_waits_while_git_is_in_the_middle_of_a_merge(team):
    git(team, "checkout", "--quiet", "-b", "other")
    git(team, "commit", "--quiet", "--allow-empty", "--message=Theirs")
    git(team, "checkout", "--quiet", "main")
    git(team, "merge", "--no-ff", "--no-commit", "other")
    before, folder = observe_data(team), drop(team / "inbox", NAME)
    with pytest.raises(GitBusyError, match="in the middle of a merge"):
        take(team, folder)
    assert (observe_data(team), folder.is_dir()) == (before, True)
    git(team, "commit", "--quiet", "--message=Merged")
    assert take(team, folder).verdict == "taken"
    assert subjects(team)[1] == "Merged"
    assert len(git(team, "show", "--format=%P", "HEAD~1").split()) == 2


def test_a_machine_without_a_git_identity_commits_all_the_same(team, monkeypatch):
    git(team, "config", "--unset", "user.name")
    git(team, "config", "--unset", "user.email")
    git(team, "config", "user.useConfigOnly", "true")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    take(team, drop(team / "inbox", NAME))
    assert git(team, "log", "-1", "--format=%an") == "iip ingest"


def test_a_commit_that_a_hook_refuses_is_told_and_the_batch_stays_taken(team):
    hook = team / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho no commits on Fridays >&2\nexit 1\n")
    hook.chmod(0o755)
    said = words_of(team, drop(team / "inbox", NAME))
    assert "no commits on Fridays" in said
    assert files_of(team, NAME)
    assert subjects(team) == ["Begin"]
    # The next commit says whose data it holds.
    hook.unlink()
    take(team, drop(team / "inbox", "2026-06", seeds=(105,)))
    assert NAME in git(team, "log", "-1", "--format=%b")


def test_without_git_or_where_no_commit_is_wanted_the_batch_is_taken(team):
    (team / "iip.toml").write_text("[ingest]\ncommit = false\n")
    assert take(team, drop(team / "inbox", NAME)).commit is None
    assert subjects(team) == ["Begin"]
    (team / "iip.toml").write_text("")
    shutil.rmtree(team / ".git")
    said = words_of(team, drop(team / "inbox", "2026-06", seeds=(105,)))
    assert "is not under git" in said
    assert files_of(team, "2026-06")


class Killed(BaseException):
    """The process ends here."""


MOMENTS = {
    "before anything is copied": (staged, "copy_batch"),
    "before the check": (ingest, "decide"),
    "before the move into the data": (ingest, "move_into_data"),
    "after the move into the data": (ingest, "add_folder"),
    "before data.dvc is written": (data_commit, "write_text_whole"),
    "after data.dvc is written": (ingest, "tracked_now"),
    "before the commit": (ingest, "commit_pointer"),
    "before the inbox is emptied": (ingest, "_leave_inbox"),
}


def kill(monkeypatch: pytest.MonkeyPatch, root: Path, folder: Path, moment: str) -> None:
    """Ends an ingest at that moment, nothing cleared up."""

    def die(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(*MOMENTS[moment], die)
        patch.setattr("iip_assets.ingest.inbox._clear", lambda *_: None)
        with pytest.raises(Killed):
            take(root, folder)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_doing_it_again_ends_well(team, monkeypatch, moment):
    before = manifest_of(team)
    folder = drop(team / "inbox", NAME)
    dropped = tree(folder)
    kill(monkeypatch, team, folder, moment)
    assert tree(folder) == dropped
    assert take(team, folder).verdict in ("taken", "present")
    assert files_of(team, NAME) == ["images/101.png", "images/102.png", "labels.csv"]
    assert before.items() < manifest_of(team).items()
    assert len(subjects(team)) == 2
    assert subjects(team)[0] == f"Ingest {NAME}: 2 images, 2 of them new"
    assert git(team, "status", "--porcelain") == ""
    assert not folder.exists()
    assert private(team) == []


def test_what_a_killed_ingest_left_is_known_and_cleared_up(team, monkeypatch):
    assert leftovers_in_words(team) is None
    folder = drop(team / "inbox", NAME)
    kill(monkeypatch, team, folder, "after the move into the data")
    assert "1 copy of batches in .iip/ingest" in leftovers_in_words(team)
    clear_up_killed(team, log=lambda _: None)
    assert private(team) == []
    assert not (team / "data" / "batches" / NAME).exists()
    assert folder.exists()


def test_what_a_killed_ingest_left_in_the_data_is_taken_away_by_the_next(team, monkeypatch):
    folder = drop(team / "inbox", NAME)
    kill(monkeypatch, team, folder, "after the move into the data")
    assert (team / "data" / "batches" / NAME).exists()
    take(team, drop(team / "inbox", "2026-06", seeds=(105,)))
    assert not (team / "data" / "batches" / NAME).exists()
    assert folder.exists()


def test_where_dvc_fails_the_batch_is_still_in_the_inbox_and_not_in_the_data(team, monkeypatch):
    def refuse(*_, **__):
        raise DvcRefusedError("DVC is busy")

    monkeypatch.setattr(ingest, "add_folder", refuse)
    folder = drop(team / "inbox", NAME)
    with pytest.raises(DvcRefusedError):
        take(team, folder)
    assert folder.exists()
    assert not (team / "data" / "batches" / NAME).exists()
    assert private(team) == []


def test_the_doctor_tells_what_waits_what_was_rejected_and_what_a_kill_left(team, monkeypatch):
    take(team, drop(team / "inbox", "2026-06-bad", labels=BAD))
    kill(monkeypatch, team, drop(team / "inbox", NAME), "before the check")
    found = {finding.what: finding for finding in examine(team, log=lambda _: None)}
    assert NAME in found["inbox"].found
    assert "2026-06-bad" in found["rejected"].found
    assert found["ingest"].found.startswith("1 copy of batches in .iip/ingest")
    assert "iip gc" in found["ingest"].fix


def test_a_folder_of_somebody_else_in_the_way_is_never_replaced(team):
    mine = drop(team / "data" / "batches", NAME, seeds=(107,))
    before = tree(mine)
    result = take(team, drop(team / "inbox", NAME))
    assert "DVC does not track it" in result.problems[0].reason
    assert tree(mine) == before


def test_an_untracked_copy_of_the_batch_in_the_data_is_no_hindrance(team):
    copy = drop(team / "data" / "batches", NAME)
    assert take(team, drop(team / "inbox", NAME)).verdict == "taken"
    assert files_of(team, NAME) == ["images/101.png", "images/102.png", "labels.csv"]
    assert not (copy / "READY").exists()


def test_one_batch_ingested_twice_at_once_is_taken_once(team):
    folder = drop(team / "inbox", NAME)
    verdicts: list[str] = []
    threads = [
        threading.Thread(target=lambda: verdicts.append(take(team, folder).verdict))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(verdicts) == ["present", "taken"]
    assert len(subjects(team)) == 2


def test_a_refresh_at_work_does_not_hold_a_batch_up(team):
    with workspace_lock(team / ".iip", log=lambda _: None):
        assert take(team, drop(team / "inbox", NAME)).verdict == "taken"


def test_another_dvc_process_is_waited_for_in_words(team, monkeypatch):
    from dvc.repo import Repo
    from dvc.scm import NoSCM

    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.06)
    with Repo(str(team), scm=NoSCM()) as other:
        other.lock.lock()
        said: list[str] = []

        def hear(word: str) -> None:
            said.append(word)
            other.lock.unlock()

        result = ingest_folder(team, drop(team / "inbox", NAME), log=hear)
    assert result.verdict == "taken"
    assert said == ["waiting for another DVC process, which is at work in this repository"]


def test_a_note_of_dvc_that_a_kill_cut_short_is_no_hindrance(team):
    (team / ".dvc" / "tmp" / "rwlock").write_text('{"read": {"/x')
    assert take(team, drop(team / "inbox", NAME)).verdict == "taken"


def test_a_file_that_dvc_would_leave_out_sends_the_batch_back(team):
    (team / ".dvcignore").write_text("*.txt\n")
    folder = drop(team / "inbox", NAME)
    (folder / "notes.txt").write_text("x")
    (problem,) = take(team, folder).problems
    assert problem.file == "notes.txt"
    assert ".dvcignore" in problem.reason


def test_a_folder_that_somebody_still_writes_is_not_taken(team, monkeypatch):
    folder = drop(team / "inbox", NAME)
    copied = staged.copy_batch

    def copy_and_add(*arguments):
        copied(*arguments)
        (folder / "images" / "late.png").touch()

    monkeypatch.setattr(staged, "copy_batch", copy_and_add)
    with pytest.raises(UnsettledBatchError, match="READY into it last"):
        take(team, folder)
    assert files_of(team, NAME) == []
    assert private(team) == []


def test_what_comes_into_the_folder_too_late_is_not_lost(team, monkeypatch):
    folder = drop(team / "inbox", NAME)
    commit = ingest.commit_pointer

    def commit_and_add(*arguments, **options):
        (folder / "late.png").touch()
        return commit(*arguments, **options)

    monkeypatch.setattr(ingest, "commit_pointer", commit_and_add)
    assert "changed after it was read" in words_of(team, folder)
    assert (folder / "late.png").exists()


def test_a_name_out_of_order_and_a_slip_in_the_header_are_told(team):
    folder = drop(team / "inbox", "1999-old", labels="image,lable\nimages/101.png,full\n")
    said = words_of(team, folder)
    assert "sorts before 2026-01" in said
    assert "lable is kept as a tag; was label meant?" in said


@pytest.mark.parametrize("place", ["data/batches/2026-01", ".", "inbox", "data"])
def test_a_folder_that_can_be_no_batch_is_refused(team, place):
    before = tree(team / "data")
    with pytest.raises(ValueError, match=r"is no batch's folder|lies in the data folder"):
        take(team, team / place)
    assert tree(team / "data") == before


def test_a_folder_that_is_not_there_is_refused(team):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        take(team, team / "inbox" / "nowhere")


def test_an_export_of_another_tool_is_converted_and_its_problems_send_it_back(team, monkeypatch):
    stand_in = ModuleType("iip_assets.ingest.formats.coco")

    def convert_coco(source, out, *, mask_classes, max_megapixels, name, log):
        assert name in (NAME, "2026-06")
        assert mask_classes == ("background", "sclera", "iris", "pupil")
        assert max_megapixels == 50
        if (source / "bad").exists():
            return Converted((Problem(NAME, "export.json", "no COCO", "export it again"),))
        shutil.copytree(source / "images", out / "images")
        return Converted(())

    stand_in.convert_coco = convert_coco
    monkeypatch.setitem(sys.modules, "iip_assets.ingest.formats.coco", stand_in)
    assert take(team, drop(team / "inbox", NAME), form="coco").verdict == "taken"
    assert files_of(team, NAME) == ["images/101.png", "images/102.png"]
    bad = drop(team / "inbox", "2026-06")
    (bad / "bad").touch()
    result = take(team, bad, form="coco")
    assert [problem.reason for problem in result.problems] == ["no COCO"]
    assert (team / "rejected" / "2026-06" / "images" / "101.png").exists()


def test_the_command_prints_errors_in_a_table_and_ends_with_1(team, monkeypatch):
    monkeypatch.chdir(team)
    run = CliRunner()
    drop(team / "inbox", NAME, labels=BAD)
    done = run.invoke(app, ["ingest", f"inbox/{NAME}", "--dry-run", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["verdict"] == "rejected"
    done = run.invoke(app, ["ingest", f"inbox/{NAME}"])
    assert done.exit_code == 1
    assert "fulll" in done.stdout
    assert f"rejected/{NAME}/errors.csv" in done.stdout
    drop(team / "inbox", NAME)
    done = run.invoke(app, ["ingest", f"inbox/{NAME}"])
    assert done.exit_code == 0
    assert "iip refresh" in done.stdout
