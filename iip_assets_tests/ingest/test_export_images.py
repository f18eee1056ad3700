"""The image of an export's entry is found by whatever name a labeling tool has for it."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.ingest.formats.export_files import BadEntry
from iip_assets.ingest.formats.export_images import ImageFiles, list_images


def find(name: str, *paths: str, folders: tuple[str, ...] = ()) -> str:
    return ImageFiles(Path("export"), paths).find(name, "file_name", folders=folders)


def told(name: str, *paths: str) -> BadEntry:
    with pytest.raises(BadEntry) as caught:
        find(name, *paths)
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        "a b.jpg",
        "images/a b.jpg",
        "images\\a b.jpg",
        "..\\images\\a b.jpg",
        "../../media/upload/1/a b.jpg",
        "/home/someone/data/a b.jpg",
        "/home/someone/other/a b.jpg",
        "C:\\eyes\\a b.jpg",
        "\\\\server\\share\\a b.jpg",
        "file:///home/someone/a%20b.jpg",
        "https://bucket.example/eyes/a%20b.jpg?sig=1",
        "s3://bucket/eyes/a b.jpg",
        "gs://bucket/a%20b.jpg#x",
        "images/a%20b.jpg",
        "A B.JPG",
        "images/a b.JPG",
        "/data/upload/3/ab12cd34-a_b.jpg",
        "ab12cd34-a b.jpg",
        "/data/local-files/?d=eyes/a%20b.jpg",
        "/data/local-files/?d=C%3A%5Ceyes%5Ca%20b.jpg",
        "train2017/a b.jpg",
    ],
)
def test_the_one_image_of_that_name_is_found(name):
    assert find(name, "images/a b.jpg", "images/c.jpg") == "images/a b.jpg"


@pytest.mark.parametrize(
    ("name", "paths", "meant"),
    [
        ("left/1.png", ["images/left/1.png", "images/right/1.png"], "images/left/1.png"),
        ("/x/left/1.png", ["images/left/1.png", "images/right/1.png"], "images/left/1.png"),
        ("a.png", ["images/a.png", "images/default/a.png"], "images/a.png"),
        ("A.png", ["a.png", "A.png"], "A.png"),
        ("a%20b.png", ["a b.png", "a%20b.png"], "a%20b.png"),
        ("http://x/a%20b.png", ["a b.png", "a%20b.png"], "a b.png"),
        ("e\u0301.png", ["\u00e9.png"], "\u00e9.png"),
    ],
)
def test_what_agrees_more_goes_before(name, paths, meant):
    assert find(name, *paths) == meant


def test_the_folder_of_a_subset_goes_before():
    paths = ("images/train/a.png", "images/val/a.png")
    assert find("a.png", *paths, folders=("", "val")) == "images/val/a.png"


@pytest.mark.parametrize(
    ("name", "reason", "fix"),
    [
        ("right/1.png", "no such image", "did you mean images/left/1.png?"),
        ("1.jpeg", "no such image", "did you mean images/left/1.png?"),
        ("1", "no such image", "did you mean images/left/1.png?"),
        ("x/2.png", "no such image", "put it at images/x/2.png,"),
        ("images/2.png", "no such image", "put it at images/2.png,"),
        ("../2.png", "no such image", "put it at images/2.png,"),
        ("/mnt/x/2.png", "no such image", "put it at images/2.png,"),
        ("C:\\eyes\\2.png", "no such image", "put it at images/2.png,"),
        ("https://x.example/eyes/a%20b.png?sig=1", "no such image", "put it at images/a b.png,"),
        ("https://x.example/download?file=2.png", "no such image", "name an image file there"),
        ("2", "no such image", "name an image file there"),
        ("3.png", "several images could be meant: images/a/3.png, images/b/3.png", "keep one"),
        ("x" * 5000, "too long", "put it into a file"),
        ("", "no such image", "name an image file there"),
        ("http://[::1/a.png", "no such image", "put it at images/http:/[::1/a.png,"),
    ],
)
def test_what_is_not_one_image_is_a_problem(name, reason, fix):
    error = told(name, "images/left/1.png", "images/a/3.png", "images/b/3.png")
    assert reason in error.reason
    assert fix in error.fix


@pytest.mark.parametrize(
    ("name", "path", "reason", "fix"),
    [
        ("a.gif", "images/a.gif", "images/a.gif is no image by its name", "save it as one of"),
        ("/mnt/x/a.gif", "images/a.gif", "images/a.gif is no image by its name", "save it as"),
        ("images/masks/a.png", "images/masks/a.png", "a mask, which is no image", "move it to"),
        ("a.png", "masks/a.png", "no such image", "put it at images/a.png"),
    ],
)
def test_a_file_that_is_there_and_is_no_image_is_told(tmp_path, name, path, reason, fix):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).touch()
    with pytest.raises(BadEntry) as caught:
        list_images(tmp_path).find(name, "file_name")
    assert reason in caught.value.reason
    assert fix in caught.value.fix


PARTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="/\\?#%&;:"),
    min_size=1,
    max_size=6,
).filter(lambda text: text not in (".", "..") and text == text.strip())
PATHS = st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: "/".join(parts) + ".png")
SPELLED = {
    "as it is": str,
    "below images": lambda path: f"images/{path}",
    "with backslashes": lambda path: path.replace("/", "\\"),
    "of another machine": lambda path: f"/home/x/{path}",
    "of Windows": lambda path: "C:\\" + path.replace("/", "\\"),
    "in a bucket": lambda path: f"https://x.example/{quote(path)}?token=1",
    "of local storage": lambda path: f"/data/local-files/?d={quote(path, safe='')}",
}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sets(PATHS, min_size=1, max_size=5), st.sampled_from(sorted(SPELLED)))
def test_every_image_is_found_by_its_whole_path_however_spelled(paths, spelled):
    """Also beside others whose names differ in case alone, or end alike."""
    paths = {unicodedata.normalize("NFC", path) for path in paths}
    for path in paths:
        assert find(SPELLED[spelled](path), *paths) == path


@settings(max_examples=150, deadline=None, derandomize=True)
@given(PATHS, st.sampled_from(sorted(SPELLED)))
def test_an_image_is_found_where_it_is_said_to_be_put(path, spelled):
    name = SPELLED[spelled](path)
    place = (
        told(name).fix.removeprefix("put it at ").removesuffix(", or export again with the images")
    )
    assert find(name, place) == place
