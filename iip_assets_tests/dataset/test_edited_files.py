"""Label files that were edited in `data/` are noticed, and looking again reads none of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iip_assets.dataset import edited_files as module
from iip_assets.dataset.edited_files import edited_files
from iip_assets_tests.dataset.conftest import dvc

LABELS = "batches/2026-01/labels.csv"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (LABELS, "image,label\nimages/a.jpg,partial\n"),
        ("batches/2026-01/annotations.csv", "image,labeler,label\n"),
        ("batches/2026-02/labels.csv", "image,label\n"),
        ("LABELING.md", "full: all of it\n"),
    ],
    ids=["edited", "added", "of an added batch", "instructions"],
)
def test_a_label_file_that_dvc_does_not_track_so_is_named(
    workspace: Path, path: str, text: str
) -> None:
    assert edited_files(workspace) == []
    file = workspace / "data" / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    assert edited_files(workspace) == [path]
    dvc(workspace, "add", "data")
    assert edited_files(workspace) == []


def test_another_time_alone_is_no_edit_and_an_equal_size_hides_none(workspace: Path) -> None:
    file = workspace / "data" / LABELS
    os.utime(file, (1, 1))
    assert edited_files(workspace) == []
    file.write_bytes(file.read_bytes().replace(b"none", b"full"))
    assert edited_files(workspace) == [LABELS]


def test_files_that_are_not_checked_out_are_no_edit(workspace: Path) -> None:
    (workspace / "data" / LABELS).unlink()
    assert edited_files(workspace) == []


def test_a_second_look_reads_nothing_and_a_read_only_workspace_is_looked_at_all_the_same(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "data" / LABELS).write_text("image\n")
    assert edited_files(workspace) == [LABELS]
    monkeypatch.setattr(module, "_compare", lambda *_: pytest.fail("looked again"))
    assert edited_files(workspace) == [LABELS]
    monkeypatch.undo()

    def refuse(*_: object) -> None:
        raise PermissionError("read only")

    monkeypatch.setattr(module, "write_text_whole", refuse)
    (workspace / "data" / LABELS).write_text("image,label\n")
    assert edited_files(workspace) == [LABELS]


def test_a_listing_that_is_not_here_is_no_edit(workspace: Path) -> None:
    (workspace / "data.dvc").unlink()
    assert edited_files(workspace) == []
