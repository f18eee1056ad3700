"""Manifest, store and folder check on a real DVC repository."""

import json
import shutil

import polars as pl
import pytest

from iip_assets.dataset.versions import compare_folder
from iip_assets.images.dvc_data import (
    BadManifest,
    MissingData,
    observe_data,
    parse_manifest,
    read_manifest,
)
from iip_assets.images.store import ImageStore, content_md5
from iip_assets_tests.dataset.conftest import LABELS, dvc
from iip_assets_tests.dataset.team_workspace import manifest_of

MD5 = "0123456789abcdef0123456789abcdef"
A = "batches/2026-01/images/a.jpg"


def forget_cache(workspace) -> None:
    shutil.rmtree(workspace / ".dvc" / "cache")


def test_the_manifest_lists_every_tracked_file_by_path(workspace):
    table = read_manifest(workspace, observe_data(workspace))
    assert table.schema == {"path": pl.Utf8, "md5": pl.Utf8}
    assert table["path"].to_list() == [
        "batches/2026-01/images/a.jpg",
        "batches/2026-01/images/b.png",
        "batches/2026-01/labels.csv",
    ]
    for path, md5 in table.iter_rows():
        assert content_md5((workspace / "data" / path).read_bytes()) == md5


def test_manifest_and_objects_come_from_the_remote_where_the_cache_lacks_them(workspace):
    forget_cache(workspace)
    shutil.rmtree(workspace / "data")
    files = manifest_of(workspace)
    assert not (workspace / ".dvc/cache/files/md5" / files[A][:2] / files[A][2:]).exists()
    store = ImageStore.open(workspace)
    store.fetch(list(files.values()))
    assert store.read(files["batches/2026-01/labels.csv"]).decode() == LABELS


def test_a_missing_object_is_named_with_its_path_and_the_way_to_get_it(workspace):
    files = manifest_of(workspace)
    store = ImageStore.open(workspace)
    cached = workspace / ".dvc/cache/files/md5" / files[A][:2] / files[A][2:]
    cached.unlink()
    (workspace / "data" / A).unlink()
    with pytest.raises(MissingData, match=rf"{A} \(md5 {files[A]}\).*dvc pull"):
        store.read(files[A])


def test_without_a_remote_a_missing_object_says_so(workspace):
    forget_cache(workspace)
    dvc(workspace, "remote", "remove", "store")
    with pytest.raises(MissingData, match=r"no remote specified.*dvc pull"):
        manifest_of(workspace)


def test_an_object_that_nobody_pushed_says_who_must_push(workspace):
    with pytest.raises(MissingData, match="dvc push"):
        ImageStore.open(workspace).fetch([MD5])


def test_a_file_edited_in_place_is_never_read_under_its_old_id(workspace):
    files = manifest_of(workspace)
    before = (workspace / "data" / A).read_bytes()
    (workspace / "data" / A).unlink()
    (workspace / "data" / A).write_bytes(b"edited")
    store = ImageStore.open(workspace)
    assert store.read(files[A]) == before
    forget_cache(workspace)
    shutil.rmtree(workspace.parent / "remote")
    store = ImageStore.open(workspace)
    with pytest.raises(MissingData):
        store.read(files[A])


def test_a_file_in_the_folder_serves_where_the_cache_lost_it(workspace):
    files = manifest_of(workspace)
    cached = workspace / ".dvc/cache/files/md5" / files[A][:2] / files[A][2:]
    cached.unlink()
    shutil.rmtree(workspace.parent / "remote")
    store = ImageStore.open(workspace)
    store.fetch([files[A]])
    assert content_md5(store.read(files[A])) == files[A]


def test_a_damaged_cache_object_is_not_believed(workspace):
    files = manifest_of(workspace)
    cached = workspace / ".dvc/cache/files/md5" / files[A][:2] / files[A][2:]
    cached.chmod(0o644)
    cached.write_bytes(b"damaged")
    store = ImageStore.open(workspace)
    assert content_md5(store.read(files[A])) == files[A]
    (workspace / "data" / A).unlink()
    with pytest.raises(MissingData, match=f"changed inside the DVC cache: delete {cached}"):
        store.read(files[A])


