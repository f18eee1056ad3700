"""Conventions that the design rests on, kept by tests."""

from __future__ import annotations

import ast
import difflib
import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml

import iip_assets
from iip_assets.errors import counted
from iip_assets.settings import Settings
from iip_assets.settings_file import default_text

PACKAGE = Path(iip_assets.__file__).parent
HEAVY = [
    "torch",
    "timm",
    "pytorch_lightning",
    "lightning",
    "umap",
    "hdbscan",
    "evidently",
    "sklearn",
    "mlflow",
    "lancedb",
    "cv2",
    "polars",
    "pandas",
    "numpy",
]


def test_importing_the_definitions_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "iip.toml").write_text("")
    code = f"import sys, iip_assets.definitions; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_look_at_the_graph_loads_no_dagster(tmp_path: Path) -> None:
    (tmp_path / "iip.toml").write_text("")
    code = (
        "import sys; from iip_assets.graph import build_project; "
        "build_project(); print('dagster' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_to_start_the_command_line_loads_neither_settings_nor_what_prints_tables() -> None:
    """A refresh with nothing to do takes the time of its imports."""
    late = ["dagster", "rich", "iip_assets.settings", *HEAVY]
    code = f"import sys, iip_assets.cli.main; print([m for m in {late} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_session_of_onnx_runtime_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    """Its telemetry would keep a device id and a queue of events there, and send them."""
    code = (
        "import iip_assets, onnx.parser, os; assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'; "
        "from iip_assets.embeddings.onnx_session import open_session; "
        'model = onnx.parser.parse_model(\'<ir_version: 8, opset_import: ["": 17]> '
        "toy (float[1] x) => (float[1] y) { y = Identity(x) }'); "
        "open_session(model.SerializeToString(), threads=1)"
    )
    kept = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    kept.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-c", code], env={**kept, "HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.iterdir())


def test_string_selections_work_in_the_installed_environment() -> None:
    @dg.asset
    def a() -> None: ...

    @dg.asset(deps=[a])
    def b() -> None: ...

    selection = dg.AssetSelection.from_string("a+")
    assert selection.resolve([a, b]) == {a.key, b.key}


def test_rooms_hold_nothing_in_their_init() -> None:
    """A package whose `__init__` imports would give every asset's code key all that it imports."""
    for file in PACKAGE.glob("*/__init__.py"):
        body = ast.parse(file.read_text()).body
        assert [type(node) for node in body] == [ast.Expr], file
        assert ast.get_docstring(ast.parse(file.read_text())), file


def test_modules_are_imported_not_packages() -> None:
    """`from iip_assets.dataset import splits` binds a module; a package hides what is reached."""
    packages = {
        "iip_assets",
        *(f"iip_assets.{file.parent.name}" for file in PACKAGE.glob("*/__init__.py")),
    }
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                assert not packages & {alias.name for alias in node.names}, file
            elif isinstance(node, ast.ImportFrom) and node.module in packages:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                assert not packages & names, file


def test_the_settings_file_of_a_new_workspace_has_every_setting_with_its_default() -> None:
    written = tomllib.loads(default_text())
    assert Settings.model_validate(written) == Settings()
    assert {name: list(fields) for name, fields in written.items()} == {
        name: list(fields) for name, fields in Settings().model_dump().items()
    }


def test_our_own_settings_file_differs_from_a_new_one_in_values_of_the_sample_alone() -> None:
    ours = (PACKAGE.parent / "iip.toml").read_text()
    differing = [
        line
        for line in difflib.ndiff(default_text().splitlines(), ours.splitlines())
        if line.startswith("- ") and not line.startswith("- #")
    ]
    of_segmenter = ["width", "height", "epochs", "patience"]
    assert [line.split()[1] for line in differing] == [
        *of_segmenter,
        *("width", "height", "epochs", "images", "corruptions"),
        *("filter", "segmenter", "max_images"),
        *("seeds", "weights", "resampling", "mindiff", "rate_constraint", "threshold_optimizer"),
        "reductions",
    ]


def test_locked_versions_name_no_host() -> None:
    assert "://" not in (PACKAGE.parent / "requirements.lock").read_text()


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (1, "image", "1 image"),
        (0, "image", "0 images"),
        (1204, "image", "1,204 images"),
        (2, "batch", "2 batches"),
        (2, "class", "2 classes"),
        (2, "entry", "2 entries"),
        (2, "day", "2 days"),
        (2, "training image", "2 training images"),
    ],
)
def test_a_noun_stands_with_its_number(number, noun, words):
    assert counted(number, noun) == words


def test_the_metrics_that_are_shipped_are_those_that_the_lock_names() -> None:
    """Whoever runs `dvc repro` commits both: a fresh clone compares with them."""
    root = PACKAGE.parent
    stage = yaml.safe_load((root / "dvc.lock").read_text())["stages"]["refresh"]
    (data,) = (one for one in stage["deps"] if one["path"] == "data")
    assert data["md5"] == yaml.safe_load((root / "data.dvc").read_text())["outs"][0]["md5"]
    for out in stage["outs"]:
        assert out["md5"] == hashlib.md5((root / out["path"]).read_bytes()).hexdigest(), out
