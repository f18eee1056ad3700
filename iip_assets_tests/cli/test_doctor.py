"""What `iip doctor` says of the data folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from iip_assets.cli import doctor
from iip_assets.dataset import versions
from iip_assets.dataset.versions import FolderDifference
from iip_assets.images import dvc_data


@pytest.fixture
def fixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """How the differences of a data folder with one tracked file are to be mended."""
    (tmp_path / "data").mkdir()
    pointer = SimpleNamespace(path="data", md5="x")
    monkeypatch.setattr(dvc_data, "read_pointer", lambda _: pointer)
    monkeypatch.setattr(dvc_data, "read_manifest", lambda *_: pl.DataFrame({"path": ["a"]}))

    def found(**paths: tuple[str, ...]) -> list[str]:
        nothing = dict.fromkeys(("modified", "missing", "untracked"), ())
        difference = FolderDifference(**{**nothing, **paths})
        monkeypatch.setattr(versions, "compare_folder", lambda *_, **__: difference)
        first, *others = doctor._data(tmp_path, lambda _: None)
        assert first.found == "data/ is tracked: 1 file"
        return [one.fix for one in others]

    return found


def test_where_no_file_is_missing_the_folder_is_taken_as_it_is(fixes) -> None:
    edited, added = fixes(modified=("a b.csv",), untracked=("c.csv",))
    assert edited.startswith("`dvc add data` ")
    assert "`dvc checkout --force 'data/a b.csv'`" in edited
    assert added.startswith("`dvc add data` ")
    assert "checkout" not in added  # which would delete it


def test_files_that_are_not_checked_out_stay_in_the_data(fixes) -> None:
    gone = ("x/images/1.jpg", "x/images/2.jpg", "x/masks/1.png")
    edited, missing, added = fixes(modified=("a.csv",), missing=gone, untracked=("c.csv",))
    assert edited.startswith("`dvc add data/a.csv` ")
    assert missing.startswith("`dvc checkout data/x/images data/x/masks` ")
    assert "`dvc add data` would take the files out of the data" in missing
    assert added.startswith("`dvc add data/c.csv` ")
