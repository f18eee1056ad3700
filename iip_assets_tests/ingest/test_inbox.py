"""What waits in the inbox is told without a look into an image, and every drop is a new one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iip_assets.ingest.inbox import waiting_batches
from iip_assets_tests.dataset.team_workspace import drop


def fingerprint(root: Path) -> str:
    (batch,) = waiting_batches(root)
    return batch.fingerprint


def test_folders_with_ready_wait_in_the_order_of_their_names(tmp_path):
    drop(tmp_path / "inbox", "b")
    drop(tmp_path / "inbox", "a b")
    (drop(tmp_path / "inbox", "unfinished") / "READY").unlink()
    drop(tmp_path / "inbox", ".hidden")
    (tmp_path / "inbox" / "README.md").touch()
    (tmp_path / "inbox" / "link").symlink_to(tmp_path / "inbox" / "b")
    waiting = waiting_batches(tmp_path)
    assert [batch.name for batch in waiting] == ["a b", "b"]
    assert waiting[1].folder == tmp_path / "inbox" / "b"


def test_without_an_inbox_nothing_waits(tmp_path):
    assert waiting_batches(tmp_path) == []


def test_a_fingerprint_stays_until_something_changes(tmp_path):
    folder = drop(tmp_path / "inbox", "b")
    seen = {fingerprint(tmp_path)}
    assert {fingerprint(tmp_path)} == seen
    changes = [
        lambda: (folder / "images" / "more.png").write_bytes(b"x"),
        lambda: (folder / "images" / "more.png").write_bytes(b"xy"),
        lambda: (folder / "images" / "more.png").rename(folder / "images" / "other.png"),
        # As many bytes as before.
        lambda: (folder / "labels.csv").write_bytes((folder / "labels.csv").read_bytes()[::-1]),
    ]
    for change in changes:
        change()
        assert fingerprint(tmp_path) not in seen
        seen.add(fingerprint(tmp_path))


def test_the_same_files_dropped_again_are_a_new_drop(tmp_path):
    folder = drop(tmp_path / "inbox", "b")
    before = fingerprint(tmp_path)
    (folder / "READY").unlink()
    time.sleep(0.05)  # file systems may note the time in hundredths of a second
    (folder / "READY").touch()
    assert fingerprint(tmp_path) != before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_neither_links_nor_pipes_nor_strange_names_hold_it_up(tmp_path):
    folder = drop(tmp_path / "inbox", "b")
    (folder / "labels.csv").unlink()
    (folder / "labels.csv").symlink_to("/dev/zero")
    os.mkfifo(folder / "images" / "pipe.png")
    (folder / "images" / "\udcff.png").touch()
    assert fingerprint(tmp_path)


def test_a_look_loads_nothing_heavy(tmp_path):
    drop(tmp_path / "inbox", "b")
    code = (
        "import sys, pathlib; from iip_assets.ingest.inbox import waiting_batches; "
        f"assert waiting_batches(pathlib.Path({str(tmp_path)!r})); "
        "sys.exit(bool({'dvc', 'polars', 'cv2', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