def test_a_folder_without_dvc_says_how_to_begin(tmp_path):
    with pytest.raises(MissingData, match="dvc init"):
        ImageStore.open(tmp_path)


def test_an_old_data_version_can_still_be_read(workspace):
    old = observe_data(workspace)
    dvc(workspace, "unprotect", "data")
    (workspace / "data" / A).write_bytes(b"another image")
    dvc(workspace, "add", "data")
    assert observe_data(workspace) != old
    files = dict(read_manifest(workspace, old).iter_rows())
    assert content_md5(ImageStore.open(workspace).read(files[A])) == files[A]


def test_an_empty_folder_has_an_empty_manifest(workspace):
    shutil.rmtree(workspace / "data")
    (workspace / "data").mkdir()
    dvc(workspace, "add", "data")
    table = read_manifest(workspace, observe_data(workspace))
    assert table.is_empty()
    assert table.schema == {"path": pl.Utf8, "md5": pl.Utf8}


def test_the_folder_check_names_what_differs(workspace):
    table = read_manifest(workspace, observe_data(workspace))
    assert compare_folder(workspace, table).clean
    data = workspace / "data"
    (data / A).unlink()
    (data / A).write_bytes(b"edited")
    (data / "batches/2026-01/images/b.png").unlink()
    (data / "new.png").write_bytes(b"new")
    (data / "ignored.tmp").write_bytes(b"")
    (workspace / ".dvcignore").write_text("*.tmp\n")
    seen = []
    found = compare_folder(
        workspace, table, progress=lambda done, total: seen.append((done, total))
    )
    assert found.modified == (A,)
    assert found.missing == ("batches/2026-01/images/b.png",)
    assert found.untracked == ("new.png",)
    assert not found.clean
    assert seen == [(1, 2), (2, 2)]


def test_the_folder_check_works_without_a_folder(workspace):
    table = read_manifest(workspace, observe_data(workspace))
    shutil.rmtree(workspace / "data")
    assert len(compare_folder(workspace, table).missing) == 3


@pytest.mark.parametrize(
    "path", ["../x.jpg", "/etc/passwd", "a/../../b", "", "a//b", "a/./b", "..", "a/", "a\0b", 7]
)
def test_a_listing_with_a_path_outside_the_folder_is_refused(path):
    listing = json.dumps([{"md5": MD5, "relpath": path}]).encode()
    with pytest.raises(BadManifest, match="no plain path inside"):
        parse_manifest(listing, f"{content_md5(listing)}.dir")


@pytest.mark.parametrize(
    "listing",
    [
        b"",
        b"{",
        b"7",
        b"[1]",
        b'[{"relpath": "a"}]',
        b'[{"md5": "x", "relpath": "a"}]',
        b"\xff",
        b"[" * 100_000,
        json.dumps([{"md5": MD5, "relpath": "a"}] * 2).encode(),
    ],
)
def test_a_damaged_listing_is_refused(listing):
    with pytest.raises(BadManifest):
        parse_manifest(listing, f"{content_md5(listing)}.dir")


def test_a_listing_that_lacks_rows_is_not_taken_for_the_whole(workspace):
    md5 = observe_data(workspace)
    (file,) = (workspace / ".dvc" / "cache").glob("files/md5/*/*.dir")
    file.chmod(0o644)
    file.write_text(json.dumps(json.loads(file.read_text())[:-1]))
    with pytest.raises(BadManifest, match=f"the listing {md5}.* is damaged.* `dvc fetch`"):
        read_manifest(workspace, md5)
    file.unlink()  # as the message says; the remote has it
    assert read_manifest(workspace, md5).height == 3


def test_dots_in_names_are_fine():
    listing = json.dumps([{"md5": MD5, "relpath": "a/b..c/.hidden...jpg"}]).encode()
    assert parse_manifest(listing, f"{content_md5(listing)}.dir")["path"].to_list() == [
        "a/b..c/.hidden...jpg"
    ]
