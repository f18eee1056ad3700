"""A file is there whole or not at all, and a write that fails leaves nothing."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from iip_assets.engine.atomic import sweep_old_writes, write_bytes_whole


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 1,000 bytes, which fails as a full disk does: in the middle."""
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, kept[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.usefixtures("full_disk")
def test_a_write_that_finds_no_space_leaves_the_old_file_and_no_part_of_the_new(
    tmp_path: Path,
) -> None:
    file = tmp_path / "record.json"
    write_bytes_whole(file, b"old")
    with pytest.raises(OSError, match="too large"):
        write_bytes_whole(file, bytes(2000))
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_killed_writes_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    dead = [
        tmp_path / f".events.json.{'0' * 32}",
        tmp_path / "actions" / "a" / f".key.json.{'1' * 32}",
        tmp_path / f".dagster.{'2' * 32}" / "history",
    ]
    kept = [
        tmp_path / f".young.{'3' * 32}",
        tmp_path / "actions" / "a" / "key.json",
        tmp_path / "dagster" / ".nux" / "nux.yaml",
    ]
    for file in (*dead, *kept):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for path in (*dead, dead[2].parent, *kept[1:]):
        os.utime(path, (1, 1))
    sweep_old_writes(tmp_path)
    assert not any(path.exists() for path in (*dead, dead[2].parent))
    assert all(path.exists() for path in kept)
