"""A file is there whole or not at all, and a write that fails leaves nothing."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from iip_assets.engine.atomic import write_bytes_whole


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
