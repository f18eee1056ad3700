"""What DVC tracks is read cheaply, and what is wrong with it is said."""

import subprocess
import sys

import pytest

from iip_assets.images.dvc_data import BadPointer, DataPointer, data_version_at, read_pointer

MD5 = "0123456789abcdef0123456789abcdef"
GOOD = f"outs:\n- md5: {MD5}.dir\n  size: 5\n  nfiles: 2\n  hash: md5\n  path: data\n"


def test_a_pointer_names_folder_and_version(tmp_path):
    (tmp_path / "data.dvc").write_text(GOOD)
    assert read_pointer(tmp_path) == DataPointer(md5=f"{MD5}.dir", path="data")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "run `dvc add data`"),
        ("", "exactly one tracked folder"),
        ("[1, 2]", "exactly one tracked folder"),
        ("outs: []", "exactly one tracked folder"),
        ("outs:\n- a\n", "exactly one tracked folder"),
        (GOOD.replace(".dir", ""), "as a single file, a folder was expected"),
        (GOOD.replace(MD5, "xyz"), "expected 32 hex digits"),
        (GOOD.replace(f"md5: {MD5}.dir", "md5: 7"), "has no `md5`"),
        (GOOD.replace("path: data", "path: ''"), "no `path`"),
        (GOOD.replace("  hash: md5\n", ""), "DVC 2"),
        ("outs:\n- md5: [\n", "is not YAML"),
        (f"<<<<<<< HEAD\n{GOOD}=======\n{GOOD}>>>>>>> other\n", "merge conflict"),
        ("outs:\n- path: data\n  files:\n  - relpath: a\n", "version-aware"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_a_pointer_that_cannot_be_used_says_how_to_mend_it(tmp_path, text, reason):
    if text is not None:
        (tmp_path / "data.dvc").write_text(text)
    with pytest.raises(BadPointer, match=reason):
        read_pointer(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "data.dvc").write_bytes(b"\xff\xfe\0")
    with pytest.raises(BadPointer, match="is not text"):
        read_pointer(tmp_path)


def test_reading_the_pointer_loads_neither_dvc_nor_polars(tmp_path):
    (tmp_path / "data.dvc").write_text(GOOD)
    code = (
        "import sys, pathlib; from iip_assets.images.dvc_data import observe_data; "
        f"observe_data(pathlib.Path({str(tmp_path)!r})); "
        "sys.exit(bool({'dvc', 'polars', 'cv2', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_data_version_of_a_revision_is_read_from_text_alone() -> None:
    text = f"outs:\n- md5: {MD5}.dir\n  hash: md5\n  path: data\n"
    assert data_version_at({"data.dvc": text}.__getitem__) == f"{MD5}.dir"
    with pytest.raises(BadPointer, match=r"^data\.dvc has merge conflict markers"):
        data_version_at(lambda _: f"<<<<<<< HEAD\n{text}")
