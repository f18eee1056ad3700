"""Where the landmark file comes from, and that nothing but the file itself counts as it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from iip_assets.engine.noop_cache import _dependencies
from iip_assets.statistics import landmark_file, landmark_install
from iip_assets.statistics.landmark_file import (
    COMMAND,
    load_landmark_file,
    observe_landmark_file,
)
from iip_assets.statistics.landmark_install import install_landmark_file
from iip_assets.where import LANDMARK_FILE, WATCHED_FILES

CONTENT = b"a network"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A place of its own for a file of this content."""
    file = tmp_path / "share" / "iris_landmark.tflite"
    for module in (landmark_file, landmark_install):
        monkeypatch.setattr(module, "LANDMARK_FILE", file)
        monkeypatch.setattr(module, "SHA256", DIGEST)
    return file


def installer(monkeypatch, folder: Path, script: str) -> None:
    """A `uv` that is alone on the path and does this with `$target`."""
    folder.mkdir()
    uv = folder / "uv"
    loop = 'while [ "$1" != --target ]; do shift; done; target=$2'
    uv.write_text(f'#!/bin/sh\necho "$@" > {folder}/words\n{loop}\n{script}\n')
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin{os.pathsep}/usr/bin")


IN_WHEEL = "$target/mediapipe/modules/iris_landmark"


def test_the_file_is_taken_out_of_the_wheel_and_no_index_is_named(place, tmp_path, monkeypatch):
    write = f"mkdir -p {IN_WHEEL}; printf '{CONTENT.decode()}' > {IN_WHEEL}/iris_landmark.tflite"
    installer(monkeypatch, tmp_path / "bin", write)
    install_landmark_file()
    assert place.read_bytes() == CONTENT
    assert [one.name for one in place.parent.iterdir()] == [place.name]
    words = (tmp_path / "bin" / "words").read_text()
    assert "mediapipe==" in words
    assert "index" not in words
    assert "://" not in words
    assert observe_landmark_file(tmp_path) == DIGEST
    assert load_landmark_file(tmp_path, DIGEST) == CONTENT


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param("echo no network >&2; exit 2", "no network", id="no download"),
        pytest.param(
            f"mkdir -p {IN_WHEEL}; echo else > {IN_WHEEL}/iris_landmark.tflite",
            "another file",
            id="another file",
        ),
    ],
)
def test_what_cannot_be_had_is_said_and_leaves_nothing(
    place, tmp_path, monkeypatch, script, reason
):
    installer(monkeypatch, tmp_path / "bin", script)
    with pytest.raises(OSError, match=reason):
        install_landmark_file()
    assert not place.parent.exists()


def test_a_missing_or_another_file_is_absent(place, tmp_path):
    for content in (None, b"half a netw"):
        if content is not None:
            place.parent.mkdir()
            place.write_bytes(content)
        assert observe_landmark_file(tmp_path) == "absent"
        assert load_landmark_file(tmp_path, "absent") is None
    with pytest.raises(LookupError, match="not installed"):
        load_landmark_file(tmp_path, DIGEST)


def test_uv_is_found_where_make_install_puts_it(place, tmp_path, monkeypatch):
    write = f"mkdir -p {IN_WHEEL}; printf '{CONTENT.decode()}' > {IN_WHEEL}/iris_landmark.tflite"
    installer(monkeypatch, tmp_path / "bin", write)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(landmark_install, "_UV_FOLDER", tmp_path / "bin")
    install_landmark_file()
    assert place.read_bytes() == CONTENT


def test_the_short_way_to_nothing_to_do_sees_the_file_come(tmp_path):
    assert str(LANDMARK_FILE) in WATCHED_FILES
    file = tmp_path / "share" / "file"
    before = _dependencies(tmp_path, [str(file)], str(tmp_path))
    file.parent.mkdir()
    file.write_bytes(CONTENT)
    assert _dependencies(tmp_path, [str(file)], str(tmp_path)) != before


def test_a_place_that_cannot_be_written_is_said(place, tmp_path, monkeypatch):
    write = f"mkdir -p {IN_WHEEL}; printf '{CONTENT.decode()}' > {IN_WHEEL}/iris_landmark.tflite"
    installer(monkeypatch, tmp_path / "bin", write)
    place.parent.write_text("no folder")
    with pytest.raises(OSError, match="share"):
        install_landmark_file()


def test_the_command_that_is_named_is_there():
    assert COMMAND.split()[1:] == ["-m", landmark_install.__name__]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import {landmark_install.__name__}, sys; print('numpy' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
